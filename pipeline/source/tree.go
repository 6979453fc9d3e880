package source

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/swingbridge/swingbridge/pipeline"
)

// maxFile bounds ReadFile, bytes.
const maxFile = 1 << 20

// Tree is a pipeline.Tree: the listing of a commit in memory, its files in the
// store. It holds nothing open and needs no closing.
type Tree struct {
	src    *Source
	repo   string
	commit pipeline.Commit
	root   *folder
}

// tree lists a commit.
func (s *Source) tree(ctx context.Context, st *store, repo string, h plumbing.Hash) (*Tree, error) {
	c, err := st.commit(h)
	if err != nil {
		return nil, err
	}
	l := &lister{st: st, max: s.o.Limits.Files, seen: map[plumbing.Hash]*folder{}}
	root, err := l.folder(ctx, c.TreeHash, ".", 0)
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", h, repo, err)
	}
	return &Tree{src: s, repo: repo, commit: describe(c), root: root}, nil
}

func describe(c *object.Commit) pipeline.Commit {
	subject, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n")
	return pipeline.Commit{
		SHA:     c.Hash.String(),
		Subject: line(subject),
		Author:  line(c.Author.Name),
		At:      c.Committer.When.UTC(),
	}
}

// line makes a stranger's text one line of at most 200 characters.
func line(s string) string {
	r := []rune(strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "�"))))
	if len(r) > 200 {
		r = append(r[:199], '…')
	}
	return string(r)
}

// Commit implements pipeline.Tree.
func (t *Tree) Commit() pipeline.Commit { return t.commit }

// Hash implements pipeline.Tree: git's hash of the folder, "." is the root.
func (t *Tree) Hash(name string) (string, error) {
	f, err := t.folder(name)
	if err != nil {
		return "", err
	}
	return f.hash.String(), nil
}

// ReadFile implements pipeline.Tree. It follows no link.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	e, err := t.find(name)
	if err != nil {
		return nil, err
	}
	if !e.regular() {
		return nil, refuse(name, "%s, a regular file is wanted", e.kind())
	}
	var b []byte
	err = t.read(func(st *store) error {
		o, err := st.EncodedObject(plumbing.BlobObject, e.hash)
		if err != nil {
			return damaged("read "+name, err)
		}
		if o.Size() > maxFile {
			return refuse(name, "has %d bytes, at most %d are read", o.Size(), maxFile)
		}
		b, err = st.blob(plumbing.BlobObject, e.hash)
		return err
	})
	if err != nil {
		return nil, err
	}
	if isPointer(b) {
		return nil, refuse(name, pointerReason)
	}
	return b, nil
}

const pointerReason = "is a pointer to a file in Git LFS, which is not fetched: commit the file itself, or leave it out by .dockerignore"

// isPointer reports whether a file's content is that of a Git LFS pointer. They
// are shorter than 1024 bytes.
func isPointer(b []byte) bool {
	return len(b) < 1024 && strings.HasPrefix(string(b), "version https://git-lfs.github.com/spec/")
}

// read opens the store for one operation and remembers damage it finds.
func (t *Tree) read(f func(*store) error) error {
	g, dir := t.src.gate(t.repo), t.src.dir(t.repo)
	g.read.RLock()
	defer g.read.RUnlock()
	st, err := openStore(dir)
	if err != nil {
		return err
	}
	defer st.Close()
	err = f(st)
	t.src.report(dir, err)
	return err
}

// find looks a path up without following links.
func (t *Tree) find(name string) (entry, error) {
	clean := path.Clean(name)
	if name == "" || strings.ContainsAny(name, "\\\x00") || clean == "." || !fs.ValidPath(clean) {
		return entry{}, refuse(name, "is not a path inside of the repository")
	}
	at, f := "", t.root
	parts := strings.Split(clean, "/")
	for i, part := range parts {
		if why := hostile(part); why != "" {
			return entry{}, refuse(name, "%s", why)
		}
		at = path.Join(at, part)
		e, ok := f.entry(part)
		if i == len(parts)-1 && ok {
			return e, nil
		}
		switch {
		case !ok || e.regular():
			return entry{}, fmt.Errorf("%q: %w", name, fs.ErrNotExist)
		case e.mode != modeFolder:
			return entry{}, refuse(at, "%s; nothing is read through it", e.kind())
		}
		f = e.sub
	}
	return entry{}, fmt.Errorf("%q: %w", name, fs.ErrNotExist)
}

// folder looks up a folder, "" and "." are the root.
func (t *Tree) folder(name string) (*folder, error) {
	if name == "" || path.Clean(name) == "." {
		return t.root, nil
	}
	e, err := t.find(name)
	if err != nil {
		return nil, err
	}
	if e.mode != modeFolder {
		return nil, refuse(name, "%s, a folder is wanted", e.kind())
	}
	return e.sub, nil
}
