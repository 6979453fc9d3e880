package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
)

// filePrefix marks the rows of the environment that are files. No variable has
// such a name. So one version pins variables and files, and seals bind both to
// app and name in the same way.
const filePrefix = "file:"

// SetFile holds a file for the app and returns the version that the environment
// has with it. Older versions stay readable.
func (s *Store) SetFile(ctx context.Context, appID, path string, content []byte) (int64, error) {
	if err := pipeline.CheckHeldPath(path); err != nil {
		return 0, err
	}
	name := filePrefix + path
	return s.changeEnv(ctx, appID, name, func(version int64) (any, error) {
		return s.o.Sealer.Seal(content, envAAD(appID, name, version))
	})
}

// UnsetFile takes a file away and returns the version without it. ErrNotFound if
// it is not held.
func (s *Store) UnsetFile(ctx context.Context, appID, path string) (int64, error) {
	return s.changeEnv(ctx, appID, filePrefix+path, func(int64) (any, error) { return nil, nil })
}

// FilesAt returns the files that the environment had at a version, by path.
func (s *Store) FilesAt(ctx context.Context, appID string, version int64) (map[string][]byte, error) {
	rows, err := envRows(ctx, s.db.Read, appID, version)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, r := range rows {
		path, ok := strings.CutPrefix(r.Name, filePrefix)
		if !ok {
			continue
		}
		if out[path], err = s.o.Sealer.Open(r.sealed, envAAD(appID, r.Name, r.Version)); err != nil {
			return nil, fmt.Errorf("open the sealed file %s: %w", path, err)
		}
	}
	return out, nil
}

// HeldFiles lists the files by path, without what is in them.
func (s *Store) HeldFiles(ctx context.Context, appID string) ([]pipeline.HeldFile, error) {
	rows, err := envRows(ctx, s.db.Read, appID, int64(1)<<62)
	if err != nil {
		return nil, err
	}
	var out []pipeline.HeldFile
	for _, r := range rows {
		path, ok := strings.CutPrefix(r.Name, filePrefix)
		if !ok {
			continue
		}
		content, err := s.o.Sealer.Open(r.sealed, envAAD(appID, r.Name, r.Version))
		if err != nil {
			return nil, fmt.Errorf("open the sealed file %s: %w", path, err)
		}
		out = append(out, pipeline.HeldFile{Path: path, Version: r.Version, Size: int64(len(content)), UpdatedAt: r.UpdatedAt})
	}
	return out, nil
}
