package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/image"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// inlineName is where a build's own Dockerfile lies in its context.
const inlineName = ".swingbridge.Dockerfile"

// buildContext streams the context, after the build's own Dockerfile if it has
// one: a tar may be continued by another.
func buildContext(ctx context.Context, o pipeline.BuildOrder) (io.ReadCloser, error) {
	stream, err := o.Tree.Context(ctx, o.Spec)
	if err != nil || o.Spec.Inline == "" {
		return stream, err
	}
	var head bytes.Buffer
	w := tar.NewWriter(&head)
	err = w.WriteHeader(&tar.Header{Name: inlineName, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(o.Spec.Inline))})
	if err == nil {
		_, err = io.WriteString(w, o.Spec.Inline)
	}
	if err == nil {
		err = w.Flush() // not Close, which would end the tar
	}
	if err != nil {
		stream.Close()
		return nil, fmt.Errorf("write the Dockerfile: %w", err)
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(&head, stream), stream}, nil
}

// importContexts makes each further folder that the build names an image, and
// these images the Dockerfile's first stages: the engine's API knows no contexts
// but the one. They go with the next prune.
func (e *Engine) importContexts(ctx context.Context, o pipeline.BuildOrder) (pipeline.BuildOrder, error) {
	if len(o.Spec.Contexts) == 0 {
		return o, nil
	}
	content, err := dockerfileContent(o)
	if err != nil {
		return o, err
	}
	var stages strings.Builder
	for _, name := range slices.Sorted(maps.Keys(o.Spec.Contexts)) {
		tag := e.imageName(o.Owner.App, o.Owner.Service, o.Key+".context-"+name)
		if err := e.importContext(ctx, o, o.Spec.Contexts[name], tag); err != nil {
			return o, fmt.Errorf("additional context %s of %s: %w", name, o.Owner.Service, err)
		}
		fmt.Fprintf(&stages, "FROM %s AS %s\n", tag, name)
	}
	o.Spec.Inline = insertLines(string(content), readDockerfile(content).first, stages.String())
	return o, nil
}

// insertLines puts lines before the given one, counted from 1.
func insertLines(text string, before int, lines string) string {
	all := strings.SplitAfter(text, "\n")
	before = min(max(before-1, 0), len(all))
	return strings.Join(all[:before], "") + lines + strings.Join(all[before:], "")
}

func (e *Engine) importContext(ctx context.Context, o pipeline.BuildOrder, folder, tag string) error {
	// With a Dockerfile of its own a context needs none.
	stream, err := o.Tree.Context(ctx, stack.Build{Context: folder, Inline: "FROM scratch"})
	if err != nil {
		return fmt.Errorf("read folder %s: %w", folder, err)
	}
	defer stream.Close()
	return e.importImage(ctx, tag, stream, e.imageLabels(o.Owner))
}

// importImage makes an image out of a root file system.
func (e *Engine) importImage(ctx context.Context, ref string, tar io.Reader, labels map[string]string) error {
	var changes []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		changes = append(changes, "LABEL "+strconv.Quote(key)+"="+strconv.Quote(labels[key]))
	}
	body, err := e.api.ImageImport(ctx, image.ImportSource{Source: tar, SourceName: "-"}, ref, image.ImportOptions{Changes: changes})
	if err != nil {
		return said(err, "import image %s", ref)
	}
	defer body.Close()
	return messages(body, func(m message) error { return m.failure("import image " + ref) })
}
