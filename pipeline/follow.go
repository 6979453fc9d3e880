package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// followPause is between two attempts to hear the engine's events, or to do
	// what one of them asks for.
	followPause = time.Second
	// heedTries is how often that is tried. By then all was looked at anew.
	heedTries = 15
)

// KeepReconciled reconciles now, whenever the engine comes back, and at each
// tick, until ctx ends. Beside it, it heeds what happens to containers at once.
func (r *Runner) KeepReconciled(ctx context.Context, tick <-chan time.Time, current Current) {
	again := make(chan struct{}, 1)
	var wg sync.WaitGroup
	wg.Go(func() { r.follow(ctx, current, again) })
	defer r.chores.wg.Wait()
	defer wg.Wait()
	for ctx.Err() == nil {
		if err := r.Reconcile(ctx, current); err != nil && ctx.Err() == nil {
			r.Logger.Warn("reconcile", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-tick:
		case <-again:
		}
	}
}

// follow heeds the engine's events. Each time that it begins to hear them, what
// happened before must be looked at.
func (r *Runner) follow(ctx context.Context, current Current, again chan<- struct{}) {
	for ctx.Err() == nil {
		events, err := r.Engine.Events(ctx)
		if err != nil {
			if ctx.Err() == nil {
				r.Logger.Warn("follow the engine's events", "error", err)
			}
		} else {
			select {
			case again <- struct{}{}:
			default:
			}
			r.heedAll(ctx, events, current)
		}
		_ = sleep(ctx, followPause) // why it ends is seen above
	}
}

func (r *Runner) heedAll(ctx context.Context, events <-chan Event, current Current) {
	at := r.edges(ctx)
	failed := map[string]tried{} // by container: what happened to it last is what counts
	try := func(e Event, n int) {
		delete(failed, e.Container)
		err := r.heed(ctx, e, at, current)
		if err == nil || ctx.Err() != nil {
			return
		}
		r.Logger.Warn("heed a container event", "kind", e.Kind, "deployment", e.Deployment, "error", err)
		if n < heedTries {
			failed[e.Container] = tried{e, n}
		}
	}
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case e, open := <-events:
			if !open {
				return
			}
			r.Logger.Debug("container event", "kind", e.Kind, "service", e.Service, "deployment", e.Deployment)
			if e.Kind == "die" || e.Kind == "destroy" || e.Kind == "start" {
				try(e, 1)
			}
		case <-again:
			again = nil
			for _, f := range maps.Clone(failed) {
				try(f.Event, f.times+1)
			}
		}
		if again == nil && len(failed) > 0 {
			again = time.After(followPause)
		}
	}
}

// edges are the containers' addresses by their IDs: one that is gone does not
// tell its address.
func (r *Runner) edges(ctx context.Context) map[string]netip.Addr {
	at := map[string]netip.Addr{}
	there, err := r.Engine.List(ctx, Filter{})
	if err != nil && ctx.Err() == nil {
		r.Logger.Warn("list containers", "error", err)
	}
	for _, c := range there {
		at[c.ID] = c.Edge
	}
	return at
}

// tried is an event that could not be heeded yet.
type tried struct {
	Event
	times int
}

// heed takes a container that ended out of the table before another visitor is
// sent to it, and brings one back that was started again.
func (r *Runner) heed(ctx context.Context, e Event, at map[string]netip.Addr, current Current) error {
	switch e.Kind {
	case "die", "destroy":
		addr, known := at[e.Container]
		if !known {
			c, err := r.Engine.Inspect(ctx, e.Container)
			if errors.Is(err, ErrNotFound) {
				return nil // what names it yet is found at the next tick
			}
			if err != nil {
				return fmt.Errorf("look at container: %w", err)
			}
			addr = c.Edge
		}
		if addr.IsValid() {
			if err := r.Targets.Lose(ctx, e.AppID, addr); err != nil {
				return err
			}
		}
		if e.Kind == "destroy" {
			delete(at, e.Container)
			return r.mendOne(ctx, e.AppID, current)
		}
		return nil
	case "start":
		c, err := r.Engine.Inspect(ctx, e.Container)
		if err != nil {
			return fmt.Errorf("look at container: %w", err)
		}
		at[c.ID] = c.Edge
		return r.pointOne(ctx, e.AppID, current)
	}
	return nil
}

// pointOne is point for the app of that ID.
func (r *Runner) pointOne(ctx context.Context, appID string, current Current) error {
	apps, active, err := current(ctx)
	if err != nil {
		return fmt.Errorf("read what should run: %w", err)
	}
	for _, a := range apps {
		if a.ID == appID {
			return r.point(ctx, a, active)
		}
	}
	return nil
}

// loseStrangers takes addresses out of the table that no container of the app
// has: it ended while nobody looked, and they may be another app's.
func (r *Runner) loseStrangers(ctx context.Context, a App, there []Container) error {
	e, err := r.Proxy.Entry(ctx, a.ID)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrUnreachable) {
		return nil // who asks next says so
	}
	if err != nil {
		return fmt.Errorf("ask the proxy: %w", err)
	}
	if len(strangers(e, there)) == 0 {
		return nil
	}
	// The entry may be younger than the list.
	if there, err = r.Engine.List(ctx, Filter{AppID: a.ID}); err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	for _, addr := range strangers(e, there) {
		r.Logger.Warn("a target in the proxy's table is no container of the app", "app", a.Name, "target", addr)
		if err := r.Targets.Lose(ctx, a.ID, addr); err != nil {
			return fmt.Errorf("lose target %s: %w", addr, err)
		}
	}
	return nil
}

// strangers are the entry's addresses that none of the app's containers has.
func strangers(e Entry, there []Container) []netip.Addr {
	paths := e.Paths
	if e.Preview != nil {
		paths = slices.Concat(paths, e.Preview.Paths)
	}
	var out []netip.Addr
	for _, p := range paths {
		for _, target := range p.Targets {
			known := slices.ContainsFunc(there, func(c Container) bool {
				return c.Owner.AppID == e.AppID && c.Edge == target.Addr()
			})
			if !known && !slices.Contains(out, target.Addr()) {
				out = append(out, target.Addr())
			}
		}
	}
	return out
}
