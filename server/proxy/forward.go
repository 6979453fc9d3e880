package proxy

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// forwardModule passes a request to a target and its answer to the visitor.
//
// It is the standard library's proxy and not Caddy's reverse_proxy: choosing
// targets, trying again, counting and ending streams are done here, so that of
// Caddy's there was left what both do, at the price of some 200 small objects
// with each request.
type forwardModule struct {
	Proxy string `json:"proxy"`

	transports *transports
	reverse    httputil.ReverseProxy
}

func (forwardModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.swingbridge_forward", New: func() caddy.Module { return new(forwardModule) }}
}

// Provision makes the connections' pools.
func (m *forwardModule) Provision(caddy.Context) error {
	p, err := known().find(m.Proxy)
	if err != nil {
		return err
	}
	m.transports = newTransports()
	m.reverse = httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      m.transports,
		ModifyResponse: answered101,
		ErrorHandler:   lost,
		ErrorLog:       slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
		BufferPool:     &buffers{sync.Pool{New: func() any { return new([copyBuffer]byte) }}},
	}
	return nil
}

// Cleanup closes what is idle.
func (m *forwardModule) Cleanup() error {
	m.transports.close()
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. The error is why no target
// answered.
func (m *forwardModule) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	v, err := visitOf(r)
	if err != nil {
		return err
	}
	m.reverse.ServeHTTP(w, r)
	return v.lost
}

// visitOf finds the visit that serve made of the request.
func visitOf(r *http.Request) (*visit, error) {
	v, ok := caddyhttp.GetVar(r.Context(), visitKey).(*visit)
	if !ok {
		return nil, fmt.Errorf("request for %s was not routed", r.Host)
	}
	return v, nil
}

// rewrite says in the request for whom we ask. What is left of forwarding
// headers is a trusted proxy's word, see clean.
func rewrite(pr *httputil.ProxyRequest) {
	in, out := pr.In, pr.Out
	out.URL.RawQuery = in.URL.RawQuery // as it came, whatever we would make of it
	client := in.RemoteAddr
	if at, err := netip.ParseAddrPort(client); err == nil {
		client = at.Addr().Unmap().WithZone("").String()
	}
	if before := in.Header["X-Forwarded-For"]; len(before) > 0 {
		client = strings.Join(before, ", ") + ", " + client
	}
	proto := "http"
	if in.TLS != nil {
		proto = "https"
	}
	header := out.Header
	header["X-Forwarded-For"] = []string{client}
	keep(header, in.Header, "X-Forwarded-Proto", proto)
	keep(header, in.Header, "X-Forwarded-Host", in.Host)
	if forwarded := in.Header["Forwarded"]; len(forwarded) > 0 {
		header["Forwarded"] = forwarded
	}
	if len(in.Trailer) > 0 {
		out.Trailer = in.Trailer // what is in it is known at the body's end
	}
	if out.Body != nil {
		out.Body = io.NopCloser(out.Body) // a target that cannot be dialed closes it, and another one wants it
	}
	header.Add("Via", fmt.Sprintf("%d.%d swingbridge", in.ProtoMajor, in.ProtoMinor)) // RFC 9110, 7.6.3
}

// keep leaves a header what it was on the way in, and else sets it.
func keep(out, in http.Header, name, otherwise string) {
	if given := in[name]; len(given) > 0 {
		out[name] = given
		return
	}
	out[name] = []string{otherwise}
}

// answered101 counts an upgrade, which is written past the meter.
func answered101(resp *http.Response) error {
	if resp.StatusCode != http.StatusSwitchingProtocols ||
		!strings.EqualFold(resp.Header.Get("Upgrade"), resp.Request.Header.Get("Upgrade")) {
		return nil // the latter will be refused
	}
	v, err := visitOf(resp.Request)
	if err == nil {
		delete(v.meter.Header(), requestIDHeader) // it would be there twice
		v.meter.head(resp.StatusCode, resp.Header)
	}
	return err
}

// lost keeps the error for serve, which knows what the visitor is to see.
func lost(_ http.ResponseWriter, r *http.Request, err error) {
	if v, _ := visitOf(r); v != nil {
		v.lost = err
	}
}

// Hijack implements http.Hijacker. What the visitor has sent too early is in the
// server's buffer, where a proxy that copies from the connection would leave it.
func (m *meter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(m.ResponseWriterWrapper.ResponseWriter).Hijack()
	if err == nil && rw.Reader.Buffered() > 0 {
		c = &eager{c, rw.Reader}
	}
	return c, rw, err
}

// eager is a connection of which some was read already.
type eager struct {
	net.Conn
	first *bufio.Reader
}

// Read implements net.Conn. The server's buffer is not filled again: to the
// server, the end of what the visitor sends is that of the request.
func (e *eager) Read(p []byte) (int, error) {
	if n := e.first.Buffered(); n > 0 {
		return e.first.Read(p[:min(n, len(p))])
	}
	return e.Conn.Read(p)
}

// CloseWrite says that there is no more to come.
func (e *eager) CloseWrite() error {
	if half, ok := e.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return e.Conn.Close()
}

// copyBuffer is what an answer is copied with, in bytes.
const copyBuffer = 32 << 10

// buffers implements httputil.BufferPool.
type buffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte { return b.pool.Get().(*[copyBuffer]byte)[:] }

// Put implements httputil.BufferPool.
func (b *buffers) Put(buf []byte) { b.pool.Put((*[copyBuffer]byte)(buf)) }
