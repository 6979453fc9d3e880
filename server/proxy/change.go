package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Entry returns what the table holds for the app; pipeline.ErrNotFound if
// nothing.
func (p *Proxy) Entry(_ context.Context, appID string) (pipeline.Entry, error) {
	e := p.table.Load().apps[appID]
	if e == nil {
		return pipeline.Entry{}, fmt.Errorf("app %s in the proxy's table: %w", appID, pipeline.ErrNotFound)
	}
	return e.Entry, nil
}

// Swing puts the entry in the table if the app's entry still has version was.
// It is on disk before it takes effect; once Swing has returned, no new request
// reaches a target that the entry does not name. A call whose answer was lost
// may have happened: ask Entry.
func (p *Proxy) Swing(ctx context.Context, e pipeline.Entry, was uint64) (pipeline.Swung, error) {
	if err := p.valid(&e); err != nil {
		return pipeline.Swung{}, err
	}
	p.changes.Lock()
	defer p.changes.Unlock()
	if err := ctx.Err(); err != nil {
		return pipeline.Swung{}, err
	}
	if err := p.unchanged(e.AppID, was); err != nil {
		return pipeline.Swung{}, err
	}
	begin := time.Now()
	e.Version = p.table.Load().seq + 1
	made := p.entry(e)
	next, err := p.table.Load().with(made)
	if err != nil {
		return pipeline.Swung{}, err
	}
	built := time.Since(begin)
	durable, err := p.persist(next)
	if err != nil {
		return pipeline.Swung{}, err
	}
	begin = time.Now()
	p.swap(next)
	made.trust()
	swung := pipeline.Swung{Version: e.Version, Swap: built + time.Since(begin), Durable: durable}
	p.forget()
	p.log.InfoContext(ctx, "table swung", "app", e.App, "deployment", e.Deployment, "color", e.Color,
		"version", e.Version, "swap", swung.Swap, "durable", durable)
	return swung, nil
}

// Drop takes the app out of the table. Gone is well.
func (p *Proxy) Drop(ctx context.Context, appID string) error {
	return p.drop(ctx, appID, nil)
}

// drop removes the entry, if it has the version where one is given.
func (p *Proxy) drop(ctx context.Context, appID string, was *uint64) error {
	p.changes.Lock()
	defer p.changes.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	cur := p.table.Load()
	if cur.apps[appID] == nil {
		return nil
	}
	if was != nil {
		if err := p.unchanged(appID, *was); err != nil {
			return err
		}
	}
	next := cur.without(appID)
	next.seq++ // versions never repeat, also not for an app that comes back
	if _, err := p.persist(next); err != nil {
		return err
	}
	p.swap(next)
	p.forget()
	p.log.InfoContext(ctx, "routes dropped", "app", cur.apps[appID].App)
	return nil
}

// Inflight counts requests and streams that are open on the deployment's
// targets, in this process and in those that it took over from. Once it is 0
// for a deployment that the table no longer names, it stays 0.
func (p *Proxy) Inflight(_ context.Context, deployment string) (int, error) {
	n := p.hands.from.count(deployment)
	p.changes.Lock()
	defer p.changes.Unlock()
	if t := p.traffic[deployment]; t != nil {
		n += int(t.inflight.Load())
	}
	return n, nil
}

func (p *Proxy) unchanged(appID string, was uint64) error {
	var have uint64
	if e := p.table.Load().apps[appID]; e != nil {
		have = e.Version
	}
	if have != was {
		return fmt.Errorf("the table has version %d of app %s, not %d: %w", have, appID, was, pipeline.ErrConflict)
	}
	return nil
}

// persist writes the table. Where that fails after the file was replaced, the
// old table is written back, so that a restart does not serve what the caller
// was told did not happen.
func (p *Proxy) persist(next *table) (time.Duration, error) {
	if p.hands.changes.isShut() {
		return 0, fmt.Errorf("change the routing table: %w", errNotNow)
	}
	begin := time.Now()
	if err := p.save(next); err != nil {
		err = fmt.Errorf("write the routing table: %w", err)
		if undo := p.save(p.table.Load()); undo != nil {
			err = errors.Join(err, fmt.Errorf("write back the table before it: %w", undo))
		}
		return 0, err
	}
	p.unsaved = false
	return time.Since(begin), nil
}

