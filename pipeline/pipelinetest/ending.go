package pipelinetest

import (
	"context"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// SetRestart implements pipeline.Containers.
func (e *Engine) SetRestart(ctx context.Context, id string, always bool) error {
	return e.change(ctx, "engine.SetRestart", id, func(c *container) {
		c.Always, c.Policy = always, "no"
		if always {
			c.Policy = "always"
		}
	})
}

// SetPolicy implements pipeline.Containers.
func (e *Engine) SetPolicy(ctx context.Context, id, policy string) error {
	return e.change(ctx, "engine.SetPolicy", id, func(c *container) { c.Always, c.Policy = policy == "always", policy })
}

// Detach implements pipeline.Containers: the container ends at once, unless its
// Behavior lingers.
func (e *Engine) Detach(ctx context.Context, id string) error {
	return e.change(ctx, "engine.Detach", id, func(c *container) {
		if c.behavior.Lingers > 0 {
			c.behavior.ExitAfter = time.Since(c.StartedAt) + c.behavior.Lingers
			return
		}
		c.Running, c.Status = false, "exited"
	})
}

// Wait implements pipeline.Containers.
func (e *Engine) Wait(ctx context.Context, id string) (pipeline.Container, error) {
	for {
		c, err := e.Inspect(ctx, id)
		if err != nil || !c.Running {
			return c, err
		}
		select {
		case <-ctx.Done():
			return c, context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}
