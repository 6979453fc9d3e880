package pipelinetest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Ensure implements pipeline.Containers.
func (e *Engine) Ensure(ctx context.Context, o pipeline.ContainerOrder) (pipeline.Container, error) {
	if err := e.w.call(ctx, "engine.Ensure"); err != nil {
		return pipeline.Container{}, err
	}
	e.w.mu.Lock()
	name := nameOf(o)
	c, ok := e.containers[name]
	if !ok {
		c = &container{
			Container: pipeline.Container{
				ID: name, Name: name, Owner: o.Owner, Replica: o.Replica, Image: o.Image, Status: "created", Edge: o.Edge.Address,
				Grace: o.Service.StopGrace, Purpose: o.Purpose, Fingerprint: o.Fingerprint, Anonymous: o.Carry, Policy: "no",
				Binds: bindsOf(o), Writes: writesOf(o), MadeAs: name, Limits: o.Service.Limits,
			},
			behavior: e.behaviorOf(o),
		}
		if h := o.Service.Health; h != nil {
			c.HasCheck = !h.Disable
		}
		e.addAnonymous(c, o)
		e.containers[name] = c
	}
	if o.Edge.Network != "" && c.links[o.Edge.Network] == nil {
		c.links = map[string][]string{o.Edge.Network: {}}
	}
	err := e.connect(c, o.Links)
	out := c.now()
	e.w.mu.Unlock()
	if err != nil { // made, but not connected
		return out, err
	}
	return out, e.w.ask("engine.Ensure", true)
}

func nameOf(o pipeline.ContainerOrder) string {
	name := fmt.Sprintf("%s-%s-%s-%s", o.Owner.App, o.Owner.Service, o.Owner.Color, o.Owner.Deployment)
	if o.Fingerprint != "" {
		name = fmt.Sprintf("%s-%s-%s", o.Owner.App, o.Owner.Service, o.Fingerprint)
	}
	if o.Purpose != "" {
		name += "-" + o.Purpose
	}
	if o.Replica > 0 {
		name += fmt.Sprintf("-%d", o.Replica)
	}
	return name
}

// Start implements pipeline.Containers.
func (e *Engine) Start(ctx context.Context, id string) error {
	return e.change(ctx, "engine.Start", id, func(c *container) {
		if !c.now().Running {
			e.findDouble(c)
			c.Running, c.Status, c.StartedAt, c.ends = true, "running", time.Now(), time.Time{}
		}
	})
}

// Inspect implements pipeline.Containers.
func (e *Engine) Inspect(ctx context.Context, id string) (pipeline.Container, error) {
	if err := e.w.call(ctx, "engine.Inspect"); err != nil {
		return pipeline.Container{}, err
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	c, ok := e.containers[id]
	if !ok {
		return pipeline.Container{}, fmt.Errorf("container %s: %w", id, pipeline.ErrNotFound)
	}
	return c.now(), nil
}

// List implements pipeline.Containers.
func (e *Engine) List(ctx context.Context, f pipeline.Filter) ([]pipeline.Container, error) {
	if err := e.w.call(ctx, "engine.List"); err != nil {
		return nil, err
	}
	var out []pipeline.Container
	for _, c := range e.Containers() {
		if (f.AppID == "" || f.AppID == c.Owner.AppID) && (f.Deployment == "" || f.Deployment == c.Owner.Deployment) {
			out = append(out, c)
		}
	}
	return out, nil
}

// Remove implements pipeline.Containers.
func (e *Engine) Remove(ctx context.Context, id string) error {
	return e.change(ctx, "engine.Remove", id, func(*container) { delete(e.containers, id) })
}

func (e *Engine) change(ctx context.Context, call, id string, how func(*container)) error {
	if err := e.w.call(ctx, call); err != nil {
		return err
	}
	e.w.mu.Lock()
	if c, ok := e.containers[id]; ok {
		e.effects = append(e.effects, call+" "+c.Name)
		how(c)
	}
	e.w.mu.Unlock()
	return e.w.ask(call, true)
}

// Logs implements pipeline.Containers.
func (e *Engine) Logs(ctx context.Context, id string, _ pipeline.LogOrder) (io.ReadCloser, error) {
	if err := e.w.call(ctx, "engine.Logs"); err != nil {
		return nil, err
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	c, ok := e.containers[id]
	if !ok {
		return nil, pipeline.ErrNotFound
	}
	return io.NopCloser(strings.NewReader(c.behavior.Output)), nil
}

// Effects lists what was done to containers, in order, whoever died meanwhile:
// "engine.Start shop-web-blue-d001".
func (e *Engine) Effects() []string {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	return slices.Clone(e.effects)
}
