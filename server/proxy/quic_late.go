package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// tryBind is how often a process that took over tries to have the UDP port.
const tryBind = 100 * time.Millisecond

// prepareQUIC makes a UDP socket without an address. Packets of one port go to
// one process, and connections of QUIC are known only to the process that has
// them: the port is free once the process that is taken over has ended those.
// Caddy wants the socket at its start.
func (p *Proxy) prepareQUIC() {
	c, err := p.unbound()
	if err != nil {
		p.log.Warn("no HTTP/3: cannot make a UDP socket", "error", err)
		return
	}
	p.quic = c
}

// unbound makes a socket of the TLS listener's address family.
func (p *Proxy) unbound() (*net.UDPConn, error) {
	at, only6, err := p.tlsSockaddr()
	if err != nil {
		return nil, err
	}
	family := syscall.AF_INET
	if _, six := at.(*syscall.SockaddrInet6); six {
		family = syscall.AF_INET6
	}
	fd, err := syscall.Socket(family, syscall.SOCK_DGRAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), "udp")
	defer f.Close() // what is made of it has its own
	if family == syscall.AF_INET6 {
		if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, only6); err != nil {
			return nil, fmt.Errorf("make socket: %w", err)
		}
	}
	c, err := net.FilePacketConn(f)
	if err != nil {
		return nil, fmt.Errorf("make socket: %w", err)
	}
	return c.(*net.UDPConn), nil
}

// tlsSockaddr is where the TLS listener listens, and whether on IPv6 only.
func (p *Proxy) tlsSockaddr() (at syscall.Sockaddr, only6 int, err error) {
	raw, err := p.https.SyscallConn()
	if err != nil {
		return nil, 0, err
	}
	var inner error
	err = raw.Control(func(fd uintptr) {
		if at, inner = syscall.Getsockname(int(fd)); inner != nil {
			return
		}
		if _, six := at.(*syscall.SockaddrInet6); six {
			only6, inner = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY)
		}
	})
	return at, only6, errors.Join(err, inner)
}

// bindQUIC gives the socket its address as soon as it is free. HTTP/3 is served
// from then on; visitors who try before are served by HTTP/2.
func (p *Proxy) bindQUIC(ctx context.Context) {
	if p.quic == nil {
		return
	}
	at, _, err := p.tlsSockaddr()
	for err == nil {
		if err = p.bind(at); err == nil {
			p.log.Info("HTTP/3 goes on here")
			return
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
		wait := time.NewTimer(tryBind)
		select {
		case <-wait.C:
			err = nil
		case <-ctx.Done():
			wait.Stop()
			return
		case <-p.leaving:
			wait.Stop()
			return
		}
	}
	p.log.Warn("no HTTP/3: cannot listen on UDP", "error", err)
}

func (p *Proxy) bind(at syscall.Sockaddr) error {
	raw, err := p.quic.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) { inner = syscall.Bind(int(fd), at) })
	return errors.Join(err, inner)
}
