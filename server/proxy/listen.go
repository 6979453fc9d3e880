package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
)

// listener is a public listener whose connections are known, so that a drain
// can see when the last one is closed.
type listener struct {
	*net.TCPListener
	conns  *conns
	charge <-chan struct{} // nothing is accepted before it is closed
	closed chan struct{}
	close  func() error // of any number of calls the first counts
}

// listen opens the public listeners.
func (p *Proxy) listen(ctx context.Context) (err error) {
	p.conns.open = map[*conn]struct{}{}
	p.conns.closed = make(chan struct{}, 1)
	if p.http, err = p.listenOn(ctx, "http", p.o.HTTP); err != nil {
		return fmt.Errorf("listen on SWINGBRIDGE_HTTP: %w", err)
	}
	if p.https, err = p.listenOn(ctx, "https", p.o.HTTPS); err != nil {
		p.stopListening()
		return fmt.Errorf("listen on SWINGBRIDGE_HTTPS: %w", err)
	}
	p.listenQUIC(ctx)
	return nil
}

// listenOn returns nil for no address. It takes the listener from the process
// that is taken over if that has it.
func (p *Proxy) listenOn(ctx context.Context, name, address string) (*listener, error) {
	if address == "" {
		return nil, nil
	}
	l, err := p.inherit(name, address)
	if err != nil {
		return nil, err
	}
	if l == nil {
		fresh, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		l = fresh.(*net.TCPListener)
	}
	out := &listener{TCPListener: l, conns: &p.conns, charge: p.hands.charge, closed: make(chan struct{})}
	out.close = sync.OnceValue(func() error {
		close(out.closed)
		return l.Close()
	})
	return out, nil
}

func (p *Proxy) stopListening() {
	for _, l := range []*listener{p.http, p.https} {
		if l != nil {
			if err := l.Close(); err != nil {
				p.log.Warn("close a public listener", "error", err)
			}
		}
	}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.charge:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return l.conns.add(c), nil
}

// Close implements net.Listener.
func (l *listener) Close() error { return l.close() }

// address is where the listener can be dialed from this machine, empty if
// there is no listener.
func (l *listener) address() string {
	if l == nil {
		return ""
	}
	at := l.Addr().(*net.TCPAddr).AddrPort()
	if at.Addr().Unmap().IsUnspecified() { // dual-stack: [::] takes IPv4 too
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()).String()
}

// port is the listener's, or the given one if there is no listener.
func (l *listener) port(otherwise int) int {
	if l == nil {
		return otherwise
	}
	return l.Addr().(*net.TCPAddr).Port
}

// portSuffix is what follows the host in an https URL for visitors.
func (l *listener) portSuffix() string {
	if port := l.port(443); port != 443 {
		return ":" + strconv.Itoa(port)
	}
	return ""
}

// conns are the open connections of visitors.
type conns struct {
	mu     sync.Mutex
	open   map[*conn]struct{}
	loose  int           // requests over QUIC
	closed chan struct{} // holds one if a connection was closed since it was read
}

// conn is a visitor's connection. It embeds the concrete type, for its
// CloseWrite and ReadFrom are looked for.
type conn struct {
	*net.TCPConn
	conns *conns
}

func (s *conns) add(c *net.TCPConn) *conn {
	out := &conn{TCPConn: c, conns: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[out] = struct{}{}
	return out
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.conns.mu.Lock()
	delete(c.conns.open, c)
	c.conns.mu.Unlock()
	c.conns.tell()
	return c.TCPConn.Close()
}

// tell wakes who waits for connections to close.
func (s *conns) tell() {
	select {
	case s.closed <- struct{}{}:
	default:
	}
}

func (s *conns) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open) + s.loose
}

// wait returns nil once no connection is open.
func (s *conns) wait(ctx context.Context) error {
	for s.count() > 0 {
		select {
		case <-s.closed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// closeAll cuts what is open.
func (s *conns) closeAll() error {
	s.mu.Lock()
	var all []*conn
	for c := range s.open {
		all = append(all, c)
	}
	s.mu.Unlock()
	var err error
	for _, c := range all {
		err = errors.Join(err, c.Close())
	}
	return err
}
