package pipelinetest

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Engine is a container engine in memory.
type Engine struct {
	w          *World
	images     map[string]string // tag to ID
	pulled     map[string]string // reference to ID
	room, size int64             // for images that are built, and of each; see SetRoom
	containers map[string]*container
	networks   map[string]pipeline.Network
	apps       map[string]Behavior // by commit
	heard      []chan pipeline.Event
	doubles    []string
	effects    []string // see Effects
	volumes    int      // that were made
}

type container struct {
	pipeline.Container
	behavior Behavior
	links    map[string][]string // network to names
	ends     time.Time           // it was told to end, and will then
}

// Containers lists what there is, sorted by name.
func (e *Engine) Containers() []pipeline.Container {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	var out []pipeline.Container
	for _, c := range e.containers {
		out = append(out, c.now())
	}
	slices.SortFunc(out, func(a, b pipeline.Container) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Running counts the service's containers that run.
func (e *Engine) Running(service string) int {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	n := 0
	for _, c := range e.containers {
		if c.Owner.Service == service && c.now().Running {
			n++
		}
	}
	return n
}

// Events implements pipeline.Watcher. A container's end by its own Behavior is
// not told: runs look themselves.
func (e *Engine) Events(ctx context.Context) (<-chan pipeline.Event, error) {
	if err := e.w.call(ctx, "engine.Events"); err != nil {
		return nil, err
	}
	out := make(chan pipeline.Event, 100) // more than any test makes
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	e.heard = append(e.heard, out)
	return out, nil
}

// Restart is what the engine does with a container that ended and is always to
// run.
func (e *Engine) Restart(id string) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	if c, ok := e.containers[id]; ok {
		c.Restarts++
		c.Running, c.Status, c.StartedAt = true, "running", time.Now()
	}
}

// Tell tells those who hear the engine's events of a container's.
func (e *Engine) Tell(id, kind string) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	event := pipeline.Event{Container: id, Kind: kind, At: time.Now()}
	if c, ok := e.containers[id]; ok {
		event.AppID, event.Deployment, event.Service = c.Owner.AppID, c.Owner.Deployment, c.Owner.Service
	}
	for _, to := range e.heard {
		select {
		case to <- event:
		default: // nobody hears any more
		}
	}
}
