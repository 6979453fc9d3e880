package proxy

import (
	"context"
	"net/netip"
	"slices"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Lose takes an address out of the app's paths and out of its preview's, at
// once: its container died, and the address may become another app's. Gone is
// well.
//
// Unlike other changes it takes effect before it is on disk: to ask a stranger
// would be worse than to ask, after a crash, whoever answers there then.
func (p *Proxy) Lose(ctx context.Context, appID string, at netip.Addr) error {
	p.changes.Lock()
	defer p.changes.Unlock()
	cur := p.table.Load()
	old := cur.apps[appID]
	if old == nil {
		return p.settle()
	}
	e, lost := without(old.Entry, at)
	if !lost {
		return p.settle()
	}
	e.Version = cur.seq + 1
	made := p.entry(e)
	next, err := cur.with(made)
	if err != nil {
		return err
	}
	p.swap(next)
	p.log.WarnContext(ctx, "target lost", "app", e.App, "deployment", e.Deployment, "target", at)
	p.unsaved = true
	return p.settle()
}

// settle writes the table if an address was lost in memory only. The caller
// holds p.changes.
func (p *Proxy) settle() error {
	if !p.unsaved {
		return nil
	}
	_, err := p.persist(p.table.Load())
	return err
}

// without returns the entry without the address, and whether it had it.
func without(e pipeline.Entry, at netip.Addr) (pipeline.Entry, bool) {
	lost := false
	cut := func(paths []pipeline.Path) []pipeline.Path {
		paths = slices.Clone(paths)
		for i := range paths {
			n := len(paths[i].Targets)
			paths[i].Targets = slices.DeleteFunc(slices.Clone(paths[i].Targets), func(a netip.AddrPort) bool { return a.Addr() == at })
			lost = lost || len(paths[i].Targets) < n
		}
		return paths
	}
	e.Paths = cut(e.Paths)
	if e.Preview != nil {
		shown := *e.Preview
		shown.Paths = cut(shown.Paths)
		e.Preview = &shown
	}
	return e, lost
}
