package source_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/source/gitserver"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// walkAll walks the whole tree and reads every file.
func walkAll(t *testing.T, tree pipeline.Tree) error {
	t.Helper()
	return tree.Walk(t.Context(), ".", func(e pipeline.TreeEntry) error {
		if e.Open == nil {
			return nil
		}
		r, err := e.Open()
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.Copy(io.Discard, r)
		return err
	})
}

// walked is what a walk gives, as the members of a tar.
func walked(t *testing.T, tree pipeline.Tree, at string) map[string]member {
	t.Helper()
	out := map[string]member{}
	err := tree.Walk(t.Context(), at, func(e pipeline.TreeEntry) error {
		name, m := e.Path, member{Mode: int64(e.Mode.Perm())}
		if e.Mode.IsDir() {
			out[name+"/"] = m
			return nil
		}
		r, err := e.Open()
		if err != nil {
			return err
		}
		defer r.Close()
		content, err := io.ReadAll(r)
		if m.Content = string(content); e.Mode&fs.ModeSymlink != 0 {
			m.Link, m.Content = m.Content, ""
		}
		out[name] = m
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWalk_GivesWhatABuildContextHas(t *testing.T) {
	b := setup(t)
	tree := b.put(map[string]gitserver.File{
		"Dockerfile":          {Content: "FROM scratch\n"},
		"run.sh":              {Content: "#!/bin/sh\n", Executable: true},
		"docs/away":           {Content: "/etc/passwd", Link: true},
		"docs/a/b/c/deep.txt": {Content: "deep"},
		"empty":               {},
		"new\nline":           {Content: strings.Repeat("long", 1000)},
	})
	got, want := walked(t, tree, "."), stream(t, tree, stack.Build{Context: "."})
	if _, ok := got["./"]; !ok {
		t.Error("the walk does not begin with the path itself")
	}
	delete(got, "./")
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%q is %+v, want %+v", name, got[name], w)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("more than the build context: %v", got)
	}
}

func TestWalk_OfAFileOrAFolderIsThatAlone(t *testing.T) {
	b := setup(t)
	tree := b.put(map[string]gitserver.File{
		"conf/nginx.conf": {Content: "events {}"}, "conf/run.sh": {Content: "x", Executable: true}, "else": {Content: "y"},
	})
	file := walked(t, tree, "conf/nginx.conf")
	if len(file) != 1 || file["."] != (member{Mode: 0o644, Content: "events {}"}) {
		t.Errorf("the file is walked as %v", file)
	}
	folder := walked(t, tree, "./conf/")
	if len(folder) != 3 || folder["run.sh"].Mode != 0o755 || folder["./"].Mode != 0o755 {
		t.Errorf("the folder is walked as %v", folder)
	}
}

func TestWalk_SaysWhatIsNotThere(t *testing.T) {
	b := setup(t)
	tree := b.put(map[string]gitserver.File{"conf/a": {Content: "a"}, "link": {Content: "conf", Link: true}})
	never := func(e pipeline.TreeEntry) error { t.Errorf("met %q", e.Path); return nil }
	for _, at := range []string{"absent", "conf/b", "conf/a/b"} {
		if err := tree.Walk(t.Context(), at, never); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", at, err)
		}
	}
	for _, at := range []string{"", "..", "../x", "/etc", "conf/../..", "link", "link/a", `a\b`, "a\x00"} {
		if err := tree.Walk(t.Context(), at, never); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q is not refused: %v", at, err)
		}
	}
}

func TestWalk_EndsWhereItIsToldTo(t *testing.T) {
	b := setup(t)
	tree := b.put(map[string]gitserver.File{"a": {}, "b": {}, "c": {}})
	var met []string
	err := tree.Walk(t.Context(), ".", func(e pipeline.TreeEntry) error {
		if met = append(met, e.Path); e.Path == "a" {
			return fs.SkipAll
		}
		return nil
	})
	if err != nil || !slices.Equal(met, []string{".", "a"}) {
		t.Errorf("met %q, %v", met, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("enough")
	err = tree.Walk(ctx, ".", func(pipeline.TreeEntry) error { cancel(stop); return nil })
	if !errors.Is(err, stop) {
		t.Errorf("a walk nobody waits for: %v", err)
	}
}
