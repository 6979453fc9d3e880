package folder

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// What begins with these is not whole: it is written, or removed.
const (
	newPrefix = ".new-"
	oldPrefix = ".old-"
)

// Place implements pipeline.Folders. What is written appears under its name in
// one act, and only after it is on the disk. What is there is left as it is: a
// container that may write to it has changed its own files only. Links are
// written as links; nothing here follows them, and a container sees no more
// through them than its own files.
func (f *Folders) Place(ctx context.Context, appID string, tree pipeline.Tree, name string) (string, error) {
	key, err := keyOf(ctx, tree, name)
	if err != nil {
		return "", fmt.Errorf("look at %s in the commit: %w", name, err)
	}
	app, done, err := f.open(appID)
	if err != nil {
		return "", err
	}
	defer done()
	if err := makeDir(app, filesDir, 0o700); err != nil {
		return "", fmt.Errorf("make the folder of placed files: %w", err)
	}
	files, err := app.OpenRoot(filesDir)
	if err != nil {
		return "", fmt.Errorf("open the folder of placed files: %w", err)
	}
	defer files.Close()
	there, err := has(files, key)
	if err == nil && !there {
		err = f.write(ctx, files, key, tree, name)
	}
	if err != nil {
		return "", fmt.Errorf("write %s of the commit: %w", name, err)
	}
	return f.at(appID, filesDir, key), nil
}

// Where implements pipeline.Folders.
func (f *Folders) Where(ctx context.Context, appID string, tree pipeline.Tree, b stack.Bind) (string, error) {
	switch {
	case b.Data != "":
		clean, err := cleanPath(b.Data)
		return f.at(appID, dataDir, clean), err
	case b.Repo != "":
		key, err := keyOf(ctx, tree, b.Repo)
		if err != nil {
			return "", fmt.Errorf("look at %s in the commit: %w", b.Repo, err)
		}
		return f.at(appID, filesDir, key), nil
	}
	return b.Host, nil
}

// keyOf is the name under which the content is placed. Of a file the mode is
// part of it; that of what is in a folder is part of the folder's hash.
func keyOf(ctx context.Context, tree pipeline.Tree, name string) (string, error) {
	key := ""
	err := tree.Walk(ctx, name, func(e pipeline.TreeEntry) error {
		if key = e.Hash; !e.Mode.IsDir() && e.Mode&0o100 != 0 {
			key += "x"
		}
		return fs.SkipAll
	})
	if err == nil && !plainID(key) {
		err = fmt.Errorf("it has the hash %q", key)
	}
	return key, err
}

func has(root *os.Root, name string) (bool, error) {
	_, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (f *Folders) write(ctx context.Context, files *os.Root, key string, tree pipeline.Tree, name string) (err error) {
	temp := newPrefix + rand.Text()
	defer func() {
		if err != nil {
			err = errors.Join(err, files.RemoveAll(temp))
		}
	}()
	w := &writer{to: files, temp: temp, name: name, limits: f.o, left: f.o.Bytes}
	if err := tree.Walk(ctx, name, w.entry); err != nil {
		return err
	}
	if err := w.sync(); err != nil {
		return fmt.Errorf("bring it to the disk: %w", err)
	}
	if err := files.Rename(temp, key); err != nil {
		return err
	}
	return sync1(files, ".")
}

// writer puts what a walk meets below a folder.
type writer struct {
	to     *os.Root
	temp   string
	name   string // the walked path, for messages
	limits Options
	files  int
	left   int64 // bytes still allowed
	dirs   []string
}

// syncEach is up to how many files each one is brought to the disk by itself.
// Beyond that all of the file system is at once, which is faster then, but waits
// for what others have written too.
const syncEach = 200

func (w *writer) sync() error {
	if w.files > syncEach {
		return syncAll(w.to)
	}
	for _, dir := range w.dirs {
		if err := sync1(w.to, dir); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) entry(e pipeline.TreeEntry) error {
	if w.files++; w.files > w.limits.Files {
		return w.tooMuch("has more than %d files", w.limits.Files)
	}
	if !fs.ValidPath(e.Path) {
		return fmt.Errorf("%w path %q in it", pipeline.ErrInvalid, e.Path)
	}
	at := path.Join(w.temp, e.Path)
	if e.Mode.IsDir() {
		if err := w.to.Mkdir(at, 0o755); err != nil {
			return err
		}
		w.dirs = append(w.dirs, at)
		return w.to.Chmod(at, 0o755) // the process may mask some of it
	}
	r, err := e.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if e.Mode&fs.ModeSymlink != 0 {
		return w.link(at, r)
	}
	return w.file(at, e.Mode.Perm(), r)
}

func (w *writer) link(at string, r io.Reader) error {
	target, err := io.ReadAll(io.LimitReader(r, 4097))
	if err != nil {
		return err
	}
	if len(target) == 0 || len(target) > 4096 || strings.ContainsRune(string(target), 0) {
		return fmt.Errorf("%w: %s is a symbolic link that leads nowhere", pipeline.ErrInvalid, at[len(w.temp):])
	}
	return w.to.Symlink(string(target), at)
}

func (w *writer) file(at string, mode fs.FileMode, r io.Reader) error {
	out, err := w.to.OpenFile(at, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, io.LimitReader(r, w.left+1))
	if err == nil && w.files <= syncEach {
		err = out.Sync()
	}
	if err := errors.Join(err, out.Chmod(mode), out.Close()); err != nil {
		return err
	}
	if w.left -= n; w.left < 0 {
		return w.tooMuch("has more than %d bytes", w.limits.Bytes)
	}
	return nil
}

func (w *writer) tooMuch(format string, limit any) error {
	return fmt.Errorf("%w: %s "+format+", which is too much for a bind: mount a smaller part of it, "+
		"or put it into the image", pipeline.ErrInvalid, w.name, limit)
}

// HasPlaced implements pipeline.Folders.
func (f *Folders) HasPlaced(_ context.Context, appID, placed string) (bool, error) {
	if filepath.Dir(placed) != f.at(appID, filesDir) || !plainID(filepath.Base(placed)) {
		return false, nil
	}
	app, done, err := f.open(appID)
	if err != nil {
		return false, err
	}
	defer done()
	return has(app, path.Join(filesDir, filepath.Base(placed)))
}

// PrunePlaced implements pipeline.Folders. It also clears away what a crash left
// half written or half removed. What cannot be removed, because a container put
// files of another user there, is tried again the next time.
func (f *Folders) PrunePlaced(ctx context.Context, appID string, keep []string) (int, error) {
	app, done, err := f.open(appID)
	if err != nil {
		return 0, err
	}
	defer done()
	names, err := list(app, filesDir)
	if err != nil {
		return 0, fmt.Errorf("list placed files: %w", err)
	}
	removed, errs := 0, []error{}
	for _, name := range names {
		if ctx.Err() != nil {
			return removed, context.Cause(ctx)
		}
		at := path.Join(filesDir, name)
		if !strings.HasPrefix(name, ".") {
			if slices.Contains(keep, f.at(appID, filesDir, name)) {
				continue
			}
			// Renamed first: what a crash leaves of it is not taken for whole.
			old := path.Join(filesDir, oldPrefix+rand.Text())
			if err := app.Rename(at, old); err != nil {
				errs = append(errs, err)
				continue
			}
			at = old
			removed++
		}
		errs = append(errs, app.RemoveAll(at))
	}
	return removed, errors.Join(errs...)
}

func list(root *os.Root, dir string) ([]string, error) {
	d, err := root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}
