package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

const (
	// upFor is how long a container without a health check must run to be up.
	upFor = 2 * time.Second
	// upWithin bounds how long one with a health check may take to be healthy.
	upWithin = 5 * time.Minute
	upPause  = 100 * time.Millisecond
	// undoGrace is what workers of a release that is given up get to finish.
	undoGrace = 30 * time.Second
	// detachFrom is the grace from which on nobody waits for an old worker.
	detachFrom = time.Minute
)

// workers are the release's, those before the cutover or those after it.
func workersOf(rel Release, before bool) []stack.Service {
	var out []stack.Service
	for _, svc := range inOrder(rel.Stack.Services) {
		if svc.Role == stack.Worker && svc.Before == before {
			out = append(out, svc)
		}
	}
	return out
}

// handEarly hands over the workers that must be on the new commit before
// visitors are.
func (x *run) handEarly(ctx context.Context) (string, error) {
	return x.handWorkers(ctx, workersOf(x.rel, true))
}

func (x *run) noEarly() string {
	if len(workersOf(x.rel, true)) == 0 {
		return "no worker comes before the cutover"
	}
	return ""
}

// handOver hands over all other workers, while the guard watches. The guard
// waits for it: a release is accepted with its workers or not at all.
func (x *run) handOver(ctx context.Context) (string, error) {
	todo := workersOf(x.rel, false)
	if len(todo) == 0 {
		x.handed <- nil
		return "", Skip("no worker comes after the cutover")
	}
	seen, err := x.handWorkers(ctx, todo)
	x.handed <- err
	return seen, err
}

// handWorkers starts the new containers of the workers. Of a single one the old
// container ends first; the others' end once the release is accepted.
func (x *run) handWorkers(ctx context.Context, todo []stack.Service) (string, error) {
	begun := x.Now()
	for _, svc := range todo {
		if svc.Single {
			if err := x.restOld(ctx, svc.Name); err != nil {
				return "", fmt.Errorf("service %s: %w", svc.Name, err)
			}
		}
		if err := x.eachWorker(ctx, svc, x.startOne); err != nil {
			return "", err
		}
	}
	count := 0
	for _, svc := range todo {
		err := x.eachWorker(ctx, svc, func(ctx context.Context, c Container) (Container, error) {
			count++
			return x.upForGood(ctx, svc, c)
		})
		if err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d worker(s) up on %s after %s", count, x.dep.Color, x.Now().Sub(begun).Round(time.Millisecond)), nil
}

func (x *run) eachWorker(ctx context.Context, svc stack.Service, do func(context.Context, Container) (Container, error)) error {
	for _, c := range x.colored() {
		if c.Owner.Service != svc.Name {
			continue
		}
		now, err := do(ctx, c)
		if err != nil {
			if !interrupted(ctx) {
				x.tailLog(context.WithoutCancel(ctx), c)
			}
			return fmt.Errorf("%s: %w", called(svc, c), err)
		}
		x.note(now)
	}
	return nil
}

// upForGood waits until the worker is up; from then on the engine keeps it so.
func (x *run) upForGood(ctx context.Context, svc stack.Service, c Container) (Container, error) {
	c, err := x.up(ctx, svc, c)
	if err != nil {
		return c, err
	}
	if err := x.Engine.SetRestart(ctx, c.ID, true); err != nil {
		return c, fmt.Errorf("set restart policy: %w", err)
	}
	c.Always = true
	return c, nil
}

// up waits until a container stays: healthy where it has a health check, else
// running for a while.
func (x *run) up(ctx context.Context, svc stack.Service, c Container) (Container, error) {
	begun := x.Now()
	within := upWithin
	if svc.Probe.Within > 0 {
		within = svc.Probe.Within
	}
	for {
		now, err := x.Engine.Inspect(ctx, c.ID)
		switch {
		case err != nil:
			return c, fmt.Errorf("look at container: %w", err)
		case !now.Running || now.Restarts > c.Restarts:
			return now, errors.New(ending(now))
		case now.Health == "unhealthy":
			return now, errors.New("its health check says unhealthy")
		case now.Health == "healthy", !now.HasCheck && x.Now().Sub(now.StartedAt) >= upFor:
			return now, nil
		case x.Now().Sub(begun) >= within:
			return now, fmt.Errorf("its health check did not become healthy within %s", within)
		}
		if err := sleep(ctx, upPause); err != nil {
			return now, err
		}
	}
}

// colored are the run's containers as they were last seen.
func (x *run) colored() []Container {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.containers)
}

