package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// store is a repository's objects on disk, opened for one operation.
type store struct {
	*filesystem.Storage
	dir string
}

const (
	// cacheSize holds unpacked objects; 96 MB was no faster.
	cacheSize = 8 << 20
	// streamFrom is the size from which a blob is not held in memory.
	streamFrom = 8 << 20
	// marker is a file in a store that is to be made anew.
	marker = "swingbridge-damaged"
)

// openStore opens the store, making it where it is absent. Descriptors are
// kept until Close. Nobody else writes to it: a fetch holds the repository's
// gate, and packs are replaced only while nobody reads.
func openStore(dir string) (*store, error) {
	disk := osfs.New(dir, osfs.WithBoundOS())
	st := &store{dir: dir, Storage: filesystem.NewStorageWithOptions(disk, cache.NewObjectLRU(cacheSize), filesystem.Options{
		ExclusiveAccess:      true,
		KeepDescriptors:      true,
		LargeObjectThreshold: streamFrom,
	})}
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err == nil {
		return st, nil
	}
	if err := errors.Join(os.MkdirAll(dir, 0o700), st.Init()); err != nil {
		return nil, fmt.Errorf("make the store: %w", err)
	}
	// For people who look at it with git. HEAD is last: it says that the store is whole.
	for _, f := range [][2]string{
		{"config", "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"},
		{"HEAD", "ref: refs/heads/main\n"},
	} {
		if err := os.WriteFile(filepath.Join(dir, f[0]), []byte(f[1]), 0o600); err != nil {
			return nil, fmt.Errorf("make the store: %w", err)
		}
	}
	return st, nil
}

// removeStore takes the store away. It is renamed first, so that what a crash
// leaves is not taken for a store.
func removeStore(dir string) error {
	old, err := os.MkdirTemp(filepath.Dir(dir), ".removed-")
	if err != nil {
		return err
	}
	if err := os.Rename(dir, filepath.Join(old, "git")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(old)
}

func markDamaged(dir string) error {
	return os.WriteFile(filepath.Join(dir, marker), nil, 0o600)
}

// check finds damage that is cheap to find: a mark left by a reader, a shallow
// history, packs that are cut off, refs that lead nowhere. It clears away what
// an interrupted transfer left.
func (st *store) check() error {
	for _, name := range []string{marker, "shallow"} {
		if _, err := os.Lstat(filepath.Join(st.dir, name)); err == nil {
			return damaged("open", fmt.Errorf("file %s is there", name))
		}
	}
	packs := filepath.Join(st.dir, "objects", "pack")
	files, err := os.ReadDir(packs)
	if err != nil {
		return damaged("open", err)
	}
	for _, f := range files {
		name := f.Name()
		if strings.HasPrefix(name, "tmp_") {
			if err := os.Remove(filepath.Join(packs, name)); err != nil {
				return fmt.Errorf("remove a broken transfer: %w", err)
			}
		}
		if base, ok := strings.CutSuffix(name, ".pack"); ok {
			if err := whole(filepath.Join(packs, base)); err != nil {
				return damaged("pack "+base, err)
			}
		}
	}
	refs, err := st.refs()
	if err != nil {
		return damaged("read refs", err)
	}
	for _, h := range refs {
		if !st.has(h) {
			return damaged("read refs", fmt.Errorf("commit %s is gone", h))
		}
	}
	return nil
}

// whole compares the end of a pack with the copy of it in the index, which a
// pack that was cut off fails.
func whole(base string) error {
	pack, err := tail(base+".pack", 20)
	if err != nil {
		return err
	}
	idx, err := tail(base+".idx", 40)
	if err != nil {
		return err
	}
	if !bytes.Equal(pack, idx[:20]) {
		return errors.New("pack and index do not belong together")
	}
	return nil
}

func tail(path string, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Seek(-n, io.SeekEnd); err != nil {
		return nil, err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(f, b)
	return b, err
}

// has reports whether the object is here. (HasEncodedObject of go-git 5.19 does
// not look into packs where access is exclusive.)
func (st *store) has(h plumbing.Hash) bool {
	_, err := st.EncodedObjectSize(h)
	return err == nil
}

// fresh reports whether nothing was ever fetched into the store.
func (st *store) fresh() bool {
	refs, err := st.refs()
	return err == nil && len(refs) == 0
}

// set points a ref at a commit that is here. The file is put in place whole:
// go-git would write into it, and a crash between would leave it empty.
func (st *store) set(name plumbing.ReferenceName, h plumbing.Hash) error {
	if ref, err := st.Reference(name); err == nil && ref.Hash() == h {
		return nil
	}
	to := filepath.Join(st.dir, filepath.FromSlash(name.String()))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return fmt.Errorf("remember %s: %w", name, err)
	}
	temp := filepath.Join(st.dir, "ref.tmp")
	if err := os.WriteFile(temp, []byte(h.String()+"\n"), 0o600); err != nil {
		return fmt.Errorf("remember %s: %w", name, err)
	}
	if err := errors.Join(syncFile(temp), os.Rename(temp, to)); err != nil {
		return fmt.Errorf("remember %s: %w", name, err)
	}
	return nil
}

func (st *store) refs() ([]plumbing.Hash, error) {
	it, err := st.IterReferences()
	if err != nil {
		return nil, err
	}
	var out []plumbing.Hash
	err = it.ForEach(func(r *plumbing.Reference) error {
		if r.Type() == plumbing.HashReference && strings.HasPrefix(r.Name().String(), "refs/swingbridge/") {
			out = append(out, r.Hash())
		}
		return nil
	})
	return out, err
}

// known lists up to n commits that are here with all their history: the refs'
// own, then the newest of their ancestors.
func (st *store) known(n int) []plumbing.Hash {
	tips, err := st.refs()
	if err != nil {
		return nil
	}
	seen := map[plumbing.Hash]bool{}
	var out []plumbing.Hash
	for _, tip := range tips {
		if len(out) >= n {
			break
		}
		c, err := object.GetCommit(st, tip)
		if err != nil {
			continue
		}
		// A history that breaks off costs only traffic here.
		_ = object.NewCommitIterCTime(c, seen, nil).ForEach(func(c *object.Commit) error {
			seen[c.Hash] = true
			out = append(out, c.Hash)
			if len(out) >= n {
				return io.EOF
			}
			return nil
		})
	}
	return out
}

// unpack writes a pack into the store.
func (st *store) unpack(ctx context.Context, pack io.Reader, l Limits) error {
	g := newGuard(pack, l)
	err := packfile.UpdateObjectStorage(st.Storage, g)
	if large := g.stop(); large != nil {
		return large
	}
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// ancestor reports whether old is commit or in its history.
func (st *store) ancestor(ctx context.Context, old, commit plumbing.Hash) (bool, error) {
	c, err := st.commit(commit)
	if err != nil {
		return false, err
	}
	if old == commit {
		return true, nil
	}
	if !st.has(old) {
		return false, nil // the history is whole, so it is not in there
	}
	found := false
	// Newest first: what is asked for is mostly near.
	err = object.NewCommitIterCTime(c, nil, nil).ForEach(func(c *object.Commit) error {
		if c.Hash == old {
			found = true
			return io.EOF
		}
		return ctx.Err()
	})
	switch {
	case found:
		return true, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case err != nil:
		return false, damaged("read history of "+commit.String(), err)
	}
	return false, nil
}
