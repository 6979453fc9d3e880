package pipelinetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// Forge is a repository in memory.
type Forge struct {
	w       *World
	commits map[string]commit
	heads   map[string]string // branch to commit
}

type commit struct {
	parent string
	files  map[string]string
}

// Push adds a commit to the branch and returns its id. Its files are those given,
// else a Dockerfile alone, and one that no other commit has.
func (f *Forge) Push(branch string, files map[string]string) string {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	sha := fmt.Sprintf("%040x", len(f.commits)+1)
	if files == nil {
		files = map[string]string{"Dockerfile": "FROM scratch"}
	}
	files = maps.Clone(files)
	files["version.txt"] = sha
	return f.push(branch, files)
}

// PushNothing adds a commit with the files of the one before it.
func (f *Forge) PushNothing(branch string) string {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	return f.push(branch, f.commits[f.heads[branch]].files)
}

func (f *Forge) push(branch string, files map[string]string) string {
	sha := fmt.Sprintf("%040x", len(f.commits)+1)
	f.commits[sha] = commit{parent: f.heads[branch], files: files}
	f.heads[branch] = sha
	return sha
}

// SetHead moves the branch without a push.
func (f *Forge) SetHead(branch, sha string) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.heads[branch] = sha
}

// Head implements pipeline.Source.
func (f *Forge) Head(ctx context.Context, _, branch string) (string, error) {
	if err := f.w.call(ctx, "forge.Head"); err != nil {
		return "", err
	}
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	if f.heads[branch] == "" {
		return "", pipeline.ErrNoBranch
	}
	return f.heads[branch], nil
}

// Fetch implements pipeline.Source.
func (f *Forge) Fetch(ctx context.Context, _, _, sha string) (pipeline.Tree, error) {
	if err := f.w.call(ctx, "forge.Fetch"); err != nil {
		return nil, err
	}
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	c, ok := f.commits[sha]
	if !ok {
		return nil, pipeline.ErrNoCommit
	}
	return tree{sha: sha, files: c.files}, nil
}

// Ancestor implements pipeline.Source.
func (f *Forge) Ancestor(ctx context.Context, _, old, sha string) (bool, error) {
	if err := f.w.call(ctx, "forge.Ancestor"); err != nil {
		return false, err
	}
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	if _, ok := f.commits[old]; !ok {
		return false, pipeline.ErrNoCommit
	}
	for ; sha != ""; sha = f.commits[sha].parent {
		if sha == old {
			return true, nil
		}
	}
	return false, nil
}

type tree struct {
	sha   string
	files map[string]string
}

func (t tree) Commit() pipeline.Commit {
	return pipeline.Commit{SHA: t.sha, Subject: "commit " + strings.TrimLeft(t.sha, "0"), Author: "octocat"}
}

func (t tree) ReadFile(path string) ([]byte, error) {
	content, ok := t.files[path]
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return []byte(content), nil
}

func (t tree) Context(context.Context, stack.Build) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(t.sha)), nil
}

// Walk implements pipeline.Tree. There are no links, and no folders but those
// that a path names.
func (t tree) Walk(_ context.Context, at string, f func(pipeline.TreeEntry) error) error {
	prefix, seen := path.Clean(at)+"/", map[string]bool{}
	if prefix == "./" {
		prefix = ""
	}
	for _, name := range slices.Sorted(maps.Keys(t.files)) {
		below, ok := strings.CutPrefix(name+"/", prefix)
		if !ok {
			continue
		}
		below = path.Clean(below) // of the path itself: "."
		for i := range below {
			if dir := path.Clean(below[:i]); (below[i] == '/' || i == 0 && below != ".") && !seen[dir] {
				seen[dir] = true
				if err := f(pipeline.TreeEntry{Path: dir, Mode: fs.ModeDir | 0o755, Hash: t.sum(path.Join(at, dir))}); err != nil {
					return skipped(err)
				}
			}
		}
		content := t.files[name]
		open := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }
		if err := f(pipeline.TreeEntry{Path: below, Mode: 0o644, Hash: t.sum(name), Open: open}); err != nil {
			return skipped(err)
		}
		seen[below] = true
	}
	if len(seen) == 0 {
		return fmt.Errorf("%s: %w", at, fs.ErrNotExist)
	}
	return nil
}

func skipped(err error) error {
	if errors.Is(err, fs.SkipAll) {
		return nil
	}
	return err
}

// sum is the hash of all that is at a path.
func (t tree) sum(at string) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(t.files)) {
		if at == "." || name == at || strings.HasPrefix(name, at+"/") {
			fmt.Fprintf(h, "%q %q\n", strings.TrimPrefix(name, at), t.files[name])
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:40]
}

func (t tree) Hash(folder string) (string, error) { return "tree-" + t.sum(folder), nil }
