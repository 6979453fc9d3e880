package pipelinetest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
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
	moved    []time.Time
	visits   map[string][]visits
	asked    error
	streams  map[string]int
}

// visits is what visitors got at a time.
type visits struct {
	at time.Time
	pipeline.Visits
}

// Visit says what visitors of a deployment got just now.
func (p *Proxy) Visit(deployment string, v pipeline.Visits) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.visits[deployment] = append(p.visits[deployment], visits{time.Now(), v})
}

// AnswerAsks says how requests of Ask end from now on.
func (p *Proxy) AnswerAsks(err error) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.asked = err
}

// SetStreams says how many streams are open on a deployment, which SetInflight
// counts among the requests.
func (p *Proxy) SetStreams(deployment string, n int) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.streams[deployment] = n
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

// On is how long visitors have been on the deployment, all times together.
func (p *Proxy) On(deployment string) time.Duration {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	sum := time.Duration(0)
	for i, d := range p.served {
		end := time.Now()
		if i+1 < len(p.moved) {
			end = p.moved[i+1]
		}
		if d == deployment {
			sum += end.Sub(p.moved[i])
		}
	}
	return sum
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
	p.served, p.moved = append(p.served, e.Deployment), append(p.moved, time.Now())
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

// Ask implements pipeline.Prover.
func (p *Proxy) Ask(ctx context.Context, e pipeline.Entry) error {
	if err := p.w.call(ctx, "proxy.Ask"); err != nil {
		return err
	}
	if at := p.Serving(e.AppID); at != e.Deployment {
		return fmt.Errorf("answered by %s, not by %s", at, e.Deployment)
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.asked
}

// Visits implements pipeline.Gauge. It is not among the calls: it is made often
// and changes nothing.
func (p *Proxy) Visits(ctx context.Context, deployment string, from, to time.Time) (pipeline.Visits, error) {
	if err := p.w.glance(ctx, "proxy.Visits"); err != nil {
		return pipeline.Visits{}, err
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	var out pipeline.Visits
	forgotten := time.Now().Add(-time.Minute)
	for _, v := range p.visits[deployment] {
		if v.at.Before(forgotten) || v.at.Before(from.Truncate(time.Second)) || v.at.After(to) {
			continue
		}
		out.P50, out.P95 = max(out.P50, v.P50), max(out.P95, v.P95) // of whole seconds, as the proxy tells them
		if v.at.Before(from) {
			continue
		}
		out.Requests += v.Requests
		out.ServerErrors += v.ServerErrors
		out.DialErrors += v.DialErrors
	}
	return out, nil
}

// Lose implements pipeline.Targets.
func (p *Proxy) Lose(ctx context.Context, appID string, at netip.Addr) error {
	if err := p.w.call(ctx, "proxy.Lose"); err != nil {
		return err
	}
	p.Forget(appID, at)
	return p.w.ask("proxy.Lose", true)
}

// Forget takes an address out of the app's entry, without a call being made.
func (p *Proxy) Forget(appID string, at netip.Addr) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	e, ok := p.table[appID]
	if !ok {
		return
	}
	e.Paths = without(e.Paths, at)
	if e.Preview != nil {
		shown := *e.Preview
		shown.Paths = without(shown.Paths, at)
		e.Preview = &shown
	}
	e.Version++
	p.table[appID] = e
}

func without(paths []pipeline.Path, at netip.Addr) []pipeline.Path {
	paths = slices.Clone(paths)
	for i := range paths {
		paths[i].Targets = slices.DeleteFunc(slices.Clone(paths[i].Targets), func(a netip.AddrPort) bool { return a.Addr() == at })
	}
	return paths
}

// EndStreams implements pipeline.Targets: all of them end halfway.
func (p *Proxy) EndStreams(ctx context.Context, deployment string, by time.Time) (int, error) {
	if err := p.w.call(ctx, "proxy.EndStreams"); err != nil {
		return 0, err
	}
	p.w.mu.Lock()
	n := p.streams[deployment]
	p.streams[deployment] = 0
	p.w.mu.Unlock()
	time.AfterFunc(time.Until(by)/2, func() {
		p.w.mu.Lock()
		defer p.w.mu.Unlock()
		p.inflight[deployment] -= n
	})
	return n, nil
}
