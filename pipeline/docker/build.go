package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/image"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Build makes the image from the commit's tree with BuildKit and returns its ID.
// An image of the same key that this installation made for the app before is
// returned as it is, with cached true. A failed build is a *BuildError.
//
// A changed secret alone does not make the builder run a step again, that is its
// rule; the order's key says whether to build at all.
func (e *Engine) Build(ctx context.Context, o pipeline.BuildOrder, log io.Writer) (string, bool, error) {
	if err := checkOwner(o.Owner); err != nil {
		return "", false, err
	}
	if err := checkBuild(o); err != nil {
		return "", false, err
	}
	tag := e.imageName(o.Owner.App, o.Owner.Service, o.Key)
	switch there, err := e.Built(ctx, o.Owner, o.Key); {
	case err != nil:
		return "", false, err
	case there != "":
		_, err := fmt.Fprintf(log, "%s is built already: %s\n", o.Owner.Service, tag)
		return there, true, err
	}
	file, err := e.preflight(o)
	if err != nil {
		return "", false, err
	}
	if o, err = e.importContexts(ctx, o); err != nil {
		return "", false, err
	}
	id, err := e.build(ctx, o, tag, file, log)
	return id, false, err
}

// Built returns the ID of the image that Build would return without building it;
// empty if there is none.
func (e *Engine) Built(ctx context.Context, o pipeline.Owner, key string) (string, error) {
	if err := checkOwner(o); err != nil {
		return "", err
	}
	tag := e.imageName(o.App, o.Service, key)
	there, err := e.api.ImageInspect(ctx, tag)
	switch {
	case cerrdefs.IsNotFound(err) || err == nil && !e.builtFor(there, o):
		return "", nil
	case err != nil:
		return "", said(err, "look at image %s", tag)
	}
	return there.ID, nil
}

// checkBuild refuses what must not reach the builder.
func checkBuild(o pipeline.BuildOrder) error {
	switch {
	case o.Key == "":
		return refused("build of %s has no key", o.Owner.Service)
	case o.Spec.Network != "" && o.Spec.Network != "none":
		return refused("build of %s on network %q", o.Owner.Service, o.Spec.Network)
	}
	for label := range o.Spec.Labels {
		if strings.HasPrefix(strings.ToLower(label), labelPrefix) {
			return refused("build of %s: labels that begin with %s are ours, not %q", o.Owner.Service, labelPrefix, label)
		}
	}
	for name := range o.Spec.Contexts {
		if !isPath(name) {
			return refused("build of %s: context %q is no name of a stage", o.Owner.Service, name)
		}
	}
	return nil
}

func (e *Engine) builtFor(i image.InspectResponse, o pipeline.Owner) bool {
	return i.Config != nil && i.Config.Labels[labelInstallation] == e.installation &&
		i.Config.Labels[labelAppID] == o.AppID && i.Config.Labels[labelService] == o.Service
}

// preflight finds what would fail later or, worse, silently not fail.
func (e *Engine) preflight(o pipeline.BuildOrder) (dockerfile, error) {
	var absent []string
	for _, name := range o.Spec.Secrets {
		if _, ok := o.Secrets[name]; !ok {
			absent = append(absent, name)
		}
	}
	if len(absent) > 0 {
		return dockerfile{}, &BuildError{Service: o.Owner.Service,
			Err:  fmt.Errorf("%w: no value for build secret %s", pipeline.ErrInvalid, strings.Join(absent, ", ")),
			Hint: "set it in the app's environment"}
	}
	content, err := dockerfileContent(o)
	if err != nil {
		return dockerfile{}, &BuildError{Service: o.Owner.Service, Err: err}
	}
	file, read := dockerfileOf(o), readDockerfile(content)
	if len(o.Spec.Contexts) > 0 && read.counts() {
		return dockerfile{}, &BuildError{Service: o.Owner.Service,
			Err:  fmt.Errorf("%w: %s counts its stages, which additional contexts come before", pipeline.ErrInvalid, file),
			Hint: "name the stage, as in FROM … AS name, and write --from=name"}
	}
	if missing := read.missing(o.Spec.Target, o.Spec.Secrets); len(missing) > 0 {
		return dockerfile{}, &BuildError{Service: o.Owner.Service,
			Err:  fmt.Errorf("%w: %s mounts a secret that the build is not given: %s", pipeline.ErrInvalid, file, strings.Join(missing, ", ")),
			Hint: "name it under the service's build secrets, or say required=false in the mount if it may be absent"}
	}
	return read, nil
}

