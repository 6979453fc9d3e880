package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// stopOld ends the containers of the app's deployments that are over, with
// their own signal and grace, and removes them: a rollback makes new ones.
func (x *run) stopOld(ctx context.Context) (string, error) {
	x.live = x.dep // accepted: what was live before is retired
	old, err := x.others(ctx)
	if err != nil {
		return "", err
	}
	over := map[string]bool{}
	for _, c := range old {
		over[c.Owner.Deployment] = true
	}
	for id := range over {
		if err := x.hidePreview(ctx, x.app.ID, id); err != nil {
			return "", err
		}
	}
	if err := x.awaitRest(ctx, slices.Sorted(maps.Keys(over))); err != nil {
		return "", err
	}
	if err := x.stopAll(ctx, old); err != nil {
		return "", err
	}
	if err := x.freeAddresses(ctx); err != nil {
		return "", err
	}
	kept, err := x.retireKept(ctx)
	if err != nil {
		return "", err
	}
	if len(old)+kept == 0 {
		return "", Skip("no other color runs")
	}
	return fmt.Sprintf("%d container(s) stopped and removed", len(old)+kept), nil
}

// freeAddresses frees those of all deployments that are over, also of one whose
// containers an interrupted run has removed.
func (x *run) freeAddresses(ctx context.Context) error {
	holders, err := x.Ledger.AddressHolders(ctx, x.app.ID)
	if err != nil {
		return err
	}
	for _, id := range holders {
		d, err := x.Ledger.Deployment(ctx, id)
		if err != nil {
			return fmt.Errorf("read deployment %s: %w", id, err)
		}
		if id == x.dep.StackID() || d.State == Running || d.State.Serves() {
			continue
		}
		if err := x.Ledger.ReleaseAddresses(ctx, id); err != nil {
			return fmt.Errorf("free addresses: %w", err)
		}
	}
	return nil
}

// awaitRest waits for what is open on those that the drain has not seen to their
// end, because it failed or did not know of them, up to their limit.
func (x *run) awaitRest(ctx context.Context, deployments []string) error {
	rest := slices.DeleteFunc(deployments, func(id string) bool { return slices.Contains(x.drained, id) })
	longest := x.longestDrain(ctx, rest)
	_, err := x.waitDrained(ctx, rest, x.cutAt.Add(longest), longest)
	if err != nil && ctx.Err() == nil {
		x.say("  warning: %v", err) // the limit is over
		return nil
	}
	return err
}

// stopAll stops them beside each other: each has its grace.
func (x *run) stopAll(ctx context.Context, containers []Container) error {
	errs := make([]error, len(containers))
	var wg sync.WaitGroup
	for i, c := range containers {
		wg.Go(func() { errs[i] = x.stopOne(ctx, c) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (x *run) stopOne(ctx context.Context, c Container) error {
	old, err := x.mayDetach(ctx, c)
	switch {
	case err != nil:
		return err
	case old && c.Always:
		return x.detach(ctx, c)
	case old: // it had its signal, and its time
		return x.Engine.Remove(ctx, c.ID)
	}
	if err := x.Engine.SetRestart(ctx, c.ID, false); err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("set restart policy of %s: %w", c.Name, err)
	}
	if err := x.Engine.Stop(ctx, c.ID); err != nil {
		return fmt.Errorf("stop %s: %w", c.Name, err)
	}
	if err := x.Engine.Remove(ctx, c.ID); err != nil {
		return fmt.Errorf("remove %s: %w", c.Name, err)
	}
	return nil
}