// web are those that visitors reach, directly or not.
func (x *run) web() []Container {
	return slices.DeleteFunc(x.colored(), func(c Container) bool { return c.Owner.Role != stack.Web })
}

// note keeps in mind what a container looks like now.
func (x *run) note(now Container) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i, c := range x.containers {
		if c.ID == now.ID {
			x.containers[i] = now
		}
	}
}

// oldWorkers lists containers of workers of the app that are not this
// deployment's; of one service, or of all for an empty name.
func (x *run) oldWorkers(ctx context.Context, service string) ([]Container, error) {
	there, err := x.Engine.List(ctx, Filter{AppID: x.app.ID})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	return slices.DeleteFunc(there, func(c Container) bool {
		return c.Owner.Role != stack.Worker || c.Owner.Deployment == x.dep.StackID() || c.Purpose != "" ||
			service != "" && c.Owner.Service != service
	}), nil
}

// restOld stops the containers of a single worker, of whatever deployments, and
// keeps them: they are started again if this release is given up.
func (x *run) restOld(ctx context.Context, service string) error {
	old, err := x.oldWorkers(ctx, service)
	if err != nil {
		return err
	}
	for _, c := range old {
		if err := x.Engine.SetRestart(ctx, c.ID, false); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("set restart policy of %s: %w", c.Name, err)
		}
		if err := x.Engine.Stop(ctx, c.ID); err != nil {
			return fmt.Errorf("stop %s: %w", c.Name, err)
		}
	}
	return nil
}

// handBack ends the new workers and starts the old ones again that were stopped
// for them. Visitors go back first.
func (x *run) handBack(ctx context.Context) error {
	x.hurryBack(ctx)
	mine, err := x.Engine.List(ctx, Filter{AppID: x.app.ID, Deployment: x.dep.ID})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	for _, c := range mine {
		if c.Owner.Role != stack.Worker {
			continue
		}
		if err := x.giveUp(ctx, c); err != nil {
			return err
		}
	}
	return x.wakeOld(ctx)
}

// giveUp stops a new worker; one that takes longer is removed with the others of
// its color.
func (x *run) giveUp(ctx context.Context, c Container) error {
	if err := x.Engine.SetRestart(ctx, c.ID, false); err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("set restart policy of %s: %w", c.Name, err)
	}
	return x.stopWithin(ctx, c, undoGrace)
}

// stopWithin stops a container by its own signal, and kills it if it takes longer
// than that: an undo has no time for any grace.
func (x *run) stopWithin(ctx context.Context, c Container, d time.Duration) error {
	short, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err := x.Engine.Stop(short, c.ID)
	switch {
	case err == nil:
		return nil
	case ctx.Err() == nil && short.Err() != nil:
		x.say("  %s did not end within %s", c.Name, d)
		return x.Engine.Remove(ctx, c.ID)
	}
	return fmt.Errorf("stop %s: %w", c.Name, err)
}

// wakeOld starts the live deployment's workers that do not run.
func (x *run) wakeOld(ctx context.Context) error {
	if x.live.ID == "" || x.live.ID == x.dep.ID {
		return nil
	}
	old, err := x.oldWorkers(ctx, "")
	if err != nil {
		return err
	}
	for _, c := range old {
		if c.Owner.Deployment != x.live.StackID() || c.Running && c.Always {
			continue
		}
		if c.Running {
			if c, err = x.awaitEnd(ctx, c, undoGrace); err != nil {
				return err
			}
		}
		if err := x.Engine.Start(ctx, c.ID); err != nil {
			return fmt.Errorf("start %s again: %w", c.Name, err)
		}
		if err := x.Engine.SetRestart(ctx, c.ID, true); err != nil {
			return fmt.Errorf("set restart policy of %s: %w", c.Name, err)
		}
		x.say("%s runs again", c.Name)
	}
	return nil
}

// detaches reports whether nobody waits for the end of an old worker.
func detaches(svc stack.Service) bool {
	return svc.Role == stack.Worker && !svc.Single && (svc.Detach || svc.StopGrace > detachFrom)
}
