package pipelinetest

import (
	"context"
	"fmt"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Proxy is a routing table in memory. It survives the server's death.
type Proxy struct {
	w        *World
	table    map[string]pipeline.Entry
	modes    map[string]pipeline.Mode
	inflight map[string]int
	served   []string // deployments in the order in which visitors met them
}

// SetInflight says how many requests are open on a deployment.
func (p *Proxy) SetInflight(deployment string, n int) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.inflight[deployment] = n
}

// Serving is the deployment that visitors of the app are on.
func (p *Proxy) Serving(appID string) string {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.table[appID].Deployment
}

// Served lists the deployments that visitors were on, in order.
func (p *Proxy) Served() []string {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return append([]string(nil), p.served...)
}

// Peek is what the table holds for the app, without a call being made.
func (p *Proxy) Peek(appID string) (pipeline.Entry, error) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	e, ok := p.table[appID]
	if !ok {
		return pipeline.Entry{}, pipeline.ErrNotFound
	}
	return e, nil
}

// Entry implements pipeline.Proxy.
func (p *Proxy) Entry(ctx context.Context, appID string) (pipeline.Entry, error) {
	if err := p.w.call(ctx, "proxy.Entry"); err != nil {
		return pipeline.Entry{}, err
	}
	return p.Peek(appID)
}

// Swing implements pipeline.Proxy.
func (p *Proxy) Swing(ctx context.Context, e pipeline.Entry, was uint64) (pipeline.Swung, error) {
	if err := p.w.call(ctx, "proxy.Swing"); err != nil {
		return pipeline.Swung{}, err
	}
	p.w.mu.Lock()
	if p.table[e.AppID].Version != was {
		p.w.mu.Unlock()
		return pipeline.Swung{}, pipeline.ErrConflict
	}
	e.Version = was + 1
	p.table[e.AppID] = e
	p.served = append(p.served, e.Deployment)
	p.w.mu.Unlock()
	return pipeline.Swung{Version: e.Version, Swap: time.Microsecond}, p.w.ask("proxy.Swing", true)
}

// Drop implements pipeline.Proxy.
func (p *Proxy) Drop(ctx context.Context, appID string) error {
	if err := p.w.call(ctx, "proxy.Drop"); err != nil {
		return err
	}
	p.w.mu.Lock()
	delete(p.table, appID)
	delete(p.modes, appID)
	p.w.mu.Unlock()
	return p.w.ask("proxy.Drop", true)
}

// Inflight implements pipeline.Proxy.
func (p *Proxy) Inflight(ctx context.Context, deployment string) (int, error) {
	if err := p.w.call(ctx, "proxy.Inflight"); err != nil {
		return 0, err
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.inflight[deployment], nil
}

// Prove implements pipeline.Prover.
func (p *Proxy) Prove(ctx context.Context, e pipeline.Entry) error {
	if err := p.w.call(ctx, "proxy.Prove"); err != nil {
		return err
	}
	if at := p.Serving(e.AppID); at != e.Deployment {
		return fmt.Errorf("answered by %s, not by %s", at, e.Deployment)
	}
	return nil
}

// SetMode implements pipeline.Modes.
func (p *Proxy) SetMode(ctx context.Context, appID string, m pipeline.Mode) error {
	if err := p.w.call(ctx, "proxy.SetMode"); err != nil {
		return err
	}
	p.w.mu.Lock()
	_, ok := p.table[appID]
	if ok {
		p.modes[appID] = m
	}
	p.w.mu.Unlock()
	if !ok {
		return pipeline.ErrNotFound
	}
	return p.w.ask("proxy.SetMode", true)
}

// Mode implements pipeline.Modes: a mode that has ended is to serve.
func (p *Proxy) Mode(ctx context.Context, appID string) (pipeline.Mode, error) {
	if err := p.w.call(ctx, "proxy.Mode"); err != nil {
		return pipeline.Mode{}, err
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if _, ok := p.table[appID]; !ok {
		return pipeline.Mode{}, pipeline.ErrNotFound
	}
	return p.modes[appID].At(time.Now()), nil
}
