package pipelinetest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Build implements pipeline.Images.
func (e *Engine) Build(ctx context.Context, b pipeline.BuildOrder, log io.Writer) (string, bool, error) {
	if err := e.w.call(ctx, "engine.Build"); err != nil {
		return "", false, err
	}
	_, _ = fmt.Fprintf(log, "building %s\n", b.Owner.Service)
	e.w.mu.Lock()
	takes := e.apps[b.Owner.Commit].BuildTime
	e.w.mu.Unlock()
	if takes > 0 {
		select {
		case <-ctx.Done():
			return "", false, ctx.Err()
		case <-time.After(takes):
		}
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	if err := e.apps[b.Owner.Commit].BuildError; err != nil {
		return "", false, err
	}
	if id, ok := e.images[b.Key]; ok {
		return id, true, nil
	}
	id := "sha256:" + b.Key
	e.images[b.Key] = id
	return id, false, nil
}

// HasImage implements pipeline.Images.
func (e *Engine) HasImage(ctx context.Context, id string) (bool, error) {
	if err := e.w.call(ctx, "engine.HasImage"); err != nil {
		return false, err
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	return slices.Contains(slices.Collect(maps.Values(e.images)), id) ||
		slices.Contains(slices.Collect(maps.Values(e.pulled)), id), nil
}

// Pull implements pipeline.Images.
func (e *Engine) Pull(ctx context.Context, o pipeline.PullOrder, _ io.Writer) (string, error) {
	if err := e.w.call(ctx, "engine.Pull"); err != nil {
		return "", err
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	id, ok := e.pulled[o.Ref]
	if !ok && o.Policy == "never" {
		return "", fmt.Errorf("image %s: %w", o.Ref, pipeline.ErrNotFound)
	}
	if !ok {
		id = "sha256:" + o.Ref
		e.pulled[o.Ref] = id
	}
	return id, nil
}

// Built implements pipeline.Stock.
func (e *Engine) Built(ctx context.Context, _ pipeline.Owner, key string) (string, error) {
	if err := e.w.call(ctx, "engine.Built"); err != nil {
		return "", err
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	return e.images[key], nil
}

// Pulled implements pipeline.Stock.
func (e *Engine) Pulled(ctx context.Context, o pipeline.PullOrder) (string, error) {
	if err := e.w.call(ctx, "engine.Pulled"); err != nil || o.Policy == "always" {
		return "", err
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	return e.pulled[o.Ref], nil
}

// ImageSizes implements pipeline.Stock: every image has the size of the last
// SetRoom.
func (e *Engine) ImageSizes(ctx context.Context, _ string) (map[string]int64, error) {
	if err := e.w.call(ctx, "engine.ImageSizes"); err != nil {
		return nil, err
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	out := map[string]int64{}
	for _, id := range e.images {
		out[id] = e.size
	}
	return out, nil
}

// SetRoom says how much space there is for images that are built, and what each
// takes of it. Without it the engine does not say.
func (e *Engine) SetRoom(room, each int64) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	e.room, e.size = room, each
}

// Room implements pipeline.Stock.
func (e *Engine) Room(ctx context.Context) (pipeline.Room, error) {
	if err := e.w.call(ctx, "engine.Room"); err != nil {
		return pipeline.Room{}, err
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	if e.room == 0 {
		return pipeline.Room{}, nil
	}
	return pipeline.Room{Path: "/var/lib/engine", Free: e.room - int64(len(e.images))*e.size}, nil
}

// Images lists the IDs of the images that were built and are there, sorted.
func (e *Engine) Images() []string {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	return slices.Sorted(maps.Values(e.images))
}

// PruneImages implements pipeline.Images.
func (e *Engine) PruneImages(ctx context.Context, _ string, keep []string) (int, error) {
	if err := e.w.call(ctx, "engine.PruneImages"); err != nil {
		return 0, err
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	n := 0
	for key, id := range e.images {
		if !slices.Contains(keep, id) && !e.inUse(id) {
			delete(e.images, key)
			n++
		}
	}
	return n, nil
}

func (e *Engine) inUse(image string) bool {
	for _, c := range e.containers {
		if c.Image == image {
			return true
		}
	}
	return false
}

// LoseImages takes all images away behind everybody's back.
func (e *Engine) LoseImages() {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	clear(e.images)
	clear(e.pulled)
}
