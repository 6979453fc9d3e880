package source

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

const (
	// smallPack is the size up to which a pack is merged with others, bytes.
	smallPack = 1 << 20
	// mergeFrom is the number of small packs from which they are merged: each
	// fetch leaves one, and opening the store reads the index of each, about a
	// millisecond.
	mergeFrom = 12
)

// merge makes one pack of many small ones. The caller sees to it that nobody
// reads meanwhile. A crash leaves objects twice, never not at all.
func (st *store) merge() error {
	packs, err := st.ObjectPacks()
	if err != nil {
		return damaged("list packs", err)
	}
	var small []plumbing.Hash
	for _, h := range packs {
		info, err := os.Stat(st.pack(h, "pack"))
		if err != nil {
			return damaged("list packs", err)
		}
		if info.Size() <= smallPack {
			small = append(small, h)
		}
	}
	if len(small) < mergeFrom {
		return nil
	}
	objects, err := st.objectsOf(small)
	if err != nil {
		return damaged("read pack indexes", err)
	}
	made, err := st.repack(objects)
	if err != nil {
		return fmt.Errorf("merge packs: %w", err)
	}
	for _, h := range small {
		if h == made {
			continue
		}
		if err := st.DeleteOldObjectPackAndIndex(h, time.Time{}); err != nil {
			return fmt.Errorf("remove a merged pack: %w", err)
		}
	}
	return nil
}

func (st *store) pack(h plumbing.Hash, ext string) string {
	return filepath.Join(st.dir, "objects", "pack", "pack-"+h.String()+"."+ext)
}

func (st *store) objectsOf(packs []plumbing.Hash) ([]plumbing.Hash, error) {
	seen := map[plumbing.Hash]bool{}
	var out []plumbing.Hash
	for _, h := range packs {
		hashes, err := indexed(st.pack(h, "idx"))
		if err != nil {
			return nil, err
		}
		for _, o := range hashes {
			if !seen[o] {
				seen[o] = true
				out = append(out, o)
			}
		}
	}
	return out, nil
}

func indexed(path string) ([]plumbing.Hash, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	idx := idxfile.NewMemoryIndex()
	if err := idxfile.NewDecoder(f).Decode(idx); err != nil {
		return nil, err
	}
	it, err := idx.Entries()
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var out []plumbing.Hash
	for {
		e, err := it.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, e.Hash)
	}
}

// repack writes the objects into a new pack, whole and synced before it
// returns the pack's name.
func (st *store) repack(objects []plumbing.Hash) (made plumbing.Hash, err error) {
	w, err := st.PackfileWriter()
	if err != nil {
		return made, err
	}
	made, err = packfile.NewEncoder(w, st.Storage, false).Encode(objects, 0)
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return made, err
	}
	for _, name := range []string{st.pack(made, "pack"), st.pack(made, "idx"), filepath.Dir(st.pack(made, "pack"))} {
		if err := syncFile(name); err != nil {
			return made, err
		}
	}
	return made, nil
}

func syncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
