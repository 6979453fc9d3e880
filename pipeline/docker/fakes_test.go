package docker

import (
	"context"
	"errors"
	"io"

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
