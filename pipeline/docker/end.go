package docker

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Signal sends the container's own stop signal and does not wait. One that does
// not run, or is gone, is well.
func (e *Engine) Signal(ctx context.Context, id string) error {
	there, err := e.mine(ctx, id)
	switch {
	case errors.Is(err, pipeline.ErrNotFound):
		return nil
	case err != nil:
		return err
	case !there.State.Running:
		return nil
	}
	err = e.api.ContainerKill(ctx, id, cmp.Or(there.Config.StopSignal, "SIGTERM"))
	if cerrdefs.IsNotFound(err) || cerrdefs.IsConflict(err) { // it has ended since
		return nil
	}
	return said(err, "signal %s", there.Name)
}

// Wait returns the container once it does not run any more. An error wrapping
// pipeline.ErrNotFound if it is gone.
func (e *Engine) Wait(ctx context.Context, id string) (pipeline.Container, error) {
	if err := e.check(ctx, id); err != nil {
		return pipeline.Container{}, err
	}
	ended, failed := e.api.ContainerWait(ctx, id, container.WaitConditionNotRunning)
	select {
	case <-ended:
	case err := <-failed:
		if ctx.Err() != nil {
			return pipeline.Container{}, context.Cause(ctx)
		}
		return pipeline.Container{}, said(err, "wait for %s", id)
	}
	return e.Inspect(ctx, id)
}

// SetPolicy sets a restart policy in Compose's words: no, always, unless-stopped,
// on-failure or on-failure:N.
func (e *Engine) SetPolicy(ctx context.Context, id, policy string) error {
	name, count, _ := strings.Cut(policy, ":")
	to := container.RestartPolicy{Name: container.RestartPolicyMode(name)}
	if count != "" {
		n, err := strconv.Atoi(count)
		if err != nil {
			return refused("restart policy %q", policy)
		}
		to.MaximumRetryCount = n
	}
	if err := container.ValidateRestartPolicy(to); err != nil {
		return refused("restart policy %q: %v", policy, err)
	}
	return e.setPolicy(ctx, id, to)
}

// policyOf is a restart policy in Compose's words.
func policyOf(p container.RestartPolicy) string {
	name := cmp.Or(string(p.Name), "no")
	if p.MaximumRetryCount > 0 {
		name += ":" + strconv.Itoa(p.MaximumRetryCount)
	}
	return name
}
