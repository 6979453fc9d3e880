package proxy

import (
	"context"
	"sync"
)

// gate is what table changes pass. It is shut while another process may be
// reading the table to go on with it.
type gate struct {
	mu   sync.Mutex
	open chan struct{} // nil: it is open; else closed when it opens again
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.open = make(chan struct{})
	}
}

func (g *gate) reopen() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open != nil {
		close(g.open)
		g.open = nil
	}
}

func (g *gate) isShut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open != nil
}

// pass waits until the gate is open, or there is no more use in waiting.
func (g *gate) pass(ctx context.Context, useless <-chan struct{}) {
	for {
		g.mu.Lock()
		open := g.open
		g.mu.Unlock()
		if open == nil {
			return
		}
		select {
		case <-open:
		case <-useless:
			return
		case <-ctx.Done():
			return
		}
	}
}
