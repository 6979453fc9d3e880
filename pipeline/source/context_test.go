package source_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/source"
	"github.com/swingbridge/swingbridge/pipeline/source/gitserver"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// member is a line of a tar.
type member struct {
	Mode    int64
	Link    string
	Content string
}

func unpack(t *testing.T, r io.Reader) map[string]member {
	t.Helper()
	out := map[string]member{}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := out[h.Name]; twice {
			t.Errorf("%s is there twice", h.Name)
		}
		if !h.ModTime.IsZero() && h.ModTime.Unix() != 0 || h.Uid != 0 || h.Uname != "" {
			t.Errorf("%s has a time or an owner: %+v", h.Name, h)
		}
		out[h.Name] = member{h.Mode, h.Linkname, string(content)}
	}
}

func stream(t *testing.T, tree pipeline.Tree, b stack.Build) map[string]member {
	t.Helper()
	r, err := tree.Context(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return unpack(t, r)
}

// names lists files and links, not folders.
func names(m map[string]member) []string {
	var out []string
	for name := range m {
		if !strings.HasSuffix(name, "/") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func (b *bench) put(files map[string]gitserver.File) pipeline.Tree {
	b.Helper()
	sha, err := b.repo.Put(b.Context(), "main", files, "put")
	if err != nil {
		b.Fatal(err)
	}
	return b.fetch(sha)
}

// text makes files of their contents.
func text(files map[string]string) map[string]gitserver.File {
	out := map[string]gitserver.File{}
	for name, content := range files {
		out[name] = gitserver.File{Content: content}
	}
	return out
}

func TestContext_IsWhatGitArchiveGives(t *testing.T) {
	b := setup(t)
	big := bytes.Repeat([]byte("more than is held in memory, "), 9<<20/29)
	b.put(map[string]gitserver.File{"big": {Content: string(big)}})
	copy(big, "now a delta")
	tree := b.put(map[string]gitserver.File{
		"Dockerfile":              {Content: "FROM scratch\n"},
		"run.sh":                  {Content: "#!/bin/sh\n", Executable: true},
		"docs/link":               {Content: "../run.sh", Link: true},
		"docs/away":               {Content: "/etc/passwd", Link: true},
		"docs/a/b/c/deep.txt":     {Content: "deep"},
		"empty":                   {},
		"big":                     {Content: string(big)},
		"a.b":                     {Content: "sorts between a and a/"},
		"a/x":                     {Content: "x"},
		"spaces and ü/новый файл": {Content: "names"},
		"new\nline":               {Content: "names"},
		strings.Repeat("long/", 40) + strings.Repeat("n", 200): {Content: "long"},
	})
	got := stream(t, tree, stack.Build{Context: "."})

	archive, err := exec.Command("git", "-c", "tar.umask=0022", "--git-dir", b.repo.Dir, "archive", "--format=tar", tree.Commit().SHA).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]member{}
	tr := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		want[h.Name] = member{h.Mode, h.Linkname, string(content)}
	}
	if len(want) < 15 {
		t.Fatalf("git archive gave %d members", len(want))
	}
	for name, w := range want {
		g, ok := got[name]
		if !ok || g != w {
			t.Errorf("%q: there %v, mode %o want %o, link %q want %q, %d bytes want %d", name, ok, g.Mode, w.Mode, g.Link, w.Link, len(g.Content), len(w.Content))
		}
		delete(got, name)
	}
	if len(got) != 0 {
		t.Errorf("more than git archive gives: %q", names(got))
	}
}

func TestContext_IsTheSameEveryTime(t *testing.T) {
	b := setup(t)
	tree := b.put(text(map[string]string{"Dockerfile": "FROM scratch", "a/1": "1", "a/2": "2", "b": "3", ".dockerignore": "a\n!a/2\n"}))
	var first []byte
	for range 3 {
		r, err := tree.Context(t.Context(), stack.Build{Context: "."})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = got
		}
		if !bytes.Equal(first, got) {
			t.Error("two streams differ")
		}
	}
}

