package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
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
	targetHeader     = "Swingbridge-Target"     // request with a valid token: which target is to answer
	deploymentHeader = "Swingbridge-Deployment" // answer to a valid token
	commitHeader     = "Swingbridge-Commit"     // with it
)

// serve takes every request of every visitor.
func (p *Proxy) serve(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	v := &visit{proxy: p, begin: p.o.Now(), ask: ask{host: canonicalHost(r.Host), path: r.URL.Path}}
	if v.proof = p.proofs.spend(r.Header.Get(proofHeader)); v.proof {
		v.only, _ = netip.ParseAddrPort(r.Header.Get(targetHeader)) // none: any of them
	}
	v.seePreview(r)
	p.clean(r)
	p.greet(w, r, v)
	if p.draining.Load() && r.ProtoMajor == 1 && r.Header.Get("Upgrade") == "" {
		v.last = true
		w.Header().Set("Connection", "close")
	}
	if !v.secure && p.https != nil && !v.proof && p.routes(v.host) {
		p.toHTTPS(w, r, v)
		return nil
	}
	if r.ProtoMajor == 3 {
		defer p.conns.begin()()
	}
	refusal := v.enter(r.Context())
	defer v.done()
	if v.route == nil {
		if p.elsewhere(w, r, v) {
			return nil
		}
		p.unrouted.Add(1)
		refuse(w, r, refusal)
		return nil
	}
	m := &meter{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, visit: v}
	v.meter = m
	defer m.account(r)
	if refusal == nil && malformed(r) {
		refusal = badRequest()
	}
	if refusal != nil {
		m.refuse(r, refusal)
	} else if !v.bound(w, r) {
		m.refuse(r, tooLarge(v.host, v.route.entry.Front.MaxBody))
	} else {
		caddyhttp.SetVar(r.Context(), visitKey, v)
		if err := next.ServeHTTP(m, r); err != nil {
			m.refuse(r, v.unanswered(r.Context(), err))
		}
	}
	return nil
}

// warn counts an attempt that failed, and says so now and then.
func (v *visit) warn(t *target) {
	v.route.entry.counters.silent()
	if v.route.traffic.silent() {
		v.proxy.log.Warn("a target does not answer", "app", v.route.entry.App,
			"deployment", v.route.traffic.deployment, "target", t.dial)
	}
}

// unanswered makes the page for a request that no target answered.
func (v *visit) unanswered(ctx context.Context, err error) *page {
	var lost *refusedError
	switch {
	case errors.As(err, &lost):
		return lost.page
	case v.fault() != nil:
		return v.faulty()
	case ctx.Err() != nil:
		return left()
	}
	v.proxy.log.Debug("request without an answer", "host", v.host, "app", v.route.entry.App,
		"deployment", v.route.traffic.deployment, "error", err)
	if timedOut(err) {
		return noAnswer(v.host, http.StatusGatewayTimeout)
	}
	return noAnswer(v.host, http.StatusBadGateway)
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
	// HTTP/2 without TLS by an upgrade is of the past (RFC 9113, 3.1). To an app
	// that still takes it, everything could be said in it past the proxy.
	if headerHas(r.Header["Upgrade"], "h2c") {
		delete(r.Header, "Upgrade")
		delete(r.Header, "Http2-Settings")
	}
}

func headerHas(values []string, token string) bool {
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// malformed reports whether the request has what Go's server lets pass and its
// client refuses to send. It is no target's fault.
func malformed(r *http.Request) bool {
	for name := range r.Trailer {
		if name == "" || strings.ContainsFunc(name, func(c rune) bool {
			return c <= ' ' || c > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c) // RFC 9110, 5.6.2
		}) {
			return true
		}
	}
	for _, value := range r.Header["Upgrade"] {
		if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' }) {
			return true
		}
	}
	return false
}

// meter watches the beginning of the answer.
type meter struct {
	*caddyhttp.ResponseWriterWrapper
	visit   *visit
	status  int
	refusal *page // what is answered in the app's place
	bytes   int64
	first   time.Time // when the answer began
}

// begun counts the answer, and says in its header what is to be said.
func (v *visit) begun(status int, refusal *page, header http.Header) {
	v.dress(header)
	tr := v.route.traffic
	switch {
	case refusal == nil:
		tr.answered(status, v.proxy.o.Now().Sub(v.letIn))
		if v.proof && v.target != nil {
			header.Set(deploymentHeader, tr.deployment)
			header.Set(commitHeader, tr.commit())
		}
	case !refusal.meant:
		tr.refused(status)
	}
	v.route.mark(header)
}

// WriteHeader implements http.ResponseWriter. It runs after the target has
// answered, so what it names to the prover is proof.
func (m *meter) WriteHeader(status int) {
	m.head(status, m.Header())
	m.ResponseWriterWrapper.WriteHeader(status)
}

// head counts the answer, takes off its header what an app may not say, and
// adds to it what we say.
func (m *meter) head(status int, header http.Header) {
	for name := range header {
		if strings.HasPrefix(name, internalPrefix) {
			delete(header, name)
		}
	}
	if (status >= 200 || status == http.StatusSwitchingProtocols) && m.status == 0 {
		m.status, m.first = status, m.visit.proxy.o.Now()
		m.visit.begun(status, m.refusal, header)
	}
}

// Write implements http.ResponseWriter.
func (m *meter) Write(b []byte) (int, error) {
	if m.status == 0 {
		m.WriteHeader(http.StatusOK)
	}
	n, err := m.ResponseWriterWrapper.Write(b)
	m.bytes += int64(n)
	return n, err
}

// ReadFrom implements io.ReaderFrom.
func (m *meter) ReadFrom(r io.Reader) (int64, error) {
	if m.status == 0 {
		m.WriteHeader(http.StatusOK)
	}
	n, err := m.ResponseWriterWrapper.ReadFrom(r)
	m.bytes += n
	return n, err
}

// refuse answers in the app's place, so without naming it to the prover.
func (m *meter) refuse(r *http.Request, page *page) {
	if m.status != 0 {
		return // the answer has begun
	}
	m.refusal = page
	refuse(m, r, page)
}
