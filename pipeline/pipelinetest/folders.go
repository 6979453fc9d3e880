package pipelinetest

import (
	"context"
	"io/fs"
	"maps"
	"slices"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// Folders is the host's disk, as far as binds name it.
type Folders struct {
	w      *World
	placed map[string]bool
}

// Placed lists what was placed and not pruned, sorted.
func (f *Folders) Placed() []string {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	return slices.Sorted(maps.Keys(f.placed))
}

// Lose removes what was placed behind everybody's back.
func (f *Folders) Lose(placed string) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	delete(f.placed, placed)
}

// Data implements pipeline.Folders.
func (f *Folders) Data(ctx context.Context, appID, path string) (string, error) {
	return "/data/" + appID + "/" + path, f.w.call(ctx, "folders.Data")
}

// Place implements pipeline.Folders.
func (f *Folders) Place(ctx context.Context, appID string, tree pipeline.Tree, path string) (string, error) {
	if err := f.w.call(ctx, "folders.Place"); err != nil {
		return "", err
	}
	at, err := f.Where(ctx, appID, tree, stack.Bind{Repo: path})
	if err != nil {
		return "", err
	}
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.placed[at] = true
	return at, nil
}

// Where implements pipeline.Folders.
func (f *Folders) Where(ctx context.Context, appID string, tree pipeline.Tree, b stack.Bind) (at string, err error) {
	switch {
	case b.Data != "":
		return "/data/" + appID + "/" + b.Data, nil
	case b.Repo == "":
		return b.Host, nil
	}
	err = tree.Walk(ctx, b.Repo, func(e pipeline.TreeEntry) error {
		at = "/files/" + appID + "/" + e.Hash
		return fs.SkipAll
	})
	return at, err
}

// HasPlaced implements pipeline.Folders.
func (f *Folders) HasPlaced(ctx context.Context, _, placed string) (bool, error) {
	if err := f.w.call(ctx, "folders.HasPlaced"); err != nil {
		return false, err
	}
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	return f.placed[placed], nil
}

// PrunePlaced implements pipeline.Folders.
func (f *Folders) PrunePlaced(ctx context.Context, _ string, keep []string) (int, error) {
	if err := f.w.call(ctx, "folders.PrunePlaced"); err != nil {
		return 0, err
	}
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	was := len(f.placed)
	maps.DeleteFunc(f.placed, func(at string, _ bool) bool { return !slices.Contains(keep, at) })
	return was - len(f.placed), nil
}

// bindsOf are the paths of the host that a container gets.
func bindsOf(o pipeline.ContainerOrder) []string {
	var out []string
	for _, m := range o.Service.Mounts {
		if m.Bind != nil {
			out = append(out, m.Bind.Placed)
		}
	}
	slices.Sort(out)
	return out
}

// writesOf is what a container may write to.
func writesOf(o pipeline.ContainerOrder) []string {
	var out []string
	for _, m := range o.Service.Mounts {
		switch {
		case m.ReadOnly:
		case m.Bind != nil:
			out = append(out, m.Bind.Placed+m.Bind.Host)
		case m.Volume != "":
			out = append(out, m.Volume)
		}
	}
	return out
}
