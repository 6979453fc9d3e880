package pipeline

import (
	"context"
	"errors"
	"time"
)

// interrupted reports whether the server stops, as opposed to an operator who
// wants this one deployment to end.
func interrupted(ctx context.Context) bool {
	return ctx.Err() != nil && !byOperator(ctx)
}

// stops is interrupted, also where Stopping is closed and the run's own context
// is not yet canceled, or was by an operator: what a step on a steady context
// failed with is then no reason to undo it.
func (r *Runner) stops(ctx context.Context) bool {
	select {
	case <-r.Stopping:
		return true
	default:
		return interrupted(ctx)
	}
}

func byOperator(ctx context.Context) bool { return wishIn(context.Cause(ctx)) != nil }

// wishIn is the operator's wish that an error wraps, or nil.
func wishIn(err error) error {
	for _, wish := range []error{ErrCanceled, ErrRollBack} {
		if errors.Is(err, wish) {
			return wish
		}
	}
	return nil
}

// steady is a context that an operator's wish does not end, only the server's
// stop: the cutover is carried through and taken back by its own undo.
func (r *Runner) steady(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if interrupted(ctx) {
			cancel(context.Cause(ctx))
		}
	})
	go func() {
		select {
		case <-r.Stopping:
			cancel(ErrInterrupted)
		case <-out.Done():
		}
	}()
	return out, func() { stop(); cancel(nil) }
}

// sleep waits, or returns the reason why not.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
