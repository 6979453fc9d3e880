package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Join puts a container of ours on a further network of ours, running or not.
// There already is well.
func (e *Engine) Join(ctx context.Context, id string, l pipeline.Link) error {
	if !e.ourNetwork(l.Network) {
		return refused("network %q is not this installation's", l.Network)
	}
	there, err := e.mine(ctx, id)
	if err != nil {
		return err
	}
	if there.NetworkSettings.Networks[l.Network] != nil {
		return nil
	}
	if !there.State.Running {
		if err := e.networksThere(ctx, []string{l.Network}); err != nil {
			return err
		}
	}
	err = e.api.NetworkConnect(ctx, l.Network, id, link{Network: l.Network, Aliases: l.Aliases}.endpoint())
	if err == nil {
		return nil
	}
	if now, lookErr := e.mine(ctx, id); lookErr == nil && now.NetworkSettings.Networks[l.Network] != nil {
		return nil // somebody was faster, or the answer was lost
	}
	return said(err, "connect %s to network %s", there.Name, l.Network)
}

// networksThere fails with ErrNotFound where one of the networks is not on the
// engine. For a container that does not run the engine takes any name, and says
// no only when it is to start.
func (e *Engine) networksThere(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	filter := filters.NewArgs()
	for _, name := range names {
		filter.Add("name", name)
	}
	list, err := e.api.NetworkList(ctx, network.ListOptions{Filters: filter})
	if err != nil {
		return said(err, "look for the networks")
	}
	for _, name := range names {
		if !slices.ContainsFunc(list, func(n network.Summary) bool { return n.Name == name }) {
			return fmt.Errorf("network %s: %w", name, pipeline.ErrNotFound)
		}
	}
	return nil
}

// networks are the names of those that the container is to be on.
func (s spec) networks() []string {
	var out []string
	if s.First.Network != "" {
		out = append(out, s.First.Network)
	}
	for _, l := range s.Rest {
		out = append(out, l.Network)
	}
	return out
}

// Leave takes a container of ours off a network. Not there is well.
func (e *Engine) Leave(ctx context.Context, id, name string) error {
	there, err := e.mine(ctx, id)
	switch {
	case errors.Is(err, pipeline.ErrNotFound):
		return nil
	case err != nil:
		return err
	case there.NetworkSettings.Networks[name] == nil:
		return nil
	}
	err = e.api.NetworkDisconnect(ctx, name, id, false)
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	return said(err, "take %s off network %s", there.Name, name)
}