func TestContext_DockerignoreIsApplied(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"Dockerfile": "FROM scratch", "README.md": "", "docs/index.md": "", "docs/api/a.md": "", "docs/api/b.txt": "",
		"src/main.go": "", "src/main_test.go": "", "src/deep/keep.me": "", "src/deep/no.me": "", "node_modules/x/index.js": "",
		"docker/web.Dockerfile": "FROM scratch", "docker/web.sh": "",
	}
	for name, c := range map[string]struct {
		ignore string // .dockerignore
		own    string // docker/web.Dockerfile.dockerignore
		build  stack.Build
		want   []string
	}{
		"a folder": {
			ignore: "node_modules\ndocs\nsrc\ndocker\n",
			want:   []string{".dockerignore", "Dockerfile", "README.md"},
		},
		"comments, globs and exceptions": {
			ignore: "# all\n*\n!src/**/*.go\n**/*_test.go\n!src/deep/keep.me\n",
			want:   []string{".dockerignore", "Dockerfile", "src/deep/keep.me", "src/main.go"},
		},
		"an exception with wildcards reaches into ignored folders": {
			ignore: "**\n!**/*.md\n",
			want:   []string{".dockerignore", "Dockerfile", "README.md", "docs/api/a.md", "docs/index.md"},
		},
		"an exception in an ignored folder, and one after it": {
			ignore: "docs\n!docs/api\ndocs/api/b.txt\nsrc\nnode_modules\ndocker\n",
			want:   []string{".dockerignore", "Dockerfile", "README.md", "docs/api/a.md"},
		},
		"the Dockerfile is kept in an ignored folder, its own file wins": {
			ignore: "README.md\n", own: "*\n!README.md\n",
			build: stack.Build{Dockerfile: "docker/web.Dockerfile"},
			want:  []string{".dockerignore", "README.md", "docker/web.Dockerfile", "docker/web.Dockerfile.dockerignore"},
		},
		"everything": {
			ignore: "*",
			want:   []string{".dockerignore", "Dockerfile"},
		},
		"a folder of its own": {
			ignore: "*", build: stack.Build{Context: "docker", Dockerfile: "web.Dockerfile"},
			want: []string{"web.Dockerfile", "web.sh"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			all := text(files)
			all[".dockerignore"] = gitserver.File{Content: c.ignore}
			if c.own != "" {
				all["docker/web.Dockerfile.dockerignore"] = gitserver.File{Content: c.own}
			}
			got := stream(t, b.put(all), c.build)
			if diff := cmp.Diff(c.want, names(got)); diff != "" {
				t.Error(diff)
			}
			for name := range got {
				for i := range name[:len(name)-1] {
					if name[i] == '/' && got[name[:i+1]].Mode != 0o755 {
						t.Errorf("%s is there, its folder %s is not", name, name[:i+1])
					}
				}
			}
		})
	}
}

func TestContext_WrongBuildsAreRefusedAtOnce(t *testing.T) {
	b := setup(t)
	tree := b.put(map[string]gitserver.File{
		"Dockerfile": {Content: "FROM scratch"}, "sub/x": {}, "sub/link": {Content: "..", Link: true}, "bad/Dockerfile": {},
		"bad/.dockerignore": {Content: "../Dockerfile", Link: true}, "worse/Dockerfile": {}, "worse/.dockerignore": {Content: "[a\n"},
	})
	for _, c := range []struct {
		build  stack.Build
		says   string
		absent bool
	}{
		{stack.Build{Context: "sub"}, "Dockerfile", true},
		{stack.Build{Context: "none"}, "none", true},
		{stack.Build{Context: "sub", Dockerfile: "../Dockerfile"}, "outside of the build context", false},
		{stack.Build{Dockerfile: "/Dockerfile"}, "outside of the build context", false},
		{stack.Build{Dockerfile: "sub"}, "is a folder", false},
		{stack.Build{Context: ".."}, "not a path inside", false},
		{stack.Build{Context: "/etc"}, "not a path inside", false},
		{stack.Build{Context: "Dockerfile"}, "is a file", false},
		{stack.Build{Context: "sub/link"}, "is a symbolic link", false},
		{stack.Build{Context: "sub/link/sub", Dockerfile: "x"}, "is a symbolic link", false},
		{stack.Build{Context: "bad"}, "bad/.dockerignore", false},
		{stack.Build{Context: "worse"}, "worse/.dockerignore", false},
	} {
		r, err := tree.Context(t.Context(), c.build)
		if err == nil {
			r.Close()
			t.Errorf("%+v was accepted", c.build)
			continue
		}
		var refusal *source.Refusal
		if !strings.Contains(err.Error(), c.says) || errors.Is(err, fs.ErrNotExist) != c.absent || errors.As(err, &refusal) == c.absent {
			t.Errorf("%+v: %v", c.build, err)
		}
	}
}

