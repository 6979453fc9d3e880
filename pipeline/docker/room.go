package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/swingbridge/swingbridge/pipeline"
)

// ImageSizes are the sizes in bytes of this installation's images of the app, by
// their IDs, as the engine lists them: layers that images share count in each.
func (e *Engine) ImageSizes(ctx context.Context, appID string) (map[string]int64, error) {
	images, err := e.imagesOf(ctx, appID)
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	for _, i := range images {
		out[i.ID] = i.Size
	}
	return out, nil
}

// Room tells how much space is left where the engine keeps images. The zero Room
// if the engine is elsewhere, or its folder cannot be seen from here, as inside
// of a container.
func (e *Engine) Room(ctx context.Context) (pipeline.Room, error) {
	if !e.local {
		return pipeline.Room{}, nil
	}
	info, err := e.api.Info(ctx)
	if err != nil {
		return pipeline.Room{}, said(err, "ask the engine about itself")
	}
	return roomAt(info.DockerRootDir)
}

// roomAt is the space that is left in a folder of this machine.
func roomAt(dir string) (pipeline.Room, error) {
	var disk unix.Statfs_t
	err := unix.Statfs(dir, &disk)
	if dir == "" || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return pipeline.Room{}, nil
	}
	if err != nil {
		return pipeline.Room{}, fmt.Errorf("look at the space left in %s: %w", dir, err)
	}
	return pipeline.Room{Path: dir, Free: int64(disk.Bavail) * disk.Bsize}, nil
}
