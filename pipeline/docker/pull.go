package docker

import (
	"context"
	"fmt"
	"io"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Pull resolves an image reference to an ID, pulling it if the engine does not
// have it. Progress goes to log as lines.
func (e *Engine) Pull(ctx context.Context, ref string, log io.Writer) (string, error) {
	there, err := e.api.ImageInspect(ctx, ref)
	if err == nil {
		return there.ID, nil
	}
	if !cerrdefs.IsNotFound(err) {
		return "", said(err, "look at image %s", ref)
	}
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", fmt.Errorf("%w image %q: %w", pipeline.ErrInvalid, ref, err)
	}
	credentials, err := readCredentials(e.configFile)
	if err != nil {
		return "", err
	}
	opts := image.PullOptions{}
	if c, ok := credentials.find(reference.Domain(named)); ok {
		opts.RegistryAuth, err = registry.EncodeAuthConfig(registry.AuthConfig{
			Username: c.user, Password: c.password, IdentityToken: c.token, ServerAddress: reference.Domain(named),
		})
		if err != nil {
			return "", fmt.Errorf("encode the credentials of %s: %w", reference.Domain(named), err)
		}
	}
	body, err := e.api.ImagePull(ctx, ref, opts)
	if err != nil {
		return "", said(err, "pull image %s", ref)
	}
	defer body.Close()
	if err := messages(body, func(m message) error { return pullLine(ref, m, log) }); err != nil {
		if ctx.Err() != nil {
			return "", fmt.Errorf("pull image %s: %w", ref, context.Cause(ctx))
		}
		return "", err
	}
	there, err = e.api.ImageInspect(ctx, ref)
	if err != nil {
		return "", said(err, "look at image %s after pulling it", ref)
	}
	return there.ID, nil
}

// pullLine writes what is worth a line: not the bars that move.
func pullLine(ref string, m message, log io.Writer) error {
	if err := m.failure("pull image " + ref); err != nil {
		return err
	}
	switch {
	case m.Status == "", len(m.Progress) > len("{}"), strings.HasPrefix(m.Status, "Waiting"):
		return nil
	case m.ID != "":
		_, err := fmt.Fprintf(log, "%s: %s\n", oneLine(m.ID), oneLine(m.Status))
		return err
	}
	_, err := fmt.Fprintln(log, oneLine(m.Status))
	return err
}
