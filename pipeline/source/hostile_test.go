package source_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline/source"
	"github.com/swingbridge/swingbridge/pipeline/source/gitserver"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// These trees are written by hand: git makes none of them. Each must end in a
// Refusal that names the path, and leave nothing outside of the store.
func TestHostile_TreesAreRefusedByName(t *testing.T) {
	t.Parallel()
	type e = gitserver.Entry
	for name, c := range map[string]struct {
		entry  e
		refuse string // path in the refusal
	}{
		"parent folder":             {e{Mode: "40000", Name: ".."}, "./.."},
		"parent file":               {e{Mode: "100644", Name: ".."}, "./.."},
		"this folder":               {e{Mode: "40000", Name: "."}, "./."},
		"path that climbs":          {e{Mode: "100644", Name: "../../etc/passwd"}, "./../../etc/passwd"},
		"absolute path":             {e{Mode: "100644", Name: "/etc/passwd"}, ".//etc/passwd"},
		"path in one name":          {e{Mode: "100644", Name: "a/b"}, "./a/b"},
		"backslash":                 {e{Mode: "100644", Name: `..\x`}, `./..\x`},
		"git folder":                {e{Mode: "40000", Name: ".git"}, "./.git"},
		"git file":                  {e{Mode: "100644", Name: ".git"}, "./.git"},
		"git link":                  {e{Mode: "120000", Name: ".git"}, "./.git"},
		"git folder in capitals":    {e{Mode: "40000", Name: ".GIT"}, "./.GIT"},
		"git folder's short name":   {e{Mode: "40000", Name: "GIT~1"}, "./GIT~1"},
		"git folder with a dot":     {e{Mode: "40000", Name: ".git. "}, "./.git. "},
		"git folder's data stream":  {e{Mode: "40000", Name: ".git::$INDEX_ALLOCATION"}, "./.git::$INDEX_ALLOCATION"},
		"git folder, unseen letter": {e{Mode: "40000", Name: ".g\u200cit"}, "./.g\u200cit"},
		"long name":                 {e{Mode: "100644", Name: strings.Repeat("n", 256)}, "./" + strings.Repeat("n", 256)},
		"device mode":               {e{Mode: "20666", Name: "null"}, "null"},
		"setuid mode":               {e{Mode: "104755", Name: "su"}, "su"},
		"socket mode":               {e{Mode: "140000", Name: "sock"}, "sock"},
		"mode zero":                 {e{Mode: "0", Name: "zero"}, "zero"},
		"world-writable":            {e{Mode: "100666", Name: "ww"}, "ww"},
		"folder with file bits":     {e{Mode: "40755", Name: "dir"}, "dir"},
		"the same name twice":       {e{Mode: "100644", Name: "Dockerfile"}, "Dockerfile"},
		"submodule":                 {e{Mode: "160000", Name: "sub"}, "sub"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			file := must(b.repo.Blob("FROM scratch"))(t)
			c.entry.SHA = file
			if strings.HasPrefix(c.entry.Mode, "40") {
				c.entry.SHA = must(b.repo.Tree(e{Mode: "100644", Name: "config", SHA: file}))(t)
			}
			tree := b.tree(c.entry, e{Mode: "100644", Name: "Dockerfile", SHA: file})
			wantRefusal(t, tree, c.refuse, "")
			if _, err := tree.ReadFile(c.entry.Name + "/config"); err == nil {
				t.Error("ReadFile reads through it")
			}
			b.nothingOutside()
		})
	}
}

// A link and then a folder of the same name would have the unpacker write
// through the link.
func TestHostile_LinkAndFolderOfOneName(t *testing.T) {
	b := setup(t)
	target, file := must(b.repo.Blob("/etc"))(t), must(b.repo.Blob("FROM scratch"))(t)
	inner := must(b.repo.Tree(gitserver.Entry{Mode: "100644", Name: "passwd", SHA: file}))(t)
	tree := b.tree(
		gitserver.Entry{Mode: "100644", Name: "Dockerfile", SHA: file},
		gitserver.Entry{Mode: "120000", Name: "x", SHA: target},
		gitserver.Entry{Mode: "100644", Name: "x.y", SHA: file},
		gitserver.Entry{Mode: "40000", Name: "x", SHA: inner},
	)
	wantRefusal(t, tree, "x", "twice")
	if _, err := tree.ReadFile("x/passwd"); err == nil {
		t.Error("ReadFile reads through the link")
	}
	b.nothingOutside()
}

