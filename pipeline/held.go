package pipeline

import (
	"bytes"
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
)

// MaxHeldFile is the most that a file held by the server may have, in bytes.
const MaxHeldFile = 512 << 10

// CheckHeldPath accepts the path of a file that the server may hold for an app:
// clean, below the repository's root. An error wraps ErrInvalid.
func CheckHeldPath(name string) error {
	bad := len(name) > 500 || name == "." || !fs.ValidPath(name) || strings.ContainsAny(name, "\\\x00\r\n")
	for part := range strings.SplitSeq(name, "/") {
		bad = bad || len(part) > 255 || strings.EqualFold(part, ".git")
	}
	if bad {
		return fmt.Errorf("%w path %q: want one below the repository's root, as config/production.yml", ErrInvalid, name)
	}
	return nil
}

// WithHeld adds the files that the server holds to a tree, for reading and
// walking; images are built from the commit alone. What both have is an error:
// which one is meant is not for us to guess.
func WithHeld(ctx context.Context, tree Tree, held map[string][]byte) (Tree, error) {
	if len(held) == 0 {
		return tree, nil
	}
	for _, name := range slices.Sorted(maps.Keys(held)) {
		err := tree.Walk(ctx, name, func(TreeEntry) error { return fs.SkipAll })
		if err == nil {
			return nil, fmt.Errorf("%w file %s: both the commit and the server have it. Take it out of the repository, or out of the server by `swingbridge file unset`", ErrInvalid, name)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("look for the file %s, which the server holds, in the commit: %w", name, err)
		}
	}
	return heldTree{Tree: tree, held: held}, nil
}

type heldTree struct {
	Tree
	held map[string][]byte
}

// ReadFile implements Tree.
func (t heldTree) ReadFile(name string) ([]byte, error) {
	if content, ok := t.held[path.Clean(name)]; ok {
		return content, nil
	}
	return t.Tree.ReadFile(name)
}

// Walk implements Tree. A folder with files of the server in it has another hash
// than the commit's.
func (t heldTree) Walk(ctx context.Context, name string, f func(TreeEntry) error) error {
	at := path.Clean(name)
	if content, ok := t.held[at]; ok {
		return ended(f(heldEntry(".", content)))
	}
	below := map[string][]byte{}
	for held, content := range t.held {
		if rest, ok := strings.CutPrefix(held, at+"/"); ok {
			below[rest] = content
		} else if at == "." {
			below[held] = content
		}
	}
	if name == "" || len(below) == 0 {
		return t.Tree.Walk(ctx, name, f)
	}
	w := heldWalk{call: f, below: below, dirs: map[string]bool{}}
	err := t.Tree.Walk(ctx, name, w.entry)
	if err == nil && !w.skipped || errors.Is(err, fs.ErrNotExist) {
		return ended(w.rest())
	}
	return err
}

func ended(err error) error {
	if errors.Is(err, fs.SkipAll) {
		return nil
	}
	return err
}

// heldWalk is a walk of a folder that has files of the server in it.
type heldWalk struct {
	call    func(TreeEntry) error
	below   map[string][]byte
	dirs    map[string]bool // folders that were met
	skipped bool
}

// entry passes on what the commit has.
func (w *heldWalk) entry(e TreeEntry) error {
	if e.Mode.IsDir() {
		w.dirs[e.Path] = true
	}
	if e.Path == "." {
		e.Hash = w.hash(e.Hash)
	}
	err := w.call(e)
	w.skipped = errors.Is(err, fs.SkipAll)
	return err
}

// rest passes on what the server has, with the folders that are missing.
func (w *heldWalk) rest() error {
	for _, name := range slices.Sorted(maps.Keys(w.below)) {
		for i := range name + "/" {
			dir := "."
			if i > 0 {
				if i >= len(name) || name[i] != '/' {
					continue
				}
				dir = name[:i]
			}
			if w.dirs[dir] {
				continue
			}
			w.dirs[dir] = true
			if err := w.call(TreeEntry{Path: dir, Mode: fs.ModeDir | 0o755, Hash: w.hash("")}); err != nil {
				return err
			}
		}
		if err := w.call(heldEntry(name, w.below[name])); err != nil {
			return err
		}
	}
	return nil
}

func (w *heldWalk) hash(commit string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", commit)
	for _, name := range slices.Sorted(maps.Keys(w.below)) {
		fmt.Fprintf(h, "%q %x\n", name, sha256.Sum256(w.below[name]))
	}
	return hex.EncodeToString(h.Sum(nil))
}

func heldEntry(at string, content []byte) TreeEntry {
	sum := sha256.Sum256(content)
	return TreeEntry{
		Path: at, Mode: 0o644, Hash: hex.EncodeToString(sum[:]),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
	}
}

// HeldSecrets are the values of variables in files that the server holds: of
// those whose name says that they are made of NAME=value lines.
func HeldSecrets(held map[string][]byte) []string {
	var out []string
	for name, content := range held {
		if base := path.Base(name); !strings.HasPrefix(base, ".env") && !strings.HasSuffix(base, ".env") {
			continue
		}
		for line := range strings.Lines(string(content)) {
			variable, value, ok := strings.Cut(strings.TrimSpace(line), "=")
			if value = strings.Trim(strings.TrimSpace(value), `"'`); ok && value != "" && !strings.HasPrefix(variable, "#") {
				out = append(out, value)
			}
		}
	}
	return out
}
