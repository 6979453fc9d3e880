package docker

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Local reports whether the engine is reached by a socket of this machine.
func (e *Engine) Local() bool { return e.local }

// Sees reports whether a folder of ours is the engine's at the same path: only
// then can anything in it be mounted. It puts a file of a random name there and
// asks for a container that mounts it, of an image that does not exist: the
// engine complains of the file or, if that is there, of the image. known is
// false where it looks at the image first, and where it does not answer.
func (e *Engine) Sees(ctx context.Context, folder string) (seen, known bool, err error) {
	token, err := os.CreateTemp(folder, ".seen-*")
	if err != nil {
		return false, false, fmt.Errorf("look whether the engine has the same folder: %w", err)
	}
	defer os.Remove(token.Name())
	if err := token.Close(); err != nil {
		return false, false, fmt.Errorf("look whether the engine has the same folder: %w", err)
	}
	absent, err := e.complainsOf(ctx, filepath.Join(folder, ".absent-"+rand.Text()))
	if err != nil || !absent {
		return false, false, err
	}
	absent, err = e.complainsOf(ctx, token.Name())
	return err == nil && !absent, err == nil, err
}

// complainsOf reports whether the engine says that a path is not there to mount.
func (e *Engine) complainsOf(ctx context.Context, path string) (bool, error) {
	made, err := e.api.ContainerCreate(ctx,
		&container.Config{Image: "swingbridge-absent:" + rand.Text(), Labels: e.ours()},
		&container.HostConfig{Mounts: []mount.Mount{{Type: mount.TypeBind, Source: path, Target: "/x", ReadOnly: true}}},
		nil, &ocispec.Platform{OS: "linux"}, "")
	switch {
	case err == nil: // such an image is there after all
		return false, e.api.ContainerRemove(ctx, made.ID, container.RemoveOptions{Force: true})
	case cerrdefs.IsInvalidArgument(err):
		return true, nil
	case cerrdefs.IsNotFound(err):
		return false, nil
	}
	return false, said(err, "ask the engine for %s", path)
}
