package proxy

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"time"
)

const (
	// downPatience is how long requests are sent again while no target of
	// their route answers, counted from when the last one ceased to: it may
	// be restarting, or the guard about to swing back. Who comes later is
	// told at once.
	downPatience = 2 * time.Second

	// resends is how often a request is sent again that may have reached a
	// target: a replica that dies takes several kept connections with it, and
	// the table may change in between.
	resends = 3

	firstPause   = 20 * time.Millisecond
	longestPause = 250 * time.Millisecond
)

// send tries the targets of the route, each once, then again after a pause.
// Where the table has changed in between, the request follows it.
func (v *visit) send(t *transports, r *http.Request) (*http.Response, error) {
	again, host := repeatable(r), r.Host
	attempt, conn := v.outgoing(r)
	for pause := firstPause; ; {
		v.choose(again)
		attempt.URL.Host = v.target.dial
		attempt.Host = cmp.Or(v.route.own, host) // X-Forwarded-Host has what the visitor asked for
		resp, err := t.to(v.route).RoundTrip(attempt)
		if err == nil {
			v.target.answered()
			return v.follow(resp, conn), nil
		}
		if !v.failed(r.Context(), err, again) {
			return nil, err
		}
		if v.exhausted() {
			if !v.pause(r.Context(), pause) {
				return nil, err
			}
			pause = min(2*pause, longestPause)
		}
		if page := v.follows(r.Context()); page != nil {
			return nil, &refusedError{page}
		}
		attempt = copied(attempt) // the one before may still be read
	}
}

// refusedError carries the page for a request that lost its place between two
// attempts.
type refusedError struct{ page *page }

func (e *refusedError) Error() string { return e.page.text }

// outgoing prepares the first attempt. For an upgrade it has the place where
// the connection will be found.
func (v *visit) outgoing(r *http.Request) (*http.Request, *net.Conn) {
	r.URL.Scheme = "http"
	if len(r.Header["Upgrade"]) == 0 {
		return r, nil
	}
	conn := new(net.Conn)
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { *conn = i.Conn }}
	return r.WithContext(httptrace.WithClientTrace(r.Context(), trace)), conn
}

func copied(r *http.Request) *http.Request {
	out, url := r.WithContext(r.Context()), *r.URL
	out.URL = &url
	return out
}

// choose takes the least busy target that was not tried yet.
func (v *visit) choose(again bool) {
	v.target, v.trial = v.route.leastBusy(v.tried, v.proxy.o.Now(), again)
	if i := slices.IndexFunc(v.route.targets, func(t *target) bool { return t.addr == v.only }); i >= 0 {
		v.target, v.trial = v.route.targets[i], false
	}
	v.target.inflight.Add(1)
	v.target.requests.Add(1)
}

// failed notes an attempt without an answer, and reports whether there may be
// another one: always if nothing was sent, a few times if sending it twice does
// no harm (RFC 9110, 9.2.2).
func (v *visit) failed(ctx context.Context, err error, again bool) bool {
	t := v.target
	v.leaveTarget()
	if ctx.Err() != nil || v.fault() != nil {
		return false // it was the visitor
	}
	if !v.paused { // later attempts would make one bad moment look like many
		v.warn(t)
	}
	var dial *dialError
	unsent := errors.As(err, &dial)
	if unsent || again {
		t.failed(v.proxy.o.Now(), v.trial)
	}
	v.tried = append(v.tried, t)
	if v.only.IsValid() {
		return false // no other can answer for it
	}
	if unsent {
		return true
	}
	v.resent++
	return again && v.resent <= resends
}

// exhausted reports whether every target of the route was tried.
func (v *visit) exhausted() bool {
	t, _ := v.route.leastBusy(v.tried, time.Time{}, false)
	return t == nil
}

// pause waits before the targets are tried once more, outside of what is in
// flight. It returns false if the request is to wait no longer. A proof never
// does: it is to say what is.
func (v *visit) pause(ctx context.Context, d time.Duration) bool {
	now, e := v.proxy.o.Now(), v.route.entry
	if v.proof || now.After(v.route.down().Add(downPatience)) || !e.room.enter() {
		return false
	}
	defer e.room.leave()
	v.leave()
	v.paused, v.tried = true, nil
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-v.proxy.table.Load().replaced:
		return true
	case <-ctx.Done():
	}
	return false // a proxy that ends waits for it: the target may be back at its address
}

// down is since when no target of the route answers.
func (r *route) down() time.Time {
	var last int64
	for _, t := range r.targets {
		last = max(last, t.since.Load())
	}
	return time.Unix(0, last)
}

// follows lets the request in again. If it comes to another route, none of its
// targets was tried.
func (v *visit) follows(ctx context.Context) *page {
	was := v.route
	v.leave()
	page := v.enter(ctx)
	if v.route != was {
		v.tried = nil
	}
	return page
}

// follow makes a stream one that can be ended.
func (v *visit) follow(resp *http.Response, conn *net.Conn) *http.Response {
	switch {
	case resp.StatusCode == http.StatusSwitchingProtocols:
		body, ok := resp.Body.(io.ReadWriteCloser)
		if !ok {
			return resp
		}
		if conn != nil && *conn != nil && strings.EqualFold(resp.Header.Get("Upgrade"), "websocket") {
			s := newSocket(body, *conn)
			v.stream, resp.Body = s, s
		} else {
			t := &tunnel{body}
			v.stream, resp.Body = t, t
		}
	case eventStream(resp.Header):
		e := newEvents(resp)
		v.stream, resp.Body = e, e
	default:
		return resp
	}
	v.route.traffic.streams.opened(v.stream)
	return resp
}
