package folder_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/folder"
)

const app = "01jz"

// tree is a folder of a commit: entries in the order of a walk.
type tree struct {
	pipeline.Tree
	entries []entry
}

type entry struct {
	path, hash, content string
	mode                fs.FileMode
	fail                error
}

func (t tree) Walk(ctx context.Context, _ string, f func(pipeline.TreeEntry) error) error {
	if len(t.entries) == 0 {
		return fs.ErrNotExist
	}
	for _, e := range t.entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		out := pipeline.TreeEntry{Path: e.path, Mode: e.mode, Hash: e.hash}
		if !e.mode.IsDir() {
			out.Open = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(e.content)), e.fail }
		}
		if err := f(out); err != nil {
			if errors.Is(err, fs.SkipAll) {
				return nil
			}
			return err
		}
	}
	return nil
}

func file(content string) tree {
	return tree{entries: []entry{{path: ".", hash: "f" + content, content: content, mode: 0o644}}}
}

// dir is a folder of that hash with what is given in it.
func dir(hash string, in ...entry) tree {
	return tree{entries: append([]entry{{path: ".", hash: hash, mode: fs.ModeDir | 0o755}}, in...)}
}

func folders(t *testing.T, o folder.Options) (*folder.Folders, string) {
	t.Helper()
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "apps")
	}
	return folder.New(o), o.Dir
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

func mustPlace(t *testing.T, f *folder.Folders, tr pipeline.Tree) string {
	t.Helper()
	at, err := f.Place(t.Context(), app, tr, "conf")
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestPlace_WritesWhatTheCommitHas(t *testing.T) {
	t.Parallel()
	f, root := folders(t, folder.Options{})
	at := mustPlace(t, f, dir("abc",
		entry{path: "run.sh", content: "#!/bin/sh", mode: 0o755},
		entry{path: "sub", mode: fs.ModeDir | 0o755},
		entry{path: "sub/a.conf", content: "listen 80", mode: 0o644},
		entry{path: "away", content: "/etc/passwd", mode: fs.ModeSymlink | 0o777},
	))
	if at != filepath.Join(root, app, "files", "abc") {
		t.Errorf("placed at %s", at)
	}
	for name, want := range map[string]fs.FileMode{
		".": fs.ModeDir | 0o755, "run.sh": 0o755, "sub": fs.ModeDir | 0o755, "sub/a.conf": 0o644, "away": fs.ModeSymlink | 0o777,
	} {
		info, err := os.Lstat(filepath.Join(at, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v %v, want %v", name, info.Mode(), err, want)
		}
	}
	content, err := os.ReadFile(filepath.Join(at, "sub", "a.conf"))
	if err != nil || string(content) != "listen 80" {
		t.Errorf("sub/a.conf has %q, %v", content, err)
	}
	if link, err := os.Readlink(filepath.Join(at, "away")); err != nil || link != "/etc/passwd" {
		t.Errorf("the link leads to %q, %v", link, err)
	}
	for _, closed := range []string{root, filepath.Join(root, app), filepath.Join(root, app, "files")} {
		if info, err := os.Stat(closed); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s is open to others: %v, %v", closed, info.Mode(), err)
		}
	}
}

func TestPlace_SameContentHasTheSamePathAndIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	f, _ := folders(t, folder.Options{})
	first := mustPlace(t, f, file("a"))
	if err := os.WriteFile(first, []byte("a container wrote this"), 0o644); err != nil {
		t.Fatal(err)
	}
	if again := mustPlace(t, f, file("a")); again != first {
		t.Errorf("%s, then %s", first, again)
	}
	if content, _ := os.ReadFile(first); string(content) != "a container wrote this" {
		t.Errorf("what is there was written again: %q", content)
	}
	other := mustPlace(t, f, file("b"))
	program := file("a")
	program.entries[0].mode = 0o755
	if executable := mustPlace(t, f, program); other == first || executable == first {
		t.Errorf("other content or mode at the same path: %s, %s, %s", first, other, executable)
	}
}

