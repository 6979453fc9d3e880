package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// replace puts a new container in the place of a kept service's. There are never
// two that run: the new one is created, then the old one stopped, then the new
// one started, with visitors held meanwhile. Where that fails the step is undone,
// see keepBack.
func (x *run) replace(ctx context.Context, now keptNow, old Container, others []Container) (keptNow, error) {
	now.order.Carry = carried(now.order, old)
	now.healthy = now.healthy || old.Health == "healthy"
	now.started, now.did = true, "replaced"
	if err := x.clearPlace(ctx, now.order, others); err != nil {
		return now, err
	}
	c, err := x.create(ctx, now.order)
	if err != nil {
		return now, err
	}
	now.id = c.ID
	if old.up() {
		if err := x.hold(ctx, graceOf(now.order)+budgetOf(now.order)); err != nil {
			return now, err
		}
	}
	begun := x.Now()
	if err := x.setAside(ctx, old); err != nil {
		return now, err
	}
	if err := x.Engine.Start(ctx, c.ID); err != nil {
		return now, fmt.Errorf("start container: %w", err)
	}
	if err := x.settleKept(ctx, now); err != nil {
		return now, err
	}
	x.release(ctx)
	now.did += fmt.Sprintf(" (away for %s)", x.Now().Sub(begun).Round(100*time.Millisecond))
	return now, nil
}

// clearPlace removes what is left of deployments that are over. One that would
// be used again stays, if it has the same volumes.
func (x *run) clearPlace(ctx context.Context, o ContainerOrder, others []Container) error {
	for _, c := range others {
		if c.Fingerprint == o.Fingerprint && maps.Equal(c.Anonymous, o.Carry) {
			continue
		}
		if err := x.Engine.Remove(ctx, c.ID); err != nil {
			return fmt.Errorf("remove container %s: %w", c.Name, err)
		}
	}
	return nil
}

// carried are the anonymous volumes of the old container that the new one is to
// have: all but those in whose place it has something else.
func carried(o ContainerOrder, old Container) map[string]string {
	out := maps.Clone(old.Anonymous)
	for _, m := range o.Service.Mounts {
		if m.Volume != "" || m.Bind != nil {
			delete(out, m.Target)
		}
	}
	for target := range o.Service.Tmpfs {
		delete(out, target)
	}
	return out
}

// unusedOf are the old container's anonymous volumes that the new one does not
// have, by the engine's names and where they are. Nothing removes them, and
// nothing but these words leads to them.
func unusedOf(o ContainerOrder, old Container) []string {
	has := carried(o, old)
	var out []string
	for _, target := range slices.Sorted(maps.Keys(old.Anonymous)) {
		if has[target] == "" {
			out = append(out, old.Anonymous[target]+" ("+target+")")
		}
	}
	return out
}

func graceOf(o ContainerOrder) time.Duration { return cmp.Or(o.Service.StopGrace, 10*time.Second) }

// setAside stops a kept service's container for as long as nobody starts it
// again, not even the engine.
func (r *Runner) setAside(ctx context.Context, c Container) error {
	if err := r.Engine.SetPolicy(ctx, c.ID, "no"); err != nil {
		return fmt.Errorf("set restart policy of %s: %w", c.Name, err)
	}
	if err := r.Engine.Stop(ctx, c.ID); err != nil {
		return fmt.Errorf("stop %s: %w", c.Name, err)
	}
	return nil
}
