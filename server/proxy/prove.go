package proxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

const (
	proveBudget  = 14 * time.Second       // for all of an entry
	proveAttempt = 10 * time.Second       // for one request: some front pages take their time at first
	proveShake   = 3 * time.Second        // for one handshake, a first certificate included
	provePause   = 100 * time.Millisecond // between attempts
	proveBeside  = 16                     // requests at a time
)

// Public is where visitors reach the proxy, as dialed from this machine. Empty
// where there is no such listener.
type Public struct {
	HTTP  string `json:"http"`
	HTTPS string `json:"https"`
}

// source is what proving needs of a proxy.
type source interface {
	mintProof(ctx context.Context) (string, error)
	public(ctx context.Context) (Public, error)
}

// Prove asks each host and prefix of the entry through the public listener and
// returns nil once every one was answered by each of its targets, as the entry's
// deployment. A target's 500 is an answer; a refusal of the proxy's own is not.
func (p *Proxy) Prove(ctx context.Context, e pipeline.Entry) error { return prove(ctx, p, e) }

func (p *Proxy) mintProof(context.Context) (string, error) { return p.proofs.mint() }

func (p *Proxy) public(ctx context.Context) (Public, error) {
	select {
	case <-p.started:
		return Public{HTTP: p.http.address(), HTTPS: p.https.address()}, nil
	case <-ctx.Done():
		return Public{}, fmt.Errorf("the proxy has not started: %w", pipeline.ErrUnreachable)
	}
}

// Ask is one request for each path of the entry, of whichever target.
func (p *Proxy) Ask(ctx context.Context, e pipeline.Entry) error { return askAll(ctx, p, e) }

// prove asks all targets of all paths at once: a certificate that is slow to
// come holds up only its own host.
func prove(ctx context.Context, s source, e pipeline.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, proveBudget)
	defer cancel()
	var proofs []proof
	for _, path := range e.Paths {
		for _, target := range path.Targets {
			proofs = append(proofs, proof{path: path, target: target})
		}
		if len(path.Targets) == 0 {
			proofs = append(proofs, proof{path: path})
		}
	}
	return carryOut(ctx, s, e, proofs, (*proof).run)
}

func askAll(ctx context.Context, s source, e pipeline.Entry) error {
	var proofs []proof
	for _, path := range e.Paths {
		proofs = append(proofs, proof{path: path})
	}
	return carryOut(ctx, s, e, proofs, (*proof).once)
}

// carryOut does them beside each other, a bounded number at a time.
func carryOut(ctx context.Context, s source, e pipeline.Entry, proofs []proof, do func(*proof, context.Context) error) error {
	at, err := s.public(ctx)
	if err != nil {
		return err
	}
	errs := make([]error, len(proofs))
	places := make(chan struct{}, proveBeside)
	var wg sync.WaitGroup
	for i := range proofs {
		x := &proofs[i]
		x.source, x.at, x.deployment, x.plain = s, at, e.Deployment, at.HTTPS == ""
		wg.Go(func() {
			places <- struct{}{}
			errs[i] = do(x, ctx)
			<-places
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// proof is the proof of one host and prefix, by one target.
type proof struct {
	source     source
	at         Public
	path       pipeline.Path
	target     netip.AddrPort // zero: whichever the proxy chooses
	deployment string
	plain      bool // ask over HTTP: there is no certificate
}

// run asks until the target has answered, whatever it says.
func (x *proof) run(ctx context.Context) error {
	var why error
	for {
		_, err := x.ask(ctx)
		if err == nil {
			return nil
		}
		var late net.Error
		if why == nil || !errors.As(err, &late) || !late.Timeout() {
			why = err // that time was up says less than what came before
		}
		if x.withoutTLS(err) {
			continue
		}
		wait := time.NewTimer(provePause)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return fmt.Errorf("%s: %w", x, why)
		}
	}
}

// once asks once, as a visitor would, and takes it ill if the app fails where
// it is known to be able to answer.
func (x *proof) once(ctx context.Context) error {
	status, err := x.ask(ctx)
	if x.withoutTLS(err) {
		status, err = x.ask(ctx)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", x, err)
	case status >= http.StatusInternalServerError && x.path.Ask != "":
		return fmt.Errorf("%s: %d %s", x, status, http.StatusText(status))
	}
	return nil
}

// withoutTLS reports whether to go on over plain HTTP: a host may have no
// certificate yet, or never get one. That is a warning elsewhere, not a reason
// to call the deployment failed. With a token, plain HTTP is answered instead
// of redirected.
func (x *proof) withoutTLS(err error) bool {
	var shake *handshakeError
	if x.plain || !errors.As(err, &shake) || x.at.HTTP == "" {
		return false
	}
	x.plain = true
	return true
}

// String is what is asked for.
func (x *proof) String() string {
	text := x.path.Host + cmp.Or(x.path.Ask, x.path.Prefix)
	if x.target.IsValid() && len(x.path.Targets) > 1 {
		text += " of " + x.target.String()
	}
	return text
}

// handshakeError is a failed TLS handshake with our own listener.
type handshakeError struct{ error }

func (e *handshakeError) Unwrap() error { return e.error }

// ask makes one request and reads who answered, and with which status.
func (x *proof) ask(ctx context.Context) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, proveAttempt)
	defer cancel()
	conn, err := x.connect(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	token, err := x.source.mintProof(ctx)
	if err != nil {
		return 0, fmt.Errorf("get a proof token: %w", err)
	}
	// The connection is ours, so the URL's scheme says nothing about it.
	url := "http://" + hostInURL(x.path.Host) + cmp.Or(x.path.Ask, x.path.Prefix)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("User-Agent", "Swingbridge-Proof")
	req.Header.Set(proofHeader, token)
	if x.target.IsValid() {
		req.Header.Set(targetHeader, x.target.String())
	}
	transport := &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableKeepAlives: true,
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) // only for the message
	switch got := resp.Header.Get(deploymentHeader); got {
	case x.deployment:
		return resp.StatusCode, nil
	case "":
		return 0, fmt.Errorf("no deployment answered, but the proxy itself: %s: %.200s", resp.Status, text)
	default:
		return 0, fmt.Errorf("deployment %s answered, not %s", got, x.deployment)
	}
}

// connect dials our own listener as a visitor of the host would.
func (x *proof) connect(ctx context.Context) (net.Conn, error) {
	listener := x.at.HTTPS
	if x.plain {
		listener = x.at.HTTP
	}
	c, err := new(net.Dialer).DialContext(ctx, "tcp", listener)
	if err != nil {
		return nil, fmt.Errorf("our own listener: %w: %w", pipeline.ErrUnreachable, err)
	}
	if x.plain {
		return c, nil
	}
	ctx, cancel := context.WithTimeout(ctx, proveShake)
	defer cancel()
	// Any certificate will do, here and nowhere else: who is dialed is known
	// by the address, and who answered by the token, which only the proxy
	// that made it can redeem. A host's certificate may be our own
	// authority's, staging's, or not there yet.
	secure := tls.Client(c, &tls.Config{ServerName: x.path.Host, InsecureSkipVerify: true}) //nolint:gosec // see above
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, &handshakeError{errors.Join(fmt.Errorf("TLS handshake: %w", err), c.Close())}
	}
	return secure, nil
}

// hostInURL puts brackets around an IPv6 address.
func hostInURL(host string) string {
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		return "[" + host + "]"
	}
	return host
}