func TestHostile_MalformedFoldersAreRefused(t *testing.T) {
	t.Parallel()
	for name, entries := range map[string][]gitserver.Entry{
		"no name":                 {{Mode: "100644", Name: "", SHA: strings.Repeat("1", 40)}},
		"no octal number":         {{Mode: "10o644", Name: "a", SHA: strings.Repeat("1", 40)}},
		"no mode":                 {{Mode: "", Name: "a", SHA: strings.Repeat("1", 40)}},
		"cut off":                 {{Mode: "100644", Name: "a", SHA: strings.Repeat("1", 38)}},
		"absent content":          {{Mode: "100644", Name: "a", SHA: strings.Repeat("1", 40)}},
		"a folder that is a file": {{Mode: "40000", Name: "a", SHA: ""}},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			if entries[0].SHA == "" {
				entries[0].SHA = must(b.repo.Blob("x"))(t)
			}
			root := must(b.repo.Tree(entries...))(t)
			sha := must(b.repo.CommitTree(root, nil, "by hand"))(t)
			if err := b.repo.SetBranch("main", sha); err != nil {
				t.Fatal(err)
			}
			tree, err := b.src.Fetch(t.Context(), repo, "main", sha)
			if err == nil && name == "no name" {
				_, err = tree.Context(t.Context(), stack.Build{})
			}
			if err == nil {
				t.Error("Fetch accepted it")
			}
			b.nothingOutside()
		})
	}
}

// Ten folders in ten folders, all the same: 10^12 files in 12 objects.
func TestHostile_FoldersThatMultiplyAreRefusedAndCostNothing(t *testing.T) {
	b := setup(t)
	sha, mode := must(b.repo.Blob("x"))(t), "100644"
	for range 12 {
		var entries []gitserver.Entry
		for i := range 10 {
			entries = append(entries, gitserver.Entry{Mode: mode, Name: fmt.Sprint("n", i), SHA: sha})
		}
		sha, mode = must(b.repo.Tree(entries...))(t), "40000"
	}
	commit := must(b.repo.CommitTree(sha, nil, "bomb"))(t)
	if err := b.repo.SetBranch("main", commit); err != nil {
		t.Fatal(err)
	}
	_, err := b.src.Fetch(t.Context(), repo, "main", commit)
	var refusal *source.Refusal
	if !errors.As(err, &refusal) {
		t.Errorf("Fetch: %v", err)
	}
}

func TestHostile_DeepFoldersAreRefused(t *testing.T) {
	b := setup(t)
	sha, mode := must(b.repo.Blob("x"))(t), "100644"
	for range 600 {
		sha, mode = must(b.repo.Tree(gitserver.Entry{Mode: mode, Name: "d", SHA: sha}))(t), "40000"
	}
	commit := must(b.repo.CommitTree(sha, nil, "deep"))(t)
	if err := b.repo.SetBranch("main", commit); err != nil {
		t.Fatal(err)
	}
	_, err := b.src.Fetch(t.Context(), repo, "main", commit)
	var refusal *source.Refusal
	if !errors.As(err, &refusal) {
		t.Errorf("Fetch: %v", err)
	}
}

func TestHostile_LinksAreNotFollowed(t *testing.T) {
	b := setup(t)
	tree := b.put(map[string]gitserver.File{
		"compose.yml": {Content: "/etc/passwd", Link: true}, "dir": {Content: "real", Link: true}, "real/file": {Content: "x"},
	})
	for _, name := range []string{"compose.yml", "dir/file", "dir/none"} {
		_, err := tree.ReadFile(name)
		var refusal *source.Refusal
		if !errors.As(err, &refusal) || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "symbolic link") {
			t.Errorf("ReadFile(%s): %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", "/etc/passwd", "../x", "real/../../x", `real\file`, "real/\x00", ".git/config"} {
		_, err := tree.ReadFile(name)
		var refusal *source.Refusal
		if !errors.As(err, &refusal) {
			t.Errorf("ReadFile(%q): %v", name, err)
		}
	}
}

func TestHostile_NamesThatOnlyLookBadAreKept(t *testing.T) {
	b := setup(t)
	files := map[string]string{"Dockerfile": "FROM scratch"}
	for _, name := range []string{".github/x", ".gitignore", ".gitattributes", ".gitmodules", "git~10", "..a", "a..b", "-rf", "$(id)", ";id", "a b", "\u202etxt.exe", "con", "a:b"} {
		files[name] = "x"
	}
	got := stream(t, b.put(text(files)), stack.Build{})
	for name := range files {
		if _, ok := got[name]; !ok {
			t.Errorf("%q is missing", name)
		}
	}
}

// nothingOutside checks that a source wrote only into its store.
func (b *bench) nothingOutside() {
	b.Helper()
	var got []string
	err := filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(b.dir, path)
		switch {
		case err != nil:
			return err
		case rel == filepath.Join("octo", "app.git"):
			got = append(got, rel)
			return fs.SkipDir
		case !d.IsDir():
			got = append(got, rel)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	if diff := cmp.Diff([]string{"octo/app.git"}, got); diff != "" {
		b.Error(diff)
	}
	if files, _ := os.ReadDir(b.store()); len(files) > 4 {
		b.Errorf("the store has %v", files)
	}
}

// pack writes a pack of raw object records.
// record is an object of a pack that announces a size and has some content.
// TestHostile_PacksThatUnpackToMuchAreRefused has a forge send packs that
// announce far more than they are long.
// answer answers what is asked of upload-pack; the listing comes from git,
// without its sideband so that an answer is the bare pack.
