package proxy

import (
	"context"
	"net"
	"net/http"
	"time"
)

// transports send requests to targets. Which target is decided here, for each
// attempt: whether a request may be sent again depends on how the attempt
// failed, which is known here.
type transports struct {
	alone *http.Transport // for targets without another one beside them
	among *http.Transport // for the others, which are given up sooner
}

func newTransports() *transports {
	return &transports{alone: newTransport(dialTimeout), among: newTransport(dialOthers)}
}

func newTransport(longest time.Duration) *http.Transport {
	d := net.Dialer{Timeout: longest}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := d.DialContext(ctx, network, address)
			if err != nil {
				return nil, &dialError{err}
			}
			return c, nil
		},
		DisableCompression:  true, // what the app sends passes unchanged
		MaxIdleConnsPerHost: 128,
		IdleConnTimeout:     keepUpstream,
	}
}

// close closes what is idle.
func (t *transports) close() {
	t.alone.CloseIdleConnections()
	t.among.CloseIdleConnections()
}

// RoundTrip implements http.RoundTripper.
func (t *transports) RoundTrip(r *http.Request) (*http.Response, error) {
	v, err := visitOf(r)
	if err != nil {
		return nil, err
	}
	return v.send(t, r)
}

// to returns the transport for the route's targets.
func (t *transports) to(r *route) http.RoundTripper {
	if len(r.targets) > 1 {
		return t.among
	}
	return t.alone
}

// dialError means that nothing of the request was sent.
type dialError struct{ error }

func (e *dialError) Unwrap() error { return e.error }
