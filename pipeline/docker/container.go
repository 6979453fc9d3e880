package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/swingbridge/swingbridge/pipeline"
)

// How often and how long the engine is looked at where its answer did not come
// or somebody else was faster, and how long after nobody wants it any more.
const (
	lookEvery = 50 * time.Millisecond
	lookFor   = 5 * time.Second
	lookLast  = time.Second
)

// Ensure creates the container under its deterministic name, not started, with
// its networks. A container of that name that is there already is returned as it
// is if it was made of the same order; one of another order is replaced unless
// it runs, and one that is not ours is an error.
//
// A cancellation that comes while the engine is at work is waited out, so that
// an error means that the container is not there. Where it had to be given up
// all the same, the container is looked for once more, and if it is there it is
// returned with the error.
func (e *Engine) Ensure(ctx context.Context, o pipeline.ContainerOrder) (pipeline.Container, error) {
	if ctx.Err() != nil {
		return pipeline.Container{}, context.Cause(ctx)
	}
	inherited, err := e.inheritedEntrypoint(ctx, o)
	if err != nil {
		return pipeline.Container{}, err
	}
	s, err := e.newSpec(o, inherited)
	if err != nil {
		return pipeline.Container{}, err
	}
	long, cancel := outlive(ctx)
	defer cancel()
	if err := e.ensureVolumes(long, o); err != nil {
		return pipeline.Container{}, err
	}
	if err := e.networksThere(long, s.networks()); err != nil {
		return pipeline.Container{}, err
	}
	c, err := e.ensure(long, s)
	if err == nil || answered(err) {
		return c, err
	}
	look, done := looking(ctx)
	defer done()
	found, lookErr := e.appears(look, s.Name)
	switch {
	case lookErr != nil:
		return pipeline.Container{}, err
	case ctx.Err() == nil && e.sameOrder(found, s):
		return e.complete(long, found, s)
	}
	return e.describe(found), fmt.Errorf("%s is there, but how far it got is not known: %w", s.Name, err)
}

// ensure creates, looks and connects until the container is there. It creates
// first: the name is hardly ever in use, and the engine says so if it is.
func (e *Engine) ensure(ctx context.Context, s spec) (pipeline.Container, error) {
	for range lookFor / lookEvery {
		id, err := e.create(ctx, s)
		switch {
		case err == nil:
			return e.equip(ctx, id, s)
		case !cerrdefs.IsConflict(err):
			return pipeline.Container{}, said(err, "create %s", s.Name)
		}
		there, err := e.api.ContainerInspect(ctx, s.Name)
		switch {
		case cerrdefs.IsNotFound(err): // in use a moment ago, not to be seen now: it comes or goes
			if err := pause(ctx, lookEvery); err != nil {
				return pipeline.Container{}, fmt.Errorf("create %s: %w", s.Name, err)
			}
		case err != nil:
			return pipeline.Container{}, said(err, "look at %s", s.Name)
		case e.sameOrder(there, s):
			return e.complete(ctx, there, s)
		default:
			if err := e.clear(ctx, there); err != nil {
				return pipeline.Container{}, err
			}
		}
	}
	return pipeline.Container{}, conflict(errors.New("somebody else makes and removes it"), "create %s", s.Name)
}

// create gives the engine the order and returns the container's ID.
func (e *Engine) create(ctx context.Context, s spec) (string, error) {
	var net *network.NetworkingConfig
	if s.First.Network != "" {
		net = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
			s.First.Network: s.First.endpoint(),
		}}
	}
	var made container.CreateResponse
	err := asked(ctx, func(ctx context.Context) (err error) {
		made, err = e.api.ContainerCreate(ctx, s.Config, s.Host, net, nil, s.Name)
		return err
	})
	return made.ID, err
}

// appears waits until a container of that name is there, or ctx ends.
func (e *Engine) appears(ctx context.Context, name string) (container.InspectResponse, error) {
	for {
		there, err := e.api.ContainerInspect(ctx, name)
		if err == nil {
			return there, nil
		}
		if pauseErr := pause(ctx, lookEvery); pauseErr != nil {
			return container.InspectResponse{}, err
		}
	}
}

// sameOrder reports whether the container was made here of the same spec and can
// still be used.
func (e *Engine) sameOrder(c container.InspectResponse, s spec) bool {
	return e.owns(c) && c.Config.Labels[labelSpec] == s.Config.Labels[labelSpec] &&
		c.State.Status != container.StateRemoving && c.State.Status != container.StateDead
}

// equip gives a container that was just made its files and its networks.
func (e *Engine) equip(ctx context.Context, id string, s spec) (pipeline.Container, error) {
	if err := e.put(ctx, id, s); err != nil {
		there, lookErr := e.mine(ctx, id)
		if lookErr != nil {
			return pipeline.Container{}, err
		}
		return e.describe(there), err
	}
	return e.connect(ctx, id, s)
}

// complete does what is still to do: a crash may have come between creating the
// container and giving it its files and networks. One that ran had them.
func (e *Engine) complete(ctx context.Context, there container.InspectResponse, s spec) (pipeline.Container, error) {
	if there.State.Status == container.StateCreated {
		if err := e.put(ctx, there.ID, s); err != nil {
			return e.describe(there), err
		}
	}
	var missing []link
	for _, l := range s.Rest {
		if there.NetworkSettings.Networks[l.Network] == nil {
			missing = append(missing, l)
		}
	}
	if len(missing) == 0 {
		return e.describe(there), nil
	}
	s.Rest = missing
	return e.connect(ctx, there.ID, s)
}

// connect puts the container on its further networks, if it has any, and looks
// at what came of it.
func (e *Engine) connect(ctx context.Context, id string, s spec) (pipeline.Container, error) {
	errs := make([]error, len(s.Rest))
	for i, l := range s.Rest {
		errs[i] = e.api.NetworkConnect(ctx, l.Network, id, l.endpoint())
	}
	there, lookErr := e.mine(ctx, id)
	if lookErr != nil {
		return pipeline.Container{}, lookErr
	}
	for i, l := range s.Rest {
		if errs[i] != nil && there.NetworkSettings.Networks[l.Network] == nil {
			return e.describe(there), said(errs[i], "connect %s to network %s", s.Name, l.Network)
		}
	}
	return e.describe(there), nil
}

// clear removes a container that has the name but is another order's.
func (e *Engine) clear(ctx context.Context, there container.InspectResponse) error {
	switch {
	case !e.owns(there):
		return conflict(errors.New("it is not this installation's"), "container %s is there", there.Name)
	case there.State.Running:
		return conflict(errors.New("it was made of another order"), "container %s runs", there.Name)
	}
	return e.Remove(ctx, there.ID)
}

// inheritedEntrypoint asks for the image's entrypoint where the order keeps it
// and clears the command, see config.
func (e *Engine) inheritedEntrypoint(ctx context.Context, o pipeline.ContainerOrder) ([]string, error) {
	if o.Service.Command == nil || len(o.Service.Command) > 0 || o.Service.Entrypoint != nil {
		return nil, nil
	}
	image, err := e.api.ImageInspect(ctx, o.Image)
	if err != nil {
		return nil, said(err, "look at image %s", o.Image)
	}
	if image.Config == nil {
		return nil, nil
	}
	return image.Config.Entrypoint, nil
}
