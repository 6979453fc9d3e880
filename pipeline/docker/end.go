package docker

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/swingbridge/swingbridge/pipeline"
)

// detachFor is how long the engine is given to take a stop upon itself. It
// carries it through also when nobody waits any more.
const detachFor = time.Second

// Detach has the engine stop the container with its own signal and grace, and
// does not wait for it. Gone is well.
func (e *Engine) Detach(ctx context.Context, id string) error {
	short, cancel := context.WithTimeout(ctx, detachFor)
	defer cancel()
	err := e.Stop(short, id)
	if ctx.Err() == nil && short.Err() != nil {
		return nil
	}
	return err
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
