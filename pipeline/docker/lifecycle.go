package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"golang.org/x/sync/errgroup"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Start starts the container. Like Ensure it waits out a cancellation that comes
// while the engine is at work: an error means that the container does not run,
// as far as the engine can be asked.
func (e *Engine) Start(ctx context.Context, id string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	long, cancel := outlive(ctx)
	defer cancel()
	if err := e.check(long, id); err != nil {
		return err
	}
	err := asked(long, func(ctx context.Context) error { return e.api.ContainerStart(ctx, id, container.StartOptions{}) })
	if err == nil || answered(err) {
		return said(err, "start %s", id)
	}
	look, done := looking(ctx)
	defer done()
	for {
		there, lookErr := e.api.ContainerInspect(look, id)
		if lookErr == nil && there.State.Running {
			return nil
		}
		if pause(look, lookEvery) != nil {
			return said(err, "start %s", id)
		}
	}
}

// SetRestart sets the restart policy: always while live, no otherwise.
func (e *Engine) SetRestart(ctx context.Context, id string, always bool) error {
	policy := container.RestartPolicyDisabled
	if always {
		policy = container.RestartPolicyAlways
	}
	return e.setPolicy(ctx, id, container.RestartPolicy{Name: policy})
}

// setPolicy waits out the moments in which a container that keeps ending is
// between two lives: the engine refuses then.
func (e *Engine) setPolicy(ctx context.Context, id string, policy container.RestartPolicy) error {
	if err := e.check(ctx, id); err != nil {
		return err
	}
	change := container.UpdateConfig{RestartPolicy: policy}
	look, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	for {
		_, err := e.api.ContainerUpdate(ctx, id, change)
		if !cerrdefs.IsInternal(err) || pause(look, lookEvery) != nil {
			return said(err, "set the restart policy of %s to %s", id, policyOf(policy))
		}
	}
}

// Stop sends the container's own signal and waits its grace, then kills it. Both
// were fixed when it was made: API 1.41 ignores a signal given here. Gone is
// well.
func (e *Engine) Stop(ctx context.Context, id string) error {
	err := e.check(ctx, id)
	if errors.Is(err, pipeline.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	err = e.api.ContainerStop(ctx, id, container.StopOptions{})
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	return said(err, "stop %s", id)
}

// Remove ends a container whatever its state, and returns when its name and its
// addresses are free. Gone is well. Volumes stay.
func (e *Engine) Remove(ctx context.Context, id string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	long, cancel := outlive(ctx)
	defer cancel()
	err := e.check(long, id)
	if errors.Is(err, pipeline.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	err = e.api.ContainerRemove(long, id, container.RemoveOptions{Force: true, RemoveVolumes: false})
	switch {
	case err == nil, cerrdefs.IsNotFound(err):
		e.own.Delete(id)
		return nil
	case cerrdefs.IsConflict(err): // being removed already
		return e.gone(long, id)
	}
	return said(err, "remove %s", id)
}

// gone waits until somebody else's removal is done.
func (e *Engine) gone(ctx context.Context, id string) error {
	deadline, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	for {
		_, err := e.api.ContainerInspect(deadline, id)
		if cerrdefs.IsNotFound(err) {
			return nil
		}
		if err := pause(deadline, lookEvery); err != nil {
			return fmt.Errorf("wait for the removal of %s: %w", id, err)
		}
	}
}

// Logs streams the container's output, standard output and error in the order
// they came, as plain text. The reader must be closed.
func (e *Engine) Logs(ctx context.Context, id string, o pipeline.LogOrder) (io.ReadCloser, error) {
	c, err := e.mine(ctx, id)
	if err != nil {
		return nil, err
	}
	opts := container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: o.Follow, Tail: "all"}
	if o.Tail >= 0 {
		opts.Tail = strconv.Itoa(o.Tail)
	}
	if !o.Since.IsZero() {
		opts.Since = o.Since.UTC().Format(time.RFC3339Nano)
	}
	stream, err := e.api.ContainerLogs(ctx, id, opts)
	if err != nil {
		return nil, said(err, "read the log of %s", id)
	}
	if c.Config.Tty {
		return stream, nil
	}
	r, w := io.Pipe()
	text := &logText{PipeReader: r, stream: stream, done: make(chan struct{})}
	go func() {
		defer close(text.done)
		_, err := stdcopy.StdCopy(w, w, stream)
		w.CloseWithError(err)
	}()
	return text, nil
}

// logText is a log with the engine's framing taken off.
type logText struct {
	*io.PipeReader
	stream io.Closer
	done   chan struct{}
}

// Close ends the stream and waits for what takes the framing off.
func (l *logText) Close() error {
	err := errors.Join(l.stream.Close(), l.PipeReader.Close())
	<-l.done
	return err
}

// removeContainers ends all containers of an app, all at once, each with its own
// signal and grace.
func (e *Engine) removeContainers(ctx context.Context, appID string) error {
	list, err := e.List(ctx, pipeline.Filter{AppID: appID})
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(8)
	errs := make([]error, len(list))
	for i, c := range list {
		group.Go(func() error {
			errs[i] = errors.Join(e.Stop(ctx, c.ID), e.Remove(ctx, c.ID))
			return nil
		})
	}
	return errors.Join(group.Wait(), errors.Join(errs...))
}
