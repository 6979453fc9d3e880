package pipelinetest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"

	"github.com/swingbridge/swingbridge/pipeline"
)

func (e *Engine) connect(c *container, links []pipeline.Link) error {
	for _, l := range links {
		if _, ok := e.networks[l.Network]; !ok {
			return fmt.Errorf("connect %s to network %s: %w", c.Name, l.Network, pipeline.ErrNotFound)
		}
		if c.links == nil {
			c.links = map[string][]string{}
		}
		c.links[l.Network] = l.Aliases
	}
	c.Networks = slices.Sorted(maps.Keys(c.links))
	return nil
}

// Answering lists the containers that run and answer to a name on a network,
// sorted.
func (e *Engine) Answering(network, name string) []string {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	var out []string
	for _, c := range e.containers {
		if aliases, on := c.links[network]; on && c.now().Running && slices.Contains(aliases, name) {
			out = append(out, c.Name)
		}
	}
	slices.Sort(out)
	return out
}

// Listeners implements pipeline.Inside; nothing can be known here.
func (e *Engine) Listeners(ctx context.Context, _ string) ([]netip.AddrPort, error) {
	return nil, e.w.call(ctx, "engine.Listeners")
}

// Dial implements pipeline.Inside: the container at the address answers with
// its commit's status.
func (e *Engine) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	if err := e.w.call(ctx, "engine.Dial"); err != nil {
		return nil, err
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	for _, c := range e.Containers() {
		if c.Edge == at.Addr() && c.Running {
			e.w.mu.Lock()
			status := e.apps[c.Owner.Commit].Status
			e.w.mu.Unlock()
			return answering(status), nil
		}
	}
	return nil, fmt.Errorf("dial %s: connection refused", address)
}

// answering is a connection whose other end answers one HTTP request.
func answering(status int) net.Conn {
	if status == 0 {
		status = http.StatusOK
	}
	near, far := net.Pipe()
	go func() {
		defer func() { _ = far.Close() }()
		if _, err := far.Read(make([]byte, 4096)); err != nil {
			return
		}
		_, _ = fmt.Fprintf(far, "HTTP/1.1 %d %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status, http.StatusText(status))
	}()
	return near
}

// EnsureNetwork implements pipeline.Networks.
func (e *Engine) EnsureNetwork(ctx context.Context, n pipeline.Network) error {
	if err := e.w.call(ctx, "engine.EnsureNetwork"); err != nil {
		return err
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	e.networks[n.Name] = n
	return nil
}

// Subnets implements pipeline.Networks.
func (e *Engine) Subnets(ctx context.Context) (map[string][]netip.Prefix, error) {
	if err := e.w.call(ctx, "engine.Subnets"); err != nil {
		return nil, err
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	out := map[string][]netip.Prefix{}
	for name, n := range e.networks {
		out[name] = []netip.Prefix{n.Subnet}
	}
	return out, nil
}

// RemoveNetwork implements pipeline.Networks.
func (e *Engine) RemoveNetwork(ctx context.Context, name string) error {
	if err := e.w.call(ctx, "engine.RemoveNetwork"); err != nil {
		return err
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	delete(e.networks, name)
	return nil
}

// Join implements pipeline.Networks.
func (e *Engine) Join(ctx context.Context, id string, l pipeline.Link) error {
	if err := e.w.call(ctx, "engine.Join"); err != nil {
		return err
	}
	e.w.mu.Lock()
	c, ok := e.containers[id]
	if !ok {
		e.w.mu.Unlock()
		return fmt.Errorf("container %s: %w", id, pipeline.ErrNotFound)
	}
	err := e.connect(c, []pipeline.Link{l})
	e.w.mu.Unlock()
	if err != nil {
		return err
	}
	return e.w.ask("engine.Join", true)
}

// Leave implements pipeline.Networks.
func (e *Engine) Leave(ctx context.Context, id, network string) error {
	return e.change(ctx, "engine.Leave", id, func(c *container) {
		delete(c.links, network)
		c.Networks = slices.Sorted(maps.Keys(c.links))
	})
}
