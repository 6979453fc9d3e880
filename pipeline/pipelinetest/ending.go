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

// Linger makes a container that is there take its time after its stop signal.
func (e *Engine) Linger(id string, lingers time.Duration) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	if c, ok := e.containers[id]; ok {
		c.behavior.Lingers = lingers
	}
}

// Stop implements pipeline.Containers: the container ends at once, unless its
// Behavior lingers. The engine carries a stop through that it has begun.
func (e *Engine) Stop(ctx context.Context, id string) error {
	lingers := false
	err := e.change(ctx, "engine.Stop", id, func(c *container) {
		if lingers = c.now().Running && c.behavior.Lingers > 0; !lingers {
			c.Running, c.Status = false, "exited"
		} else if c.ends.IsZero() {
			c.ends = time.Now().Add(c.behavior.Lingers)
		}
	})
	if err != nil || !lingers {
		return err
	}
	_, err = e.Wait(ctx, id)
	return err
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
