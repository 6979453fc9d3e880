package docker

import (
	"context"
	"errors"
	"fmt"
	"io"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"github.com/swingbridge/swingbridge/pipeline"
)

// HasImage reports whether the image ID is still on the engine.
func (e *Engine) HasImage(ctx context.Context, id string) (bool, error) {
	_, err := e.api.ImageInspect(ctx, id)
	if cerrdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, said(err, "look at image %s", id)
}

// Import makes an image out of a root file system, as "docker import" does, with
// our labels. RemoveImage takes it away again.
func (e *Engine) Import(ctx context.Context, ref string, tar io.Reader) error {
	return e.importImage(ctx, ref, tar, e.ours())
}

// RemoveImage removes a tag or an image ID of ours. Gone is well; an image
// without our label is an error.
func (e *Engine) RemoveImage(ctx context.Context, ref string) error {
	there, err := e.api.ImageInspect(ctx, ref)
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return said(err, "look at image %s", ref)
	}
	if there.Config == nil || there.Config.Labels[labelInstallation] != e.installation {
		return refused("image %s is not this installation's", ref)
	}
	_, err = e.api.ImageRemove(ctx, ref, image.RemoveOptions{PruneChildren: true})
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	return said(err, "remove image %s", ref)
}

// PruneImages removes this installation's images of the app that are neither in
// keep (image IDs) nor used by any container, and says how many are gone. Tags
// that somebody else gave them keep them.
func (e *Engine) PruneImages(ctx context.Context, appID string, keep []string) (int, error) {
	images, err := e.imagesOf(ctx, appID)
	if err != nil {
		return 0, err
	}
	// Containers are listed after the images: an image that a container was made
	// of meanwhile is seen as used, and the engine refuses the rest.
	containers, err := e.api.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return 0, said(err, "list containers")
	}
	spared := map[string]bool{}
	for _, id := range keep {
		spared[id] = true
	}
	for _, c := range containers {
		spared[c.ImageID] = true
	}
	gone := 0
	var errs []error
	for _, i := range images {
		if spared[i.ID] {
			continue
		}
		removed, err := e.pruneImage(ctx, i)
		if removed {
			gone++
		}
		errs = append(errs, err)
	}
	return gone, errors.Join(errs...)
}

// imagesOf lists this installation's images of the app.
func (e *Engine) imagesOf(ctx context.Context, appID string) ([]image.Summary, error) {
	if appID == "" {
		return nil, fmt.Errorf("%w: no app given", pipeline.ErrInvalid)
	}
	images, err := e.api.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(
		filters.Arg("label", labelInstallation+"="+e.installation),
		filters.Arg("label", labelAppID+"="+appID),
	)})
	return images, said(err, "list images")
}

// pruneImage takes our tags off the image; with the last tag the image goes.
// What the engine holds on to, a container or an image made of it, stays.
func (e *Engine) pruneImage(ctx context.Context, i image.Summary) (bool, error) {
	var refs []string
	foreign := false
	for _, tag := range i.RepoTags {
		switch {
		case e.ourTag(tag):
			refs = append(refs, tag)
		case tag != "<none>:<none>":
			foreign = true
		}
	}
	if len(refs) == 0 && !foreign {
		refs = []string{i.ID}
	}
	for _, ref := range refs {
		_, err := e.api.ImageRemove(ctx, ref, image.RemoveOptions{PruneChildren: true})
		switch {
		case cerrdefs.IsConflict(err):
			return false, nil
		case err != nil && !cerrdefs.IsNotFound(err):
			return false, said(err, "remove image %s", ref)
		}
	}
	return len(refs) > 0 && !foreign, nil
}

func (e *Engine) removeImages(ctx context.Context, appID string) error {
	_, err := e.PruneImages(ctx, appID, nil)
	return err
}
