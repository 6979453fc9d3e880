package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// start creates the containers of the idle color, of all services, and starts
// those that do not wait for the hand-over. Services that need nothing of each
// other start abreast. Whatever has the same name from an interrupted attempt is
// looked at, not guessed about.
func (x *run) start(ctx context.Context) (string, error) {
	x.containers = nil
	var waiting []stack.Service
	for _, level := range stack.Levels(x.rel.Stack.Services) {
		var web []stack.Service
		for _, svc := range level {
			switch {
			case svc.Role == stack.Worker:
				waiting = append(waiting, svc)
			case svc.Role.Colored():
				web = append(web, svc)
			}
		}
		if err := abreast(web, func(_ int, svc stack.Service) error { return x.awaitHealthy(ctx, svc) }); err != nil {
			return "", err
		}
		if err := x.makeAll(ctx, web, true); err != nil {
			return "", err
		}
	}
	started := len(x.containers)
	if err := x.makeAll(ctx, waiting, false); err != nil {
		return "", err
	}
	seen := fmt.Sprintf("%d container(s) on %s", started, x.dep.Color)
	if n := len(x.containers) - started; n > 0 {
		seen += fmt.Sprintf(", %d made for the hand-over", n)
	}
	return seen, nil
}

// atOnce is how many containers are made and started at the same time: the
// engine, and what starts in them, share the host with what serves.
const atOnce = 4

// abreast does something with all items, a few at a time, and returns the error of
// the first in their order that failed. It waits for all: what is broken off may
// happen at the engine all the same.
func abreast[T any](items []T, do func(i int, item T) error) error {
	errs := make([]error, len(items))
	turn := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, item := range items {
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			errs[i] = do(i, item)
		})
	}
	wg.Wait()
	return cmp.Or(errs...)
}

// awaitHealthy waits for those of this color that the service wants healthy
// before it starts.
func (x *run) awaitHealthy(ctx context.Context, svc stack.Service) error {
	for _, d := range svc.DependsOn {
		on, ok := x.rel.Stack.Service(d.Service)
		if !ok || on.Role != stack.Web || d.Condition != stack.Healthy {
			continue
		}
		on.Probe.Port = 0 // it is asked over the network with all the others
		for _, c := range x.containers {
			if c.Owner.Service != on.Name {
				continue
			}
			if _, err := x.probeOne(ctx, on, c); err != nil {
				if !interrupted(ctx) {
					x.tailLog(context.WithoutCancel(ctx), c)
				}
				return fmt.Errorf("service %s: it waits for %s to be healthy: %w", svc.Name, called(on, c), err)
			}
		}
	}
	return nil
}

// makeAll makes all replicas of the services.
func (x *run) makeAll(ctx context.Context, services []stack.Service, start bool) error {
	var orders []ContainerOrder
	for _, svc := range services {
		for replica := range max(svc.Replicas, 1) {
			o, err := x.order(ctx, svc, replica)
			if err != nil {
				return fmt.Errorf("service %s: %w", svc.Name, err)
			}
			orders = append(orders, o)
		}
	}
	made := make([]Container, len(orders))
	err := abreast(orders, func(i int, o ContainerOrder) (err error) {
		if made[i], err = x.create(ctx, o); err == nil && start {
			made[i], err = x.startOne(ctx, made[i])
		}
		if err != nil {
			return fmt.Errorf("service %s: %w", o.Owner.Service, err)
		}
		return nil
	})
	x.containers = append(x.containers, made...)
	return err
}

func (x *run) startOne(ctx context.Context, c Container) (Container, error) {
	if err := x.Engine.Start(ctx, c.ID); err != nil {
		return Container{}, fmt.Errorf("start container: %w", err)
	}
	c, err := x.Engine.Inspect(ctx, c.ID)
	if err != nil {
		return Container{}, fmt.Errorf("look at container: %w", err)
	}
	return c, nil
}

// order is what a container of the run's color is made of.
func (x *run) order(ctx context.Context, svc stack.Service, replica int) (ContainerOrder, error) {
	o := ContainerOrder{
		Owner: x.owner(svc.Name), Image: x.rel.Images[svc.Name], Service: svc, Volumes: x.rel.Stack.Volumes,
		Links: x.links(svc), Replica: replica, Allowed: x.app.Allow,
	}
	if !routed(x.app, x.rel, svc) {
		return o, nil
	}
	addr, err := x.Ledger.Reserve(ctx, x.dep.StackID(), svc.Name, replica)
	if err != nil {
		return o, fmt.Errorf("reserve an address: %w", err)
	}
	o.Edge = Attachment{Network: x.Edge, Address: addr}
	return o, nil
}

// create makes the container of an order, not started.
func (x *run) create(ctx context.Context, o ContainerOrder) (Container, error) {
	return x.Runner.create(ctx, x.app, x.rel.Stack, o)
}

func (r *Runner) create(ctx context.Context, a App, s stack.Stack, o ContainerOrder) (Container, error) {
	c, err := r.Engine.Ensure(ctx, o)
	if errors.Is(err, ErrNotFound) {
		// The networks were made beside the build, and somebody may have pruned
		// them since: nothing was on them.
		if err := r.ensureNetworks(ctx, a, s, o.Owner.Color); err != nil {
			return Container{}, err
		}
		c, err = r.Engine.Ensure(ctx, o)
	}
	if err != nil {
		return Container{}, fmt.Errorf("create container: %w", err)
	}
	return c, nil
}

// removeNew takes the deployment's containers away again; they have no
// visitors, or had them taken away.
func (x *run) removeNew(ctx context.Context) error {
	there, err := x.Engine.List(ctx, Filter{AppID: x.app.ID, Deployment: x.dep.ID})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	if len(there) > 0 {
		if err := x.hidePreview(ctx, x.app.ID, x.dep.ID); err != nil {
			return err
		}
	}
	for _, c := range there {
		if c.Purpose != "" {
			continue // how a command ended is looked at, see runErrands
		}
		if err := x.Engine.Remove(ctx, c.ID); err != nil {
			return fmt.Errorf("remove container %s: %w", c.Name, err)
		}
	}
	x.containers = nil
	if err := x.Ledger.ReleaseAddresses(ctx, x.dep.ID); err != nil {
		return fmt.Errorf("free addresses: %w", err)
	}
	return x.wakeOld(ctx)
}
