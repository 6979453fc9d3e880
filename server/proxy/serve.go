package proxy

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// visitKey is where a request's visit is kept among Caddy's variables.
const visitKey = "swingbridge.visit"

// Headers between the proxy and the prover. All that begin so are taken off
// visitors' requests and apps' answers.
const (
	internalPrefix   = "Swingbridge-"
	proofHeader      = "Swingbridge-Proof"      // request: a token
	deploymentHeader = "Swingbridge-Deployment" // answer to a valid token
	commitHeader     = "Swingbridge-Commit"     // with it
)

// visit is one request on its way to a target.
type visit struct {
	proxy      *Proxy
	host, path string
	route      *route  // counted in its traffic until done
	target     *target // of the current attempt, nil before the first
	tried      []*target
	proof      bool // the request brought a valid token
	id         string
	secure     bool // the visitor speaks TLS, to us or to a trusted proxy
}

// serve takes every request of every visitor.
func (p *Proxy) serve(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	begin := p.o.Now()
	v := &visit{proxy: p, host: canonicalHost(r.Host), path: r.URL.Path}
	v.proof = p.proofs.spend(r.Header.Get(proofHeader))
	p.clean(r)
	p.greet(w, r, v)
	if p.draining.Load() && r.ProtoMajor == 1 && r.Header.Get("Upgrade") == "" {
		w.Header().Set("Connection", "close")
	}
	route, known := p.admit(v.host, v.path)
	if route == nil {
		if p.elsewhere(w, r, v) != nil {
			return nil
		}
		p.unrouted.Add(1)
		refuse(w, r, notFound(v.host, known))
		return nil
	}
	v.route = route
	defer v.done()
	if !v.secure && p.https != nil && !v.proof {
		p.toHTTPS(w, r, v)
		return nil
	}
	m := &meter{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, visit: v}
	if len(route.targets) == 0 {
		m.refuse(r, noTarget(v.host))
	} else {
		caddyhttp.SetVar(r.Context(), visitKey, v)
		if err := next.ServeHTTP(m, r); err != nil {
			m.refuse(r, p.failed(v, err))
		}
	}
	if p.o.AccessLog {
		p.logAccess(r, v, m.status, begin)
	}
	return nil
}

// admit finds the route for a request and counts it as in flight. The table is
// looked at again after counting: if it was swapped in between, who drains the
// old route may have seen no request in flight, so this one must not go there.
func (p *Proxy) admit(host, path string) (r *route, known bool) {
	if p.control != nil && host == p.control.host {
		p.control.entry.traffic.inflight.Add(1)
		return p.control, true
	}
	for {
		t := p.table.Load()
		r, known = t.find(host, path)
		if r == nil {
			return nil, known
		}
		r.entry.traffic.inflight.Add(1)
		if now := p.table.Load(); now != t {
			if again, _ := now.find(host, path); again != r {
				r.entry.traffic.inflight.Add(-1)
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

// next chooses the target of the next attempt: the least busy one not tried
// yet. Where the table has changed since the request came, a request whose
// target does not answer follows the table.
func (v *visit) next() *target {
	v.leaveTarget()
	if v.target != nil {
		v.tried = append(v.tried, v.target)
		v.warn()
		if r, _ := v.proxy.admit(v.host, v.path); r != nil {
			v.route.entry.traffic.inflight.Add(-1)
			if r != v.route {
				v.route, v.tried = r, nil
			}
		}
	}
	v.target = v.route.leastBusy(v.tried)
	if v.target != nil {
		v.target.inflight.Add(1)
	}
	return v.target
}

// leastBusy returns the target with the fewest requests in flight. One that was
// tried before is taken only where there is no other.
func (r *route) leastBusy(tried []*target) *target {
	if len(r.targets) == 1 {
		return r.targets[0]
	}
	var best *target
	from := int(r.turn.Add(1))
	rank := func(t *target) int64 {
		if slices.Contains(tried, t) {
			return t.inflight.Load() + 1<<40
		}
		return t.inflight.Load()
	}
	for i := range r.targets {
		t := r.targets[(from+i)%len(r.targets)]
		if best == nil || cmp.Less(rank(t), rank(best)) {
			best = t
		}
	}
	return best
}

func (v *visit) leaveTarget() {
	if v.target != nil {
		v.target.inflight.Add(-1)
	}
}

func (v *visit) done() {
	v.leaveTarget()
	v.route.entry.traffic.inflight.Add(-1)
}

// warn counts an attempt that failed, and says so now and then.
func (v *visit) warn() {
	if v.route.entry.traffic.silent() {
		v.proxy.log.Warn("a target does not answer", "app", v.route.entry.App,
			"deployment", v.route.entry.Deployment, "target", v.target.dial)
	}
}

// failed makes the page for a request that no target answered.
func (p *Proxy) failed(v *visit, err error) page {
	var status caddyhttp.HandlerError
	if !errors.As(err, &status) || status.StatusCode < 500 {
		status.StatusCode = http.StatusBadGateway
	}
	if v.target != nil && v.route != nil {
		v.warn()
	}
	p.log.Debug("request without an answer", "host", v.host, "app", v.route.entry.App,
		"deployment", v.route.entry.Deployment, "error", err)
	return noAnswer(v.host, status.StatusCode)
}

// clean takes off the request what only we may say, and forwarding headers of
// visitors, beyond those that Caddy replaces.
func (p *Proxy) clean(r *http.Request) {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	for name := range r.Header {
		switch {
		case strings.HasPrefix(name, internalPrefix):
		case trusted || name != "Forwarded" && name != "X-Real-Ip" && !strings.HasPrefix(name, "X-Forwarded-"):
			continue
		}
		delete(r.Header, name)
	}
}

func (p *Proxy) logAccess(r *http.Request, v *visit, status int, begin time.Time) {
	client, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	p.log.InfoContext(r.Context(), "request", "client", client, "method", r.Method, "host", v.host, "path", v.path,
		"status", status, "took", p.o.Now().Sub(begin), "app", v.route.entry.App, "deployment", v.route.entry.Deployment)
}

// meter watches the beginning of the answer.
type meter struct {
	*caddyhttp.ResponseWriterWrapper
	visit  *visit
	status int
}

// WriteHeader counts the answer, takes off it what an app may not say, and
// names the deployment to the prover. It runs after the target has answered,
// so the name is proof.
func (m *meter) WriteHeader(status int) {
	header := m.Header()
	for name := range header {
		if strings.HasPrefix(name, internalPrefix) {
			delete(header, name)
		}
	}
	if (status >= 200 || status == http.StatusSwitchingProtocols) && m.status == 0 {
		m.status = status
		m.visit.dress(header)
		m.visit.route.entry.traffic.answered(status)
		if m.visit.proof && m.visit.target != nil {
			header.Set(deploymentHeader, m.visit.route.entry.Deployment)
			header.Set(commitHeader, m.visit.route.entry.Commit)
		}
	}
	m.ResponseWriterWrapper.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (m *meter) Write(b []byte) (int, error) {
	if m.status == 0 {
		m.WriteHeader(http.StatusOK)
	}
	return m.ResponseWriterWrapper.Write(b)
}

// refuse answers in the app's place, so without naming it to the prover.
func (m *meter) refuse(r *http.Request, page page) {
	if m.status != 0 {
		return // the answer has begun
	}
	m.visit.proof = false
	refuse(m, r, page)
}
