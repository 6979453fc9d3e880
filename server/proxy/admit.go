package proxy

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// comeBack is how long requests wait for an app that has lost all its targets,
// from when it lost them: a container that died is started again.
const comeBack = 5 * time.Second

// visit is one request on its way to a target.
type visit struct {
	ask
	proxy *Proxy
	begin time.Time
	letIn time.Time      // the last time: the app is not to blame for what the request waited before
	proof bool           // the request brought a valid token
	only  netip.AddrPort // of a proof: the target that is to answer; zero: any
	id    string         // in access log, app and answer

	secure bool // the visitor speaks TLS, to us or to a trusted proxy
	last   bool // on its connection: this proxy ends

	route   *route // the last it was let to
	counted bool   // in flight in the route's traffic

	target *target // of the current attempt, nil before the first
	trial  bool    // the target was left out and has this request on trial
	tried  []*target
	paused bool      // all targets were tried once
	resent int       // times that it was sent again after it may have reached a target
	waits  time.Time // since when, zero if it did not have to

	upload *upload // the request's body, nil without one
	meter  *meter  // of the answer
	lost   error   // why no target answered
	stream ender   // what is open on the target, if it is a stream
}

// enter finds the route for the request and counts it as in flight. Where the
// app is held, or has no target for a moment, the request waits outside. If it
// is not let in, enter returns the page that the visitor gets.
func (v *visit) enter(ctx context.Context) *page {
	for {
		t := v.proxy.table.Load()
		r, known := v.proxy.admit(v.ask)
		if r == nil {
			return notFound(v.host, known)
		}
		v.route, v.counted = r, true
		e, now, kind := r.entry, v.proxy.o.Now(), pipeline.ModeServe
		exempt := v.proof || r.preview || r == v.proxy.control
		if !exempt {
			kind = e.kind(now)
		}
		if kind == pipeline.ModeServe && len(r.targets) > 0 {
			v.letIn = now
			return nil
		}
		v.leave()
		var until time.Time
		refusal := noTarget(v.host)
		switch {
		case exempt:
			return refusal
		case kind == pipeline.ModeMaintenance:
			return maintenance(v.host, e.mode, now)
		case kind == pipeline.ModeHold:
			until, refusal = v.since(now).Add(e.wait()), held(v.host)
		default:
			until = e.since.Add(comeBack)
		}
		if !v.hold(ctx, t, e, until) {
			if ctx.Err() != nil {
				return left()
			}
			return refusal
		}
	}
}

// since is when the request began to wait.
func (v *visit) since(now time.Time) time.Time {
	if v.waits.IsZero() {
		v.waits = now
	}
	return v.waits
}

// hold waits until the table has changed, the entry's mode is over or the time
// has come. It returns false if there is no room, or if that time is past.
func (v *visit) hold(ctx context.Context, t *table, e *entry, until time.Time) bool {
	now := v.proxy.o.Now()
	left := until.Sub(now)
	if left <= 0 || !e.room.enter() {
		return false
	}
	defer e.room.leave()
	if e.kind(now) != pipeline.ModeServe && !e.mode.Until.IsZero() {
		left = min(left, e.mode.Until.Sub(now))
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-t.replaced:
		return true
	case <-timer.C:
		return true // it looks again, and finds the mode over or its time
	case <-ctx.Done():
	case <-v.proxy.leaving:
	}
	return false
}

// leave takes the request out of what is in flight.
func (v *visit) leave() {
	if v.counted {
		v.route.traffic.inflight.Add(-1)
		v.counted = false
	}
}

// done ends the visit.
func (v *visit) done() {
	v.leaveTarget()
	if v.stream != nil {
		v.route.traffic.streams.closed(v.stream)
	}
	v.leave()
}

func (v *visit) leaveTarget() {
	if v.target != nil {
		v.target.inflight.Add(-1)
		v.target = nil
	}
}

// admit finds the route for a request and counts it as in flight. The table is
// looked at again after counting: if it was swapped in between, who drains the
// old route may have seen no request in flight, so this one must not go there.
func (p *Proxy) admit(a ask) (r *route, known bool) {
	if p.control != nil && a.host == p.control.host {
		p.control.traffic.inflight.Add(1)
		return p.control, true
	}
	for {
		t := p.table.Load()
		r, known = t.find(a)
		if r == nil {
			return nil, known
		}
		r.traffic.inflight.Add(1)
		if now := p.table.Load(); now != t {
			if again, _ := now.find(a); again != r {
				r.traffic.inflight.Add(-1)
				continue
			}
		}
		return r, true
	}
}

// serves reports whether visitors can reach the host.
func (p *Proxy) serves(host string) bool {
	return p.control != nil && host == p.control.host || p.table.Load().has(host)
}

// routes reports whether the host has routes, and is not redirected.
func (p *Proxy) routes(host string) bool {
	return p.control != nil && host == p.control.host || len(p.table.Load().hosts[host]) > 0
}

// repeatable reports whether sending the request twice does no harm
// (RFC 9110, 9.2.2), and whether it can be.
func repeatable(r *http.Request) bool {
	if r.Body != nil && r.Body != http.NoBody {
		return false
	}
	return safe(r.Method)
}

// safe reports whether the method is one that only asks (RFC 9110, 9.2.1).
func safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	return false
}
