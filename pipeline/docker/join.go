package docker

import (
	"context"
	"errors"

	cerrdefs "github.com/containerd/errdefs"

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
	err = e.api.NetworkConnect(ctx, l.Network, id, link{Network: l.Network, Aliases: l.Aliases}.endpoint())
	if err == nil {
		return nil
	}
	if now, lookErr := e.mine(ctx, id); lookErr == nil && now.NetworkSettings.Networks[l.Network] != nil {
		return nil // somebody was faster, or the answer was lost
	}
	return said(err, "connect %s to network %s", there.Name, l.Network)
}

// Leave takes a container of ours off a network. Not there is well.
func (e *Engine) Leave(ctx context.Context, id, network string) error {
	there, err := e.mine(ctx, id)
	switch {
	case errors.Is(err, pipeline.ErrNotFound):
		return nil
	case err != nil:
		return err
	case there.NetworkSettings.Networks[network] == nil:
		return nil
	}
	err = e.api.NetworkDisconnect(ctx, network, id, false)
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	return said(err, "take %s off network %s", there.Name, network)
}
