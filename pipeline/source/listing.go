package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Modes of tree entries that are honored. go-git's own reader turns any other
// mode into one of these, so trees are read here.
const (
	modeFolder     = 0o040000
	modeFile       = 0o100644
	modeGroupFile  = 0o100664 // written by early git, means modeFile
	modeExecutable = 0o100755
	modeLink       = 0o120000
	modeSubmodule  = 0o160000
)

// maxDepth of folders in folders; paths end at 4096 bytes long before.
const maxDepth = 512

// folder is a tree object; equal folders of a commit are one value.
type folder struct {
	hash    plumbing.Hash
	entries []entry // in git's order
	total   int     // entries in it and below it
}

// entry is one name in a folder.
type entry struct {
	name string
	mode int
	hash plumbing.Hash
	sub  *folder // of a folder
}

// kind says what an entry is, for sentences.
func (e entry) kind() string {
	switch e.mode {
	case modeFolder:
		return "is a folder"
	case modeFile, modeGroupFile, modeExecutable:
		return "is a file"
	case modeLink:
		return "is a symbolic link"
	case modeSubmodule:
		return "is a submodule, and submodules are not fetched: copy its files into the repository, or leave it out by .dockerignore"
	}
	return "has the mode " + strconv.FormatInt(int64(e.mode), 8) + ", which git does not write"
}

func (e entry) regular() bool {
	return e.mode == modeFile || e.mode == modeGroupFile || e.mode == modeExecutable
}

func (f *folder) entry(name string) (entry, bool) {
	for _, e := range f.entries {
		if e.name == name {
			return e, true
		}
	}
	return entry{}, false
}

// lister reads all folders of a commit. That every object it meets is in the
// store is checked on the way: what is then streamed cannot be half there.
type lister struct {
	st   *store
	max  int
	seen map[plumbing.Hash]*folder
}

func (l *lister) folder(ctx context.Context, h plumbing.Hash, at string, depth int) (*folder, error) {
	if f, ok := l.seen[h]; ok {
		return f, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if depth > maxDepth {
		return nil, refuse(at, "lies in more than %d folders", maxDepth)
	}
	raw, err := l.st.blob(plumbing.TreeObject, h)
	if err != nil {
		return nil, err
	}
	f := &folder{hash: h}
	if f.entries, err = parseTree(raw, at); err != nil {
		return nil, err
	}
	for i := range f.entries {
		e := &f.entries[i]
		f.total++
		switch {
		case e.mode == modeFolder:
			if e.sub, err = l.folder(ctx, e.hash, path.Join(at, e.name), depth+1); err != nil {
				return nil, err
			}
			f.total += e.sub.total
		case e.mode != modeSubmodule && !l.st.has(e.hash):
			return nil, damaged("read "+path.Join(at, e.name), plumbing.ErrObjectNotFound)
		}
		// Folders that name each other's content multiply without growing.
		if f.total > l.max {
			return nil, refuse(at, "has more than the %d files allowed", l.max)
		}
	}
	l.seen[h] = f
	return f, nil
}

// parseTree reads git's tree format: mode, space, name, NUL, 20 bytes of hash.
func parseTree(raw []byte, at string) ([]entry, error) {
	out := make([]entry, 0, bytes.Count(raw, []byte{0}))
	for len(raw) > 0 {
		head, rest, ok := bytes.Cut(raw, []byte{0})
		mode, name, spaced := strings.Cut(string(head), " ")
		m, err := strconv.ParseUint(mode, 8, 24)
		if !ok || !spaced || err != nil || len(rest) < 20 {
			return nil, refuse(at, "is not a folder that git wrote")
		}
		e := entry{name: name, mode: int(m)}
		copy(e.hash[:], rest)
		raw = rest[20:]
		out = append(out, e)
	}
	return out, nil
}

// blob reads a small object whole.
func (st *store) blob(t plumbing.ObjectType, h plumbing.Hash) ([]byte, error) {
	o, err := st.EncodedObject(t, h)
	if err != nil {
		return nil, damaged("read "+h.String(), err)
	}
	r, err := o.Reader()
	if err != nil {
		return nil, damaged("read "+h.String(), err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, damaged("read "+h.String(), err)
	}
	return b, nil
}

// commit reads a commit; ErrNoCommit if there is none of that name.
func (st *store) commit(h plumbing.Hash) (*object.Commit, error) {
	if !st.has(h) {
		return nil, fmt.Errorf("%w: %s was not fetched", pipeline.ErrNoCommit, h)
	}
	c, err := object.GetCommit(st, h)
	switch {
	case errors.Is(err, plumbing.ErrObjectNotFound):
		return nil, fmt.Errorf("%w: %s is something else than a commit", pipeline.ErrNoCommit, h)
	case err != nil:
		return nil, damaged("read commit "+h.String(), err)
	}
	return c, nil
}
