package folder_test

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/folder"
)

func TestData_IsOneStableFolderThatContainersMayWrite(t *testing.T) {
	t.Parallel()
	f, root := folders(t, folder.Options{})
	first, err := f.Data(t.Context(), app, "./var/media/")
	if err != nil || first != filepath.Join(root, app, "data", "var", "media") {
		t.Fatalf("%s, %v", first, err)
	}
	if err := os.WriteFile(filepath.Join(first, "upload"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	// A new process finds the same.
	again, err := folder.New(folder.Options{Dir: root}).Data(t.Context(), app, "var/media")
	if err != nil || again != first || !slices.Equal(names(t, first), []string{"upload"}) {
		t.Errorf("%s with %q, %v", again, names(t, again), err)
	}
	for at, want := range map[string]fs.FileMode{first: 0o777, filepath.Dir(first): 0o700, filepath.Join(root, app, "data"): 0o700} {
		if info, err := os.Stat(at); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v; want %v", at, info.Mode(), err, want)
		}
	}
}

func TestData_LeavesTheModeThatAContainerGaveIt(t *testing.T) {
	t.Parallel()
	f, _ := folders(t, folder.Options{})
	at, err := f.Data(t.Context(), app, "pg")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(at, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Data(t.Context(), app, "pg"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(at); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestData_TakesAFileThatAnOperatorPutThere(t *testing.T) {
	t.Parallel()
	f, _ := folders(t, folder.Options{})
	at, err := f.Data(t.Context(), app, "db.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(at), os.WriteFile(at, []byte("rows"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if again, err := f.Data(t.Context(), app, "db.sqlite"); err != nil || again != at {
		t.Errorf("%s, %v", again, err)
	}
}

func TestData_RefusesPathsThatLeadElsewhere(t *testing.T) {
	t.Parallel()
	f, root := folders(t, folder.Options{})
	for _, name := range []string{"", ".", "..", "../x", "a/../../x", "/etc", "a/..", "a\x00b", "a\nb", `..\x`, strings.Repeat("n", 256), strings.Repeat("n/", 600)} {
		if at, err := f.Data(t.Context(), app, name); !errors.Is(err, pipeline.ErrInvalid) {
			t.Errorf("%q became %s, %v", name, at, err)
		}
	}
	for _, id := range []string{"", ".", "..", "../x", "a/b", "a.b", "/"} {
		if _, err := f.Data(t.Context(), id, "x"); !errors.Is(err, pipeline.ErrInvalid) {
			t.Errorf("app %q: %v", id, err)
		}
		if _, err := f.Place(t.Context(), id, file("a"), "x"); !errors.Is(err, pipeline.ErrInvalid) {
			t.Errorf("app %q: %v", id, err)
		}
		if _, err := f.PrunePlaced(t.Context(), id, nil); !errors.Is(err, pipeline.ErrInvalid) {
			t.Errorf("app %q: %v", id, err)
		}
	}
	if made := names(t, root); len(made) > 0 {
		t.Errorf("made %q", made)
	}
}

// A container has the folder "a" and puts a link there. Nothing that is mounted
// later may lead through it, whatever the link is at that moment.
func TestData_NeverLeadsThroughAFolderThatContainersHave(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{{"a", "a/b"}, {"a", "a/b/c"}, {"a/b", "a"}, {"x/a/b", "x/a"}} {
		f, _ := folders(t, folder.Options{})
		first, err := f.Data(t.Context(), app, c[0])
		if err != nil {
			t.Fatal(err)
		}
		at, err := f.Data(t.Context(), app, c[1])
		if !errors.Is(err, pipeline.ErrInvalid) || !strings.Contains(err.Error(), c[0]) || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%q after %q: %s, %v", c[1], c[0], at, err)
		}
		if again, err := f.Data(t.Context(), app, c[0]); err != nil || again != first {
			t.Errorf("%q again: %s, %v", c[0], again, err)
		}
	}
	f, _ := folders(t, folder.Options{})
	for _, beside := range []string{"a", "ab", "a-b", "b/a", "b/ab", "b/c"} { // none lies in another
		if _, err := f.Data(t.Context(), app, beside); err != nil {
			t.Errorf("%s: %v", beside, err)
		}
	}
}

func TestData_RefusesALinkInItsPlace(t *testing.T) {
	t.Parallel()
	for _, link := range []string{"media", "var", "../data", ".."} {
		f, root := folders(t, folder.Options{})
		outside := t.TempDir()
		at := filepath.Join(root, app, "data", link)
		if link == ".." {
			at = filepath.Join(root, app)
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o700), os.Symlink(outside, filepath.Clean(at))); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"media", "var/media"} {
			got, err := f.Data(t.Context(), app, name)
			if strings.HasPrefix(link, "..") || link == strings.Split(name, "/")[0] {
				if err == nil {
					t.Errorf("%s behind the link %s became %s", name, link, got)
				}
			}
		}
		if made := names(t, outside); len(made) > 0 {
			t.Errorf("made %q outside, through the link %s", made, link)
		}
	}
}

func TestData_IsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	f, _ := folders(t, folder.Options{})
	var wg sync.WaitGroup
	var placed, data [8]string
	for i := range placed {
		wg.Go(func() { placed[i], _ = f.Place(t.Context(), app, file("same"), "conf") })
		wg.Go(func() { data[i], _ = f.Data(t.Context(), app, "same") })
		wg.Go(func() {
			if _, err := f.PrunePlaced(t.Context(), "other", nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range placed {
		if placed[i] == "" || placed[i] != placed[0] || data[i] == "" || data[i] != data[0] {
			t.Errorf("%q, %q", placed[i], data[i])
		}
	}
}

// Whatever a path is, what comes of it lies below the app's own data folder, and
// nothing else is made.
func FuzzData_StaysBelowTheAppsFolder(f *testing.F) {
	for _, seed := range []string{"media", "../x", "a/./b//c", "/etc/passwd", "a\x00", strings.Repeat("../", 20), "…/é", ".new-x", "data.json"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		top := t.TempDir()
		fo, root := folders(t, folder.Options{Dir: filepath.Join(top, "apps")})
		at, err := fo.Data(t.Context(), app, name)
		below := filepath.Join(root, app, "data") + "/"
		if err == nil && (!strings.HasPrefix(at, below) || at != path.Clean(at)) {
			t.Fatalf("%q became %q", name, at)
		}
		if info, statErr := os.Lstat(at); err == nil && (statErr != nil || !info.IsDir()) {
			t.Fatalf("%q: %v", name, statErr)
		}
		if made := names(t, top); len(made) > 1 || len(names(t, root)) > 1 {
			t.Fatalf("%q made %q, %q", name, made, names(t, root))
		}
	})
}
