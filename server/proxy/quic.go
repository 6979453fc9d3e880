package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// quicNetwork is the name under which Caddy asks for our UDP socket.
const quicNetwork = listenNetwork + "-quic"

// listenQUIC opens the UDP socket for HTTP/3, at the address and port of the
// TLS listener. Without it visitors are served by HTTP/2 all the same, so that
// a port which something else has is no reason not to start.
func (p *Proxy) listenQUIC(ctx context.Context) {
	if p.https == nil || p.o.NoHTTP3 {
		return
	}
	if p.hands.from != nil {
		p.prepareQUIC()
		return
	}
	host, _, _ := net.SplitHostPort(p.o.HTTPS) // it was listened on
	at := net.JoinHostPort(host, strconv.Itoa(p.https.port(0)))
	c, err := (&net.ListenConfig{Control: shared}).ListenPacket(ctx, "udp", at)
	if err != nil {
		p.log.Warn("no HTTP/3: cannot listen on UDP; set SWINGBRIDGE_HTTP3=false if it is not wanted", "address", at, "error", err)
		return
	}
	p.quic = c.(*net.UDPConn)
}

// shared lets the process that takes over bind the port while this one still
// has it. Anyone else is stopped by the TLS listener, which nobody can share.
func shared(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	return errors.Join(err, failed)
}

// handPackets gives Caddy the UDP socket.
func handPackets(_ context.Context, _, host, _ string, _ uint, _ net.ListenConfig) (any, error) {
	id, _ := cutTLS(host)
	p, err := known().find(id)
	if err != nil {
		return nil, err
	}
	if p.quic == nil {
		return nil, fmt.Errorf("proxy %q has no UDP socket", id)
	}
	return p.quic, nil
}

// stopQUIC closes the socket, and with it what is left of its connections.
// Caddy may have closed it before.
func (p *Proxy) stopQUIC() {
	if p.quic == nil {
		return
	}
	if err := p.quic.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		p.log.Warn("close the UDP socket", "error", err)
	}
}

// protocols of the TLS listener.
func (p *Proxy) protocols() list {
	if p.quic == nil {
		return list{"h1", "h2"}
	}
	return list{"h1", "h2", "h3"}
}

// begin counts a request that came without a connection of TCP, so that a drain
// waits for it; the returned function ends it.
func (s *conns) begin() (end func()) {
	s.mu.Lock()
	s.loose++
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		s.loose--
		s.mu.Unlock()
		s.tell()
	}
}