func TestContext_SubmodulesAndPointersAreRefusedByName(t *testing.T) {
	t.Parallel()
	const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
	t.Run("LFS", func(t *testing.T) {
		b := setup(t)
		tree := b.put(text(map[string]string{"Dockerfile": "FROM scratch", "assets/film.mp4": pointer}))
		wantRefusal(t, tree, "assets/film.mp4", "Git LFS")
		if _, err := tree.ReadFile("assets/film.mp4"); err == nil || !strings.Contains(err.Error(), "LFS") {
			t.Errorf("ReadFile: %v", err)
		}
		ignored := b.put(text(map[string]string{".dockerignore": "assets"}))
		stream(t, ignored, stack.Build{})
	})
	t.Run("submodule", func(t *testing.T) {
		b := setup(t)
		file := must(b.repo.Blob("FROM scratch"))(t)
		lib := must(b.repo.Tree(gitserver.Entry{Mode: "160000", Name: "dep", SHA: strings.Repeat("1", 40)}))(t)
		tree := b.tree(gitserver.Entry{Mode: "100644", Name: "Dockerfile", SHA: file}, gitserver.Entry{Mode: "40000", Name: "lib", SHA: lib})
		wantRefusal(t, tree, "lib/dep", "submodule")
		if _, err := tree.ReadFile("lib/dep/go.mod"); err == nil || !strings.Contains(err.Error(), "submodule") {
			t.Errorf("ReadFile: %v", err)
		}
	})
}

func must(s string, err error) func(*testing.T) string {
	return func(t *testing.T) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// tree fetches a commit of a root tree made by hand.
func (b *bench) tree(entries ...gitserver.Entry) pipeline.Tree {
	b.Helper()
	root := must(b.repo.Tree(entries...))(b.T)
	sha := must(b.repo.CommitTree(root, nil, "by hand"))(b.T)
	if err := b.repo.SetBranch("main", sha); err != nil {
		b.Fatal(err)
	}
	return b.fetch(sha)
}

func wantRefusal(t *testing.T, tree pipeline.Tree, path, says string) {
	t.Helper()
	r, err := tree.Context(t.Context(), stack.Build{Context: "."})
	if err == nil {
		_, err = io.Copy(io.Discard, r)
		r.Close()
	}
	var refusal *source.Refusal
	if !errors.As(err, &refusal) || refusal.Path != path || !strings.Contains(err.Error(), says) {
		t.Errorf("stream ended with %v, want a refusal of %q that says %q", err, path, says)
	}
}

func TestContext_ClosingEarlyEndsTheWalk(t *testing.T) {
	b := setup(t)
	files := map[string]string{"Dockerfile": "FROM scratch"}
	for i := range 200 {
		files[fmt.Sprintf("f%d", i)] = strings.Repeat("x", 10_000)
	}
	tree := b.put(text(files))
	r, err := tree.Context(t.Context(), stack.Build{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil { // waits for the walk; a walk that went on would hang here
		t.Fatal(err)
	}

	why := errors.New("canceled by a person")
	ctx, cancel := context.WithCancelCause(t.Context())
	r, err = tree.Context(ctx, stack.Build{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel(why)
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, why) {
		t.Errorf("stream ended with %v", err)
	}
}

func TestContext_StreamsTenThousandFiles(t *testing.T) {
	b := setup(t)
	files := map[string]string{"Dockerfile": "FROM scratch"}
	for i := range 10_000 {
		files[fmt.Sprintf("d%02d/e%d/f%d", i%50, i%7, i)] = fmt.Sprint("content ", i%100)
	}
	tree := b.put(text(files))
	got := stream(t, tree, stack.Build{Context: "./"})
	if n := len(names(got)); n != len(files) {
		t.Errorf("%d files of %d", n, len(files))
	}
	for name, content := range files {
		if got[name].Content != content {
			t.Fatalf("%s = %q", name, got[name].Content)
		}
	}
}

func TestContext_LargerThanAllowedEndsTheStream(t *testing.T) {
	b := setupWith(t, source.Options{Limits: source.Limits{Context: 1000}})
	tree := b.put(text(map[string]string{"Dockerfile": "FROM scratch", "a": strings.Repeat("a", 600), "b": strings.Repeat("b", 600)}))
	r, err := tree.Context(t.Context(), stack.Build{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, source.ErrTooLarge) {
		t.Errorf("stream ended with %v", err)
	}
}
