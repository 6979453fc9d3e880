package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

const (
	proveBudget  = 12 * time.Second       // for all of an entry
	proveAttempt = 4 * time.Second        // for one request
	proveShake   = 3 * time.Second        // for one handshake, a first certificate included
	provePause   = 100 * time.Millisecond // between attempts
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
// returns nil once every one was answered by the entry's deployment. A target's
// 500 is an answer; a refusal of the proxy's own is not.
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

// prove asks for all paths at once: a certificate that is slow to come holds
// up only its own host.
func prove(ctx context.Context, s source, e pipeline.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, proveBudget)
	defer cancel()
	at, err := s.public(ctx)
	if err != nil {
		return err
	}
	errs := make([]error, len(e.Paths))
	var wg sync.WaitGroup
	for i, path := range e.Paths {
		wg.Go(func() {
			x := &proof{source: s, at: at, path: path, deployment: e.Deployment}
			errs[i] = x.run(ctx)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// proof is the proof of one host and prefix.
type proof struct {
	source     source
	at         Public
	path       pipeline.Path
	deployment string
	plain      bool // ask over HTTP: there is no certificate
}

func (x *proof) run(ctx context.Context) error {
	x.plain = x.at.HTTPS == ""
	var why error
	for {
		err := x.ask(ctx)
		if err == nil {
			return nil
		}
		var late net.Error
		if why == nil || !errors.As(err, &late) || !late.Timeout() {
			why = err // that time was up says less than what came before
		}
		// A host may have no certificate yet, or never get one: that is a
		// warning elsewhere, not a reason to call the deployment failed.
		// With a token, plain HTTP is answered instead of redirected.
		var shake *handshakeError
		if errors.As(err, &shake) && x.at.HTTP != "" {
			x.plain = true
			continue
		}
		wait := time.NewTimer(provePause)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return fmt.Errorf("%s%s: %w", x.path.Host, x.path.Prefix, why)
		}
	}
}

// handshakeError is a failed TLS handshake with our own listener.
type handshakeError struct{ error }

func (e *handshakeError) Unwrap() error { return e.error }

// ask makes one request and reads who answered.
func (x *proof) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, proveAttempt)
	defer cancel()
	conn, err := x.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	token, err := x.source.mintProof(ctx)
	if err != nil {
		return fmt.Errorf("get a proof token: %w", err)
	}
	// The connection is ours, so the URL's scheme says nothing about it.
	url := "http://" + hostInURL(x.path.Host) + x.path.Prefix
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "Swingbridge-Proof")
	req.Header.Set(proofHeader, token)
	transport := &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableKeepAlives: true,
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) // only for the message
	switch got := resp.Header.Get(deploymentHeader); got {
	case x.deployment:
		return nil
	case "":
		return fmt.Errorf("no deployment answered, but the proxy itself: %s: %.200s", resp.Status, text)
	default:
		return fmt.Errorf("deployment %s answered, not %s", got, x.deployment)
	}
}

// connect dials our own listener as a visitor of the host would.
func (x *proof) connect(ctx context.Context) (net.Conn, error) {
	if x.plain {
		return new(net.Dialer).DialContext(ctx, "tcp", x.at.HTTP)
	}
	c, err := new(net.Dialer).DialContext(ctx, "tcp", x.at.HTTPS)
	if err != nil {
		return nil, err
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
