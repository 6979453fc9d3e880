package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Walk implements pipeline.Tree. Folders are walked in git's order.
func (t *Tree) Walk(ctx context.Context, name string, f func(pipeline.TreeEntry) error) error {
	top := entry{mode: modeFolder, hash: t.root.hash, sub: t.root}
	if path.Clean(name) != "." || name == "" {
		var err error
		if top, err = t.find(name); err != nil {
			return err
		}
	}
	if top.mode == modeLink {
		return refuse(name, "%s; nothing is read through it", top.kind())
	}
	err := t.read(func(st *store) error {
		return (&walker{st: st, base: path.Clean(name), call: f}).visit(ctx, top, ".")
	})
	if errors.Is(err, fs.SkipAll) {
		return nil
	}
	return err
}

type walker struct {
	st   *store
	base string // the walked path in the repository
	call func(pipeline.TreeEntry) error
}

func (w *walker) visit(ctx context.Context, e entry, at string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	full := path.Join(w.base, at)
	out := pipeline.TreeEntry{Path: at, Hash: e.hash.String(), Mode: 0o644}
	switch {
	case e.mode == modeFolder:
		out.Mode = fs.ModeDir | 0o755
	case e.mode == modeLink:
		out.Mode = fs.ModeSymlink | 0o777
	case e.mode == modeExecutable:
		out.Mode = 0o755
	case !e.regular():
		return refuse(full, "%s", e.kind())
	}
	if e.mode != modeFolder {
		out.Open = func() (io.ReadCloser, error) { return w.open(e, full) }
		return w.call(out)
	}
	if err := w.call(out); err != nil {
		return err
	}
	names := make(map[string]bool, len(e.sub.entries))
	for _, child := range e.sub.entries {
		if why := hostile(child.name); why != "" {
			return refuse(full+"/"+child.name, "%s", why)
		}
		if names[child.name] {
			return refuse(path.Join(full, child.name), "is there twice")
		}
		names[child.name] = true
		if err := w.visit(ctx, child, path.Join(at, child.name)); err != nil {
			return err
		}
	}
	return nil
}

// open reads a file. One that is but a pointer to its content is refused.
func (w *walker) open(e entry, full string) (io.ReadCloser, error) {
	o, err := w.st.EncodedObject(plumbing.BlobObject, e.hash)
	if err != nil {
		return nil, damaged("read "+full, err)
	}
	r, err := o.Reader()
	if err != nil {
		return nil, damaged("read "+full, err)
	}
	if !e.regular() || o.Size() >= 1024 {
		return r, nil
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, damaged("read "+full, err)
	}
	if isPointer(b) {
		return nil, refuse(full, pointerReason)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}
