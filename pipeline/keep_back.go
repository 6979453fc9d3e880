package pipeline

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// keepBack undoes what the step did, or may have done halfway before a crash.
// The containers tell: of a service that was replaced there are two.
func (x *run) keepBack(ctx context.Context) error {
	services := keptServices(x.rel.Stack)
	if x.rel.ID == "" || len(services) == 0 {
		return nil
	}
	done, err := x.Turn(ctx, x.app.ID)
	if err != nil {
		return err
	}
	defer done()
	there, err := x.keptThere(ctx, x.app.ID)
	if err != nil {
		return err
	}
	for _, svc := range slices.Backward(services) {
		order, err := x.keptOrder(x.app, x.rel, svc)
		if err == nil {
			err = x.keepOneBack(ctx, order, there[svc.Name])
		}
		if err != nil {
			return fmt.Errorf("service %s: %w", svc.Name, err)
		}
	}
	x.release(ctx)
	return nil
}

// keepOneBack ends the container that the release made, and starts the one that
// it replaced.
func (x *run) keepOneBack(ctx context.Context, o ContainerOrder, there []Container) error {
	i := slices.IndexFunc(there, func(c Container) bool { return c.Fingerprint == o.Fingerprint })
	if i < 0 {
		return nil
	}
	made := there[i]
	old, _ := currentOf(slices.Delete(slices.Clone(there), i, i+1), "")
	live, kept, err := x.liveKept(o.Owner.Service)
	switch {
	case err != nil || live.Fingerprint == o.Fingerprint:
		return err
	case old.ID == "" && kept:
		return nil
	case old.ID == "":
		return x.putAway(ctx, made)
	case made.up():
		if err := x.hold(ctx, graceOf(o)+budgetOf(o)); err != nil {
			return err
		}
		if err := x.setAside(ctx, made); err != nil {
			return err
		}
	}
	if err := x.Engine.Remove(ctx, made.ID); err != nil {
		return fmt.Errorf("remove container %s: %w", made.Name, err)
	}
	return x.startOld(ctx, live, old)
}

// liveKept is how the live release wants a kept service; kept says whether it
// has it at all. A rollback leaves services of later releases alone.
func (x *run) liveKept(service string) (o ContainerOrder, kept bool, err error) {
	svc, ok := x.liveRel.Stack.Service(service)
	if !ok || svc.Role != stack.Keep {
		return o, x.live.Trigger == Rollback, nil
	}
	o, err = x.keptOrder(x.app, x.liveRel, svc)
	return o, true, err
}

// startOld lets the container run again that was replaced.
func (x *run) startOld(ctx context.Context, o ContainerOrder, old Container) error {
	if old.up() && old.Policy == "no" { // it was told to end, or was about to be
		var err error
		if old, err = x.awaitEnd(ctx, old, undoBudget/2); err != nil {
			return err
		}
	}
	started := !old.up()
	if started {
		if err := x.Engine.Start(ctx, old.ID); err != nil {
			return fmt.Errorf("start %s again: %w", old.Name, err)
		}
	}
	return x.settleKept(ctx, keptNow{order: o, id: old.ID, started: started})
}

// putAway ends the container of a kept service that nothing live has. One with
// volumes that no name leads to is only stopped: the next attempt finds it, and
// what it keeps.
func (r *Runner) putAway(ctx context.Context, c Container) error {
	if c.up() {
		if err := r.setAside(ctx, c); err != nil {
			return err
		}
	}
	if len(c.Anonymous) > 0 {
		return nil
	}
	if err := r.Engine.Remove(ctx, c.ID); err != nil {
		return fmt.Errorf("remove container %s: %w", c.Name, err)
	}
	return nil
}

// retireKept removes the containers of kept services that the release replaced,
// and ends those of services that it no longer has: one whose volumes have no name
// is only stopped. A rollback leaves them.
func (x *run) retireKept(ctx context.Context) (int, error) {
	if x.dep.Trigger == Rollback {
		return 0, nil
	}
	done, err := x.Turn(ctx, x.app.ID)
	if err != nil {
		return 0, err
	}
	defer done()
	there, err := x.keptThere(ctx, x.app.ID)
	if err != nil {
		return 0, err
	}
	gone := 0
	for _, service := range slices.Sorted(maps.Keys(there)) {
		over, err := x.replaced(service, there[service])
		if err != nil {
			return gone, err
		}
		for _, c := range over {
			if !c.up() && c.heirless(x.rel) {
				continue // it was put away before
			}
			if err := x.retireOne(ctx, c); err != nil {
				return gone, err
			}
			gone++
		}
	}
	return gone, nil
}

// heirless reports whether nothing of the release has the container's volumes that
// no name leads to: with the container they would be lost from sight.
func (c Container) heirless(rel Release) bool {
	svc, ok := rel.Stack.Service(c.Owner.Service)
	return len(c.Anonymous) > 0 && (!ok || svc.Role != stack.Keep)
}

func (x *run) retireOne(ctx context.Context, c Container) error {
	if c.heirless(x.rel) {
		x.say("  %s is stopped and kept: its volumes have no name", c.Name)
		return x.putAway(ctx, c)
	}
	if err := x.setAside(ctx, c); err != nil {
		return err
	}
	if err := x.Engine.Remove(ctx, c.ID); err != nil {
		return fmt.Errorf("remove container %s: %w", c.Name, err)
	}
	return nil
}

// replaced are the containers of a kept service that the release has made
// needless: none where something else than the release's runs.
func (x *run) replaced(service string, there []Container) ([]Container, error) {
	svc, ok := x.rel.Stack.Service(service)
	if !ok || svc.Role != stack.Keep {
		return there, nil
	}
	o, err := x.keptOrder(x.app, x.rel, svc)
	if err != nil {
		return nil, err
	}
	current, others := currentOf(there, o.Fingerprint)
	if current.Fingerprint != o.Fingerprint {
		return nil, nil
	}
	return others, nil
}