// dockerfileContent is the Dockerfile, of the build's own or of the commit.
func dockerfileContent(o pipeline.BuildOrder) ([]byte, error) {
	if o.Spec.Inline != "" {
		return []byte(o.Spec.Inline), nil
	}
	file := dockerfileOf(o)
	if file == ".." || strings.HasPrefix(file, "../") {
		return nil, fmt.Errorf("%w: dockerfile %q is outside of the build context %q", pipeline.ErrInvalid, o.Spec.Dockerfile, o.Spec.Context)
	}
	content, err := o.Tree.ReadFile(path.Join(o.Spec.Context, file))
	if err != nil {
		return nil, fmt.Errorf("read the Dockerfile: %w", err)
	}
	return content, nil
}

// dockerfileOf is the Dockerfile's path inside the build context.
func dockerfileOf(o pipeline.BuildOrder) string {
	if o.Spec.Inline != "" {
		return inlineName
	}
	if o.Spec.Dockerfile == "" {
		return "Dockerfile"
	}
	return path.Clean(o.Spec.Dockerfile)
}

// build runs one build. Whatever ends it, the session and the context's stream
// are closed and waited for before it returns.
func (e *Engine) build(ctx context.Context, o pipeline.BuildOrder, tag string, file dockerfile, log io.Writer) (string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	given := map[string]string{}
	for _, name := range o.Spec.Secrets {
		given[name] = o.Secrets[name]
	}
	session, ended, err := e.openSession(ctx, given)
	if err != nil {
		return "", err
	}
	defer func() {
		cancel(nil)
		_ = session.Close() // never fails
		<-ended
	}()
	stream, err := buildContext(ctx, o)
	if err != nil {
		return "", fmt.Errorf("read the build context of %s: %w", o.Owner.Service, err)
	}
	tar := &watched{ReadCloser: stream, failed: make(chan error, 1)}
	defer tar.Close()

	p := newProgress(log)
	response, err := e.api.ImageBuild(ctx, tar, e.buildOptions(o, tag, session.ID()))
	if err == nil {
		err = e.follow(response.Body, p)
		response.Body.Close()
	}
	if err != nil {
		if broken := tar.failure(); broken != nil {
			err = broken // the engine only saw the stream end
		}
		return "", e.buildFailure(ctx, o, file, p, err)
	}
	there, err := e.api.ImageInspect(ctx, tag)
	if err != nil {
		return "", said(err, "look at image %s after building it", tag)
	}
	return there.ID, nil
}

func (e *Engine) buildOptions(o pipeline.BuildOrder, tag, session string) build.ImageBuildOptions {
	args := map[string]*string{}
	for name, value := range o.Spec.Args {
		args[name] = &value
	}
	// The builder's cache mounts are the host's: without a name space of its own
	// an app could put files into the builds of others.
	space := e.installation + "/" + o.Owner.AppID
	args["BUILDKIT_CACHE_MOUNT_NS"] = &space
	labels := maps.Clone(o.Spec.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, e.imageLabels(o.Owner))
	return build.ImageBuildOptions{
		Version:     build.BuilderBuildKit,
		SessionID:   session,
		BuildID:     session,
		Tags:        []string{tag},
		Labels:      labels,
		Dockerfile:  dockerfileOf(o),
		Target:      o.Spec.Target,
		BuildArgs:   args,
		Remove:      true,
		NetworkMode: o.Spec.Network,
		ExtraHosts:  o.Spec.ExtraHosts,
		Platform:    o.Spec.Platform,
		ShmSize:     o.Spec.ShmSize,
		NoCache:     o.Spec.NoCache,
		PullParent:  o.Spec.Pull,
	}
}

// imageLabels are what every image made for a service carries.
func (e *Engine) imageLabels(o pipeline.Owner) map[string]string {
	labels := e.ours()
	maps.Copy(labels, map[string]string{
		labelApp: o.App, labelAppID: o.AppID, labelService: o.Service,
		labelCommit: o.Commit, labelVersion: o.Commit, labelSource: o.Repo,
	})
	return labels
}

// follow reads the build's answer to its end.
func (e *Engine) follow(body io.Reader, p *progress) error {
	finished := false
	err := messages(body, func(m message) error {
		if err := m.failure("build"); err != nil {
			return errors.Unwrap(err)
		}
		switch m.ID {
		case "moby.buildkit.trace":
			return p.trace(m.Aux)
		case "moby.image.id":
			var result build.Result
			finished = json.Unmarshal(m.Aux, &result) == nil && result.ID != ""
		}
		return nil
	})
	if err == nil && !finished {
		return errors.New("the engine ended the build without an image")
	}
	return err
}

// watched remembers why reading the context failed; the HTTP client would tell
// only that sending it did.
type watched struct {
	io.ReadCloser
	failed chan error // holds the first failure
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
		select {
		case w.failed <- fmt.Errorf("read the build context: %w", err):
		default:
		}
	}
	return n, err
}

func (w *watched) failure() error {
	select {
	case err := <-w.failed:
		return err
	default:
		return nil
	}
}

// secretValues are the values that must not appear in an error.
func secretValues(o pipeline.BuildOrder) []string {
	return slices.Collect(maps.Values(o.Secrets))
}
