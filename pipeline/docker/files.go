package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/docker/docker/api/types/container"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// checkFiles refuses files that would not be where the service looks for them.
func checkFiles(svc stack.Service) error {
	if svc.Settings.ReadOnly && len(svc.Files) > 0 {
		return refused("service %s: no files can be put into a read-only container", svc.Name)
	}
	seen := map[string]bool{}
	for _, f := range svc.Files {
		if !path.IsAbs(f.Target) || path.Clean(f.Target) != f.Target || f.Target == "/" || strings.ContainsRune(f.Target, 0) || seen[f.Target] {
			return refused("service %s: file %q", svc.Name, f.Target)
		}
		if f.UID < 0 || f.GID < 0 || f.Mode > 0o7777 {
			return refused("service %s: file %s of %d:%d with mode %o", svc.Name, f.Target, f.UID, f.GID, f.Mode)
		}
		seen[f.Target] = true
	}
	return nil
}

// put writes the order's files into a container that never ran. Doing it again
// changes nothing, so what a crash interrupted is simply done once more.
func (e *Engine) put(ctx context.Context, id string, s spec) error {
	if len(s.Files) == 0 {
		return nil
	}
	archive, err := pack(s.Files)
	if err != nil {
		return fmt.Errorf("pack the files of %s: %w", s.Name, err)
	}
	err = e.api.CopyToContainer(ctx, id, "/", bytes.NewReader(archive), container.CopyToContainerOptions{})
	return said(err, "put %d file(s) into %s", len(s.Files), s.Name)
}

// pack makes a tar of the files alone: folders that are missing the engine makes,
// and those that are there keep their modes.
func pack(files []stack.Content) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: strings.TrimPrefix(f.Target, "/"), Size: int64(len(f.Data)),
			Mode: int64(f.Mode), Uid: f.UID, Gid: f.GID,
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.Data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
