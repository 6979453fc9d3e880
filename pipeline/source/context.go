package source

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// Context implements pipeline.Tree. The tar is the same for the same tree: in
// git's order, modes 0644 and 0755, no times and no owners. Folders that are
// not ignored have entries of their own; links are links. What is missing or
// refused at the start is told at once, what is met on the way ends the stream
// with that error (see Refusal). Close waits for the walk to end.
func (t *Tree) Context(ctx context.Context, b stack.Build) (io.ReadCloser, error) {
	base := path.Clean(b.Context) // of an empty one: "."
	root, err := t.folder(base)
	if err != nil {
		return nil, fmt.Errorf("build context: %w", err)
	}
	dockerfile := "" // a build that brings its own needs none here
	if b.Inline == "" {
		if dockerfile, err = t.dockerfile(base, b.Dockerfile); err != nil {
			return nil, err
		}
	}
	ign, err := t.ignore(base, dockerfile)
	if err != nil {
		return nil, err
	}
	pr, pw := io.Pipe()
	s := &stream{PipeReader: pr, done: make(chan struct{})}
	s.stop = context.AfterFunc(ctx, func() { pw.CloseWithError(context.Cause(ctx)) })
	go func() {
		defer close(s.done)
		pw.CloseWithError(t.read(func(st *store) error {
			out := bufio.NewWriterSize(pw, 128<<10)
			p := &packer{st: st, tw: tar.NewWriter(out), base: base, ign: ign, left: t.src.o.Limits.Context, buf: make([]byte, 64<<10)}
			if err := p.folder(ctx, root, "", match{}); err != nil {
				return err
			}
			return errors.Join(p.tw.Close(), out.Flush())
		}))
	}()
	return s, nil
}

// stream is a context on its way; its walk ends with it.
type stream struct {
	*io.PipeReader
	done chan struct{}
	stop func() bool
}

// Close ends the walk and waits for it.
func (s *stream) Close() error {
	s.stop()
	err := s.PipeReader.Close()
	<-s.done
	return err
}

// dockerfile returns the Dockerfile's path inside of the build context.
func (t *Tree) dockerfile(base, name string) (string, error) {
	if name == "" {
		name = "Dockerfile"
	}
	clean := path.Clean(name)
	if path.IsAbs(name) || !fs.ValidPath(clean) || clean == "." {
		return "", refuse(name, "is outside of the build context %q, a Dockerfile inside of it is wanted", base)
	}
	e, err := t.find(path.Join(base, clean))
	if err != nil {
		return "", fmt.Errorf("Dockerfile of build context %q: %w", base, err)
	}
	if !e.regular() && e.mode != modeLink {
		return "", refuse(path.Join(base, clean), "%s, a Dockerfile is wanted", e.kind())
	}
	return clean, nil
}

// packer writes folders to a tar.
type packer struct {
	st   *store
	tw   *tar.Writer
	base string // the context's path in the repository
	ign  *ignore
	dirs []dir // from the context's root to where we are
	left int64 // bytes still allowed
	buf  []byte
}

// dir is a folder on the way; it is written when it, or something in it, is
// not ignored.
type dir struct {
	name    string
	written bool
}

func (p *packer) folder(ctx context.Context, f *folder, at string, above match) error {
	names := make(map[string]bool, len(f.entries))
	for _, e := range f.entries {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		name := path.Join(at, e.name)
		if why := hostile(e.name); why != "" {
			// The name is not joined: that would clean it.
			return refuse(path.Join(p.base, at)+"/"+e.name, "%s", why)
		}
		if names[e.name] {
			return refuse(path.Join(p.base, name), "is there twice")
		}
		names[e.name] = true
		ignored, here, err := p.ign.match(name, above)
		if err != nil {
			return err
		}
		switch {
		case e.mode == modeFolder:
			err = p.enter(ctx, e.sub, name, ignored, here)
		case !ignored:
			err = p.file(e, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *packer) enter(ctx context.Context, f *folder, name string, ignored bool, here match) error {
	if ignored && !p.ign.below(name) {
		return nil
	}
	p.dirs = append(p.dirs, dir{name: name})
	defer func() { p.dirs = p.dirs[:len(p.dirs)-1] }()
	if !ignored {
		if err := p.parents(); err != nil {
			return err
		}
	}
	return p.folder(ctx, f, name, here)
}

// parents writes the folders on the way that are not written yet.
func (p *packer) parents() error {
	for i := range p.dirs {
		if p.dirs[i].written {
			continue
		}
		p.dirs[i].written = true
		if err := p.tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: p.dirs[i].name + "/", Mode: 0o755}); err != nil {
			return fmt.Errorf("pack %s: %w", p.dirs[i].name, err)
		}
	}
	return nil
}

func (p *packer) file(e entry, name string) error {
	full := path.Join(p.base, name)
	if !e.regular() && e.mode != modeLink {
		return refuse(full, "%s", e.kind())
	}
	if err := p.parents(); err != nil {
		return err
	}
	if e.mode == modeLink {
		return p.link(e, name, full)
	}
	o, err := p.st.EncodedObject(plumbing.BlobObject, e.hash)
	if err != nil {
		return damaged("read "+full, err)
	}
	if p.left -= o.Size(); p.left < 0 {
		return fmt.Errorf("build context %q is %w at %q", p.base, ErrTooLarge, full)
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: o.Size(), Mode: 0o644}
	if e.mode == modeExecutable {
		h.Mode = 0o755
	}
	return p.copy(h, o, full)
}

func (p *packer) copy(h *tar.Header, o plumbing.EncodedObject, full string) error {
	r, err := o.Reader()
	if err != nil {
		return damaged("read "+full, err)
	}
	defer r.Close()
	start, err := io.ReadFull(r, p.buf[:min(int64(len(p.buf)), h.Size)])
	if err != nil && h.Size > 0 {
		return damaged("read "+full, err)
	}
	if h.Size < 1024 && isPointer(p.buf[:start]) {
		return refuse(full, pointerReason)
	}
	if err := p.tw.WriteHeader(h); err != nil {
		return fmt.Errorf("pack %s: %w", full, err)
	}
	if _, err := p.tw.Write(p.buf[:start]); err != nil {
		return fmt.Errorf("pack %s: %w", full, err)
	}
	for left := h.Size - int64(start); left > 0; {
		n, err := r.Read(p.buf[:min(int64(len(p.buf)), left)])
		if err != nil && (err != io.EOF || int64(n) < left) {
			return damaged("read "+full, err)
		}
		if _, err := p.tw.Write(p.buf[:n]); err != nil {
			return fmt.Errorf("pack %s: %w", full, err)
		}
		left -= int64(n)
	}
	return nil
}

func (p *packer) link(e entry, name, full string) error {
	o, err := p.st.EncodedObject(plumbing.BlobObject, e.hash)
	if err != nil {
		return damaged("read "+full, err)
	}
	if o.Size() == 0 || o.Size() > 4096 {
		return refuse(full, "is a symbolic link with a target of %d bytes", o.Size())
	}
	target, err := p.st.blob(plumbing.BlobObject, e.hash)
	if err != nil {
		return err
	}
	if strings.ContainsRune(string(target), 0) {
		return refuse(full, "is a symbolic link with a NUL in its target")
	}
	if err := p.tw.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: string(target), Mode: 0o777}); err != nil {
		return fmt.Errorf("pack %s: %w", full, err)
	}
	return nil
}
