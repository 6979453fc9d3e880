package pipelinetest

import (
	"context"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Folders is the host's disk, as far as binds name it.
type Folders struct{ w *World }

// Data implements pipeline.Folders.
func (f *Folders) Data(ctx context.Context, appID, path string) (string, error) {
	return "/data/" + appID + "/" + path, f.w.call(ctx, "folders.Data")
}

// Place implements pipeline.Folders.
func (f *Folders) Place(ctx context.Context, appID string, tree pipeline.Tree, path string) (string, error) {
	if err := f.w.call(ctx, "folders.Place"); err != nil {
		return "", err
	}
	hash, err := tree.Hash(path)
	return "/files/" + appID + "/" + hash + "/" + path, err
}

// HasPlaced implements pipeline.Folders.
func (f *Folders) HasPlaced(ctx context.Context, _, _ string) (bool, error) {
	return true, f.w.call(ctx, "folders.HasPlaced")
}

// PrunePlaced implements pipeline.Folders.
func (f *Folders) PrunePlaced(ctx context.Context, _ string, _ []string) (int, error) {
	return 0, f.w.call(ctx, "folders.PrunePlaced")
}
