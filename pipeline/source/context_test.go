package source_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

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
		if errors.Is(err, io.EOF) {
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
		if errors.Is(err, io.EOF) {
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
	if err := walkAll(t, tree); !errors.As(err, &refusal) || refusal.Path != path || !strings.Contains(err.Error(), says) {
		t.Errorf("walk ended with %v, want a refusal of %q that says %q", err, path, says)
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