func TestPlace_LeavesNothingHalfWritten(t *testing.T) {
	t.Parallel()
	f, root := folders(t, folder.Options{Files: 3, Bytes: 10})
	broken := errors.New("the disk of git is broken")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		tree tree
		says string
	}{
		"error on the way":   {t.Context(), dir("h1", entry{path: "a", content: "1", mode: 0o644}, entry{path: "b", fail: broken, mode: 0o644}), broken.Error()},
		"too many files":     {t.Context(), dir("h2", entry{path: "a"}, entry{path: "b"}, entry{path: "c"}), "more than 3 files"},
		"too many bytes":     {t.Context(), dir("h3", entry{path: "a", content: "123456"}, entry{path: "b", content: "78901"}), "more than 10 bytes"},
		"canceled":           {canceled, dir("h4"), "canceled"},
		"link to nowhere":    {t.Context(), dir("h5", entry{path: "a", mode: fs.ModeSymlink}), "leads nowhere"},
		"a name that climbs": {t.Context(), dir("h6", entry{path: "../../a", content: "x"}), "path"},
		"absolute name":      {t.Context(), dir("h7", entry{path: "/tmp/a", content: "x"}), "path"},
		"through its link":   {t.Context(), dir("h8", entry{path: "a", content: "/tmp", mode: fs.ModeSymlink}, entry{path: "a/b", content: "x"}), "a/b"},
		"hash that climbs":   {t.Context(), dir("../h9"), "hash"},
		"no hash":            {t.Context(), dir(""), "hash"},
		"absent":             {t.Context(), tree{}, "does not exist"},
	} {
		if _, err := f.Place(c.ctx, app, c.tree, "conf"); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want one that says %q", name, err, c.says)
		}
	}
	if left := names(t, filepath.Join(root, app, "files")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	mustPlace(t, f, dir("h0", entry{path: "a", content: "1234567890"}, entry{path: "b"})) // the limits are reachable
}

func TestPrunePlaced_KeepsWhatIsNamedAndClearsWhatACrashLeft(t *testing.T) {
	t.Parallel()
	f, root := folders(t, folder.Options{})
	if n, err := f.PrunePlaced(t.Context(), app, nil); n != 0 || err != nil {
		t.Errorf("an app without files: %d, %v", n, err)
	}
	kept, gone := mustPlace(t, f, file("a")), mustPlace(t, f, dir("d", entry{path: "x", mode: fs.ModeDir | 0o755}, entry{path: "x/y", content: "y"}))
	data, err := f.Data(t.Context(), app, "media")
	if err != nil {
		t.Fatal(err)
	}
	for _, half := range []string{".new-HALF", ".old-HALF"} {
		if err := os.MkdirAll(filepath.Join(root, app, "files", half, "x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	n, err := f.PrunePlaced(t.Context(), app, []string{kept, "/elsewhere"})
	if n != 1 || err != nil {
		t.Errorf("removed %d, %v", n, err)
	}
	if left := names(t, filepath.Join(root, app, "files")); !slices.Equal(left, []string{filepath.Base(kept)}) {
		t.Errorf("left: %q", left)
	}
	for at, want := range map[string]bool{kept: true, gone: false, data: false, root: false, kept + "/..": false, "/etc/passwd": false} {
		if got, err := f.HasPlaced(t.Context(), app, at); got != want || err != nil {
			t.Errorf("HasPlaced(%s) = %v, %v", at, got, err)
		}
	}
	if _, err := os.Stat(data); err != nil {
		t.Errorf("the data folder: %v", err)
	}
}

func TestPrunePlaced_FollowsNoLink(t *testing.T) {
	t.Parallel()
	f, _ := folders(t, folder.Options{})
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "precious"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	at := mustPlace(t, f, dir("d", entry{path: "x", content: outside, mode: fs.ModeSymlink}))
	if n, err := f.PrunePlaced(t.Context(), app, nil); n != 1 || err != nil {
		t.Fatalf("removed %d, %v", n, err)
	}
	if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if left := names(t, outside); !slices.Equal(left, []string{"precious"}) {
		t.Errorf("outside is %q now", left)
	}
}