// valid checks what a table entry must have and fills in defaults.
func (p *Proxy) valid(e *pipeline.Entry) error {
	if e.AppID == "" || e.Deployment == "" {
		return fmt.Errorf("%w table entry: it needs an app and a deployment", pipeline.ErrInvalid)
	}
	if err := p.validRedirects(e); err != nil {
		return err
	}
	e.Paths = slices.Clone(e.Paths)
	if err := p.validPaths(e.Paths); err != nil {
		return err
	}
	return p.validPreview(e)
}

func (p *Proxy) validPaths(paths []pipeline.Path) error {
	for i := range paths {
		path := &paths[i]
		path.Host = canonicalHost(path.Host)
		if path.Prefix == "" {
			path.Prefix = "/"
		}
		switch {
		case path.Host == "" || !strings.HasPrefix(path.Prefix, "/"):
			return fmt.Errorf("%w route %q%q: it needs a host, and a path that begins with /", pipeline.ErrInvalid, path.Host, path.Prefix)
		case path.Host == p.o.ControlPlane.Host:
			return fmt.Errorf("%w route %s%s: this host is Swingbridge's own", pipeline.ErrInvalid, path.Host, path.Prefix)
		}
		for _, addr := range path.Targets {
			if !addr.IsValid() || addr.Port() == 0 || addr.Addr().IsUnspecified() {
				return fmt.Errorf("%w target %s of route %s%s", pipeline.ErrInvalid, addr, path.Host, path.Prefix)
			}
		}
	}
	return nil
}

// swap makes the table the one that requests are routed by, and wakes those
// that wait. The caller holds p.changes.
func (p *Proxy) swap(next *table) {
	old := p.table.Swap(next)
	close(old.replaced)
}

// entry makes the table's form of e. A deployment keeps its counters, its
// targets theirs, and the app its mode, over any number of changes. The caller
// holds p.changes.
func (p *Proxy) entry(e pipeline.Entry) *entry {
	out := &entry{Entry: e, since: p.o.Now(), traffic: p.trafficOf(e), hsts: p.o.hsts(e.Front), counters: p.countersOf(e.AppID)}
	if old := p.table.Load().apps[e.AppID]; old != nil {
		out.mode, out.room = old.mode, old.room
	} else {
		out.room = new(room)
	}
	for _, path := range e.Paths {
		out.routes = append(out.routes, &route{
			host: path.Host, prefix: path.Prefix, entry: out, traffic: out.traffic, targets: out.traffic.targetsAt(path.Targets),
		})
	}
	out.preview = p.preview(out)
	out.encoded = encodeEntry(e)
	return out
}

// encodeEntry is the entry as it is in the table file.
func encodeEntry(e pipeline.Entry) []byte {
	raw, _ := json.Marshal(e) // strings, numbers and addresses: it cannot fail
	return raw
}

// remade is the entry once more, for a table in which something else of it is
// to change.
func (p *Proxy) remade(old *entry) *entry {
	e := p.entry(old.Entry)
	e.since = old.since
	return e
}

// trust begins anew with the deployment that visitors are swung to. Who names
// its targets has looked at them, so what they failed before is forgiven, and
// its streams need not end.
func (e *entry) trust() {
	for _, r := range e.routes {
		for _, t := range r.targets {
			t.forgive()
		}
	}
	e.traffic.streams.keep()
}

// trafficOf is what counts for e's deployment. The caller holds p.changes.
func (p *Proxy) trafficOf(e pipeline.Entry) *traffic {
	t := p.traffic[e.Deployment]
	if t == nil {
		t = newTraffic(e.Deployment, p.o.Now)
		p.traffic[e.Deployment] = t
	}
	t.belongsTo(e)
	return t
}

// forget lets go of deployments that left the table, are drained and whose
// numbers no page shows any more. The caller holds p.changes.
func (p *Proxy) forget() {
	t := p.table.Load()
	for id, tr := range p.traffic {
		e := t.apps[tr.appID]
		if (e == nil || !e.names(id)) && tr.inflight.Load() == 0 && tr.quiet() {
			delete(p.traffic, id)
		}
	}
	for id := range p.counters {
		if t.apps[id] == nil {
			delete(p.counters, id)
		}
	}
}

// names reports whether requests may go to the deployment.
func (e *entry) names(deployment string) bool {
	return e.Deployment == deployment || e.Preview != nil && e.Preview.Deployment == deployment
}
