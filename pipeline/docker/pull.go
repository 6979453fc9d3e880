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

// Pull resolves an image reference to an ID. It pulls the image if the engine
// does not have it, if the one it has is for another platform, or if the policy
// is "always". Progress goes to log as lines.
func (e *Engine) Pull(ctx context.Context, o pipeline.PullOrder, log io.Writer) (string, error) {
	switch id, err := e.Pulled(ctx, o); {
	case err != nil || id != "":
		return id, err
	case o.Policy == "never":
		return "", fmt.Errorf("image %s is not on the engine, and its pull policy is never: %w", o.Ref, pipeline.ErrNotFound)
	}
	if err := e.pull(ctx, o, log); err != nil {
		return "", err
	}
	there, err := e.api.ImageInspect(ctx, o.Ref)
	if err != nil {
		return "", said(err, "look at image %s after pulling it", o.Ref)
	}
	return there.ID, nil
}

// Pulled returns the ID of the image that Pull would return without asking a
// registry; empty if it would ask one.
func (e *Engine) Pulled(ctx context.Context, o pipeline.PullOrder) (string, error) {
	if o.Policy == "always" {
		return "", nil
	}
	there, err := e.api.ImageInspect(ctx, o.Ref)
	switch {
	case cerrdefs.IsNotFound(err) || err == nil && !isPlatform(there, o.Platform):
		return "", nil
	case err != nil:
		return "", said(err, "look at image %s", o.Ref)
	}
	return there.ID, nil
}

// isPlatform reports whether the image is for the platform, as far as that is
// said: os/architecture/variant.
func isPlatform(i image.InspectResponse, platform string) bool {
	parts := strings.Split(platform, "/")
	return platform == "" || len(parts) > 1 && i.Os == parts[0] && i.Architecture == parts[1] &&
		(len(parts) == 2 || i.Variant == parts[2])
}

// pull brings the image from its registry, with the credentials that there are.
func (e *Engine) pull(ctx context.Context, o pipeline.PullOrder, log io.Writer) error {
	named, err := reference.ParseNormalizedNamed(o.Ref)
	if err != nil {
		return fmt.Errorf("%w image %q: %w", pipeline.ErrInvalid, o.Ref, err)
	}
	credentials, err := readCredentials(e.configFile)
	if err != nil {
		return err
	}
	opts := image.PullOptions{Platform: o.Platform}
	if c, ok := credentials.find(reference.Domain(named)); ok {
		opts.RegistryAuth, err = registry.EncodeAuthConfig(registry.AuthConfig{
			Username: c.user, Password: c.password, IdentityToken: c.token, ServerAddress: reference.Domain(named),
		})
		if err != nil {
			return fmt.Errorf("encode the credentials of %s: %w", reference.Domain(named), err)
		}
	}
	body, err := e.api.ImagePull(ctx, o.Ref, opts)
	if err != nil {
		return said(err, "pull image %s", o.Ref)
	}
	defer body.Close()
	err = messages(body, func(m message) error { return pullLine(o.Ref, m, log) })
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("pull image %s: %w", o.Ref, context.Cause(ctx))
	}
	return err
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
