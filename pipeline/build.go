package pipeline

import (
	"context"
	"fmt"
	"sync"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// build makes the images that are missing and, beside that, the app's networks.
// Where the build fails they stay: they are the app's, not the attempt's.
func (x *run) build(ctx context.Context) (string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var network sync.WaitGroup
	var noNetwork error
	network.Go(func() {
		if noNetwork = x.ensureNetworks(ctx); noNetwork != nil {
			cancel(noNetwork)
		}
	})
	seen, err := x.images(ctx)
	network.Wait()
	if noNetwork != nil {
		return "", noNetwork
	}
	return seen, err
}

// images makes the images that are missing, and places what binds name; with
// them the release is known.
func (x *run) images(ctx context.Context) (string, error) {
	if x.dep.Trigger == Rollback {
		return "", x.imagesThere(ctx)
	}
	if err := x.makeRoom(ctx); err != nil {
		return "", err
	}
	built := 0
	for _, s := range x.supplies {
		id, cached, err := x.obtain(ctx, s)
		if err != nil {
			return "", fmt.Errorf("service %s: %w", s.services[0], err)
		}
		if !cached {
			built++
		}
		for _, service := range s.services {
			x.rel.Images[service] = id
		}
	}
	if err := x.place(ctx); err != nil {
		return "", err
	}
	x.rel.ID = NewID(x.Now())
	x.found.Release = &x.rel
	if built == 0 {
		return "nothing to build, the images are there", nil
	}
	return fmt.Sprintf("%d image(s) built", built), nil
}

// obtain makes one image, or finds it there.
func (x *run) obtain(ctx context.Context, s supply) (id string, cached bool, err error) {
	if s.build == nil {
		id, err = x.Engine.Pull(ctx, s.pull, x.log)
		return id, true, err
	}
	return x.Engine.Build(ctx, *s.build, x.log)
}

// imagesThere makes sure that a rollback can be started at all.
func (x *run) imagesThere(ctx context.Context) error {
	for service, id := range x.rel.Images {
		if svc, _ := x.rel.Stack.Service(service); svc.Role == stack.Keep {
			continue // what is there is left alone
		}
		there, err := x.Engine.HasImage(ctx, id)
		if err != nil {
			return fmt.Errorf("look for the image of %s: %w", service, err)
		}
		if !there {
			return fmt.Errorf("the image of %s is no longer on the engine: deploy commit %s again instead of rolling back", service, Short(x.rel.Commit))
		}
	}
	if err := x.placedThere(ctx); err != nil {
		return err
	}
	return Skip("the images of this release are there")
}

func (x *run) owner(service string) Owner {
	svc, _ := x.rel.Stack.Service(service)
	return Owner{
		App: x.app.Name, AppID: x.app.ID, Service: service, Color: x.dep.Color,
		Deployment: x.dep.StackID(), Commit: x.dep.Commit, Repo: x.app.Repo,
		Role: svc.Role,
	}
}
