package proxy

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// transportModule sends requests to targets. Which target is decided here, for
// each attempt, and not in Caddy's reverse_proxy: whether a request may be sent
// again depends on how the attempt failed, which is known here.
type transportModule struct {
	alone *http.Transport // for targets without another one beside them
	among *http.Transport // for the others, which are given up sooner
}

func (transportModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.reverse_proxy.transport.swingbridge", New: func() caddy.Module { return new(transportModule) }}
}

// Provision makes the transports.
func (m *transportModule) Provision(caddy.Context) error {
	m.alone, m.among = newTransport(dialTimeout), newTransport(dialOthers)
	return nil
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

// Cleanup closes what is idle.
func (m *transportModule) Cleanup() error {
	m.alone.CloseIdleConnections()
	m.among.CloseIdleConnections()
	return nil
}

// RoundTrip implements http.RoundTripper.
func (m *transportModule) RoundTrip(r *http.Request) (*http.Response, error) {
	v, ok := caddyhttp.GetVar(r.Context(), visitKey).(*visit)
	if !ok {
		return nil, fmt.Errorf("request for %s was not routed", r.Host)
	}
	return v.send(m, r)
}

// to returns the transport for the route's targets.
func (m *transportModule) to(r *route) http.RoundTripper {
	if len(r.targets) > 1 {
		return m.among
	}
	return m.alone
}

// dialError means that nothing of the request was sent.
type dialError struct{ error }

func (e *dialError) Unwrap() error { return e.error }
