package docker

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptrace"
	"sync/atomic"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"github.com/swingbridge/swingbridge/pipeline"
)

// engineError is the engine's answer in its own words, with what was being done
// and the pipeline's word for the kind of it.
type engineError struct {
	what string
	err  error
	kind error // may be nil
}

func (e *engineError) Error() string { return e.what + ": " + e.err.Error() }

func (e *engineError) Unwrap() []error {
	if e.kind == nil {
		return []error{e.err}
	}
	return []error{e.kind, e.err}
}

// said wraps an error that came from the engine; nil stays nil.
func said(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	out := &engineError{what: fmt.Sprintf(format, args...), err: err}
	switch {
	case client.IsErrConnectionFailed(err):
		out.kind = pipeline.ErrUnreachable
	case cerrdefs.IsNotFound(err):
		out.kind = pipeline.ErrNotFound
	case cerrdefs.IsConflict(err):
		out.kind = pipeline.ErrConflict
	}
	return out
}

// conflict is an error about what somebody else made or has.
func conflict(err error, format string, args ...any) error {
	return &engineError{what: fmt.Sprintf(format, args...), err: err, kind: pipeline.ErrConflict}
}

// refused is an order that this package does not carry out.
func refused(format string, args ...any) error {
	return fmt.Errorf("%w order: %w", pipeline.ErrInvalid, fmt.Errorf(format, args...))
}

// unasked is what went wrong before the engine was told anything.
type unasked struct{ error }

func (u *unasked) Unwrap() error { return u.error }

// asked tells the engine to do something, and marks an error as unasked where
// there was no connection to tell it by: then it has not done it.
func asked(ctx context.Context, act func(context.Context) error) error {
	var told atomic.Bool
	err := act(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { told.Store(true) },
	}))
	if err != nil && !told.Load() {
		return &unasked{err}
	}
	return err
}

// answered reports whether the engine itself said no, or was not asked at all.
// Anything else, a broken connection or a time that ran out, leaves open whether
// it did as it was told.
func answered(err error) bool {
	if errors.As(err, new(*unasked)) {
		return true
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	return cerrdefs.IsConflict(err) || cerrdefs.IsNotFound(err) || cerrdefs.IsInvalidArgument(err) ||
		cerrdefs.IsInternal(err) || cerrdefs.IsPermissionDenied(err) || cerrdefs.IsUnauthorized(err) ||
		cerrdefs.IsNotImplemented(err)
}
