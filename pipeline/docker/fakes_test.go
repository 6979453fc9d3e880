package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// brokenTree loses an object in the middle of the stream.
type brokenTree struct{ pipeline.Tree }

func (b brokenTree) Context(ctx context.Context, o stack.Build) (io.ReadCloser, error) {
	whole, err := b.Tree.Context(ctx, o)
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	go func() {
		_, _ = io.CopyN(w, whole, 1000)
		w.CloseWithError(errors.New("object 4711 is missing"))
	}()
	return r, nil
}

// tool compiles testdata/tool once.
//
//nolint:gochecknoglobals // one compilation for all tests of the process
var tool = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "swingbridge-tool")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "tool")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", out, "./testdata/tool")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, text)
	}
	return os.ReadFile(out)
})

// tree is a commit in memory.
type tree map[string]string

func (tree) Commit() pipeline.Commit { return pipeline.Commit{SHA: strings.Repeat("c0ffee", 7)[:40]} }

func (t tree) ReadFile(path string) ([]byte, error) {
	content, ok := t[path]
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return []byte(content), nil
}

func (t tree) Hash(string) (string, error) { return shortHash(fmt.Sprint(map[string]string(t))), nil }

// Walk is not what a build asks for.
func (t tree) Walk(context.Context, string, func(pipeline.TreeEntry) error) error {
	return errors.ErrUnsupported
}

func (t tree) Context(_ context.Context, b stack.Build) (io.ReadCloser, error) {
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for path, content := range t {
		if err := w.WriteHeader(&tar.Header{Name: path, Mode: 0o755, Size: int64(len(content))}); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, content); err != nil {
			return nil, err
		}
	}
	return io.NopCloser(&buffer), w.Close()
}

// commit is a tree with the tool and the given Dockerfile.
func (w *world) commit(dockerfile string) tree {
	w.t.Helper()
	binary, err := tool()
	if err != nil {
		w.t.Fatal(err)
	}
	return tree{"Dockerfile": dockerfile, "tool": string(binary)}
}

func (w *world) buildOrder(dockerfile, key string) pipeline.BuildOrder {
	return pipeline.BuildOrder{
		Owner: w.owner("web", "d1"), Key: key, Tree: w.commit(dockerfile),
		Spec: stack.Build{Context: ".", Dockerfile: "Dockerfile"},
	}
}

func (w *world) build(dockerfile, key string) string {
	w.t.Helper()
	id, _, err := w.Build(w.t.Context(), w.buildOrder(dockerfile, key), io.Discard)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}
