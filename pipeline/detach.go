package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// detachSlack is how long after its grace an old worker may still be there: the
// engine kills it at the end of the grace, unless the engine was restarted.
const detachSlack = time.Minute

// detach lets an old worker finish while nobody waits. That its restart policy
// is taken away and it still runs is the mark by which it is known: its signal
// is sent once, for many workers take a second one as an order to break off.
func (r *Runner) detach(ctx context.Context, c Container) error {
	if err := r.Engine.SetRestart(ctx, c.ID, false); err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("set restart policy of %s: %w", c.Name, err)
	}
	if err := r.Engine.Detach(ctx, c.ID); err != nil {
		return fmt.Errorf("stop %s: %w", c.Name, err)
	}
	return nil
}

// mayDetach reports whether the container is a running worker of a retired
// deployment for which nobody waits.
func (r *Runner) mayDetach(ctx context.Context, c Container) (bool, error) {
	if c.Owner.Role != stack.Worker || !c.Running || c.Purpose != "" {
		return false, nil
	}
	d, err := r.Ledger.Deployment(ctx, c.Owner.Deployment)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read deployment of %s: %w", c.Name, err)
	case d.State != Retired:
		return false, nil
	}
	rel, err := r.Ledger.Release(ctx, d.ReleaseID)
	if err != nil {
		return false, fmt.Errorf("read the release of %s: %w", c.Name, err)
	}
	svc, _ := rel.Stack.Service(c.Owner.Service)
	return detaches(svc), nil
}

// detached reports whether the container is such a worker that was told to end
// and still has time.
func (r *Runner) detached(ctx context.Context, c Container) (bool, error) {
	old, err := r.mayDetach(ctx, c)
	if !old || c.Always || err != nil {
		return false, err
	}
	until, err := r.deadline(ctx, c)
	return err == nil && r.Now().Before(until), err
}

// deadline is when an old worker's time is over at the latest. When it was told
// to end is not written down: right after the deployment that is live now was
// accepted, or earlier. The engine counts exactly.
func (r *Runner) deadline(ctx context.Context, c Container) (time.Time, error) {
	live, err := r.Ledger.LiveDeployment(ctx, c.Owner.AppID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return time.Time{}, fmt.Errorf("read live deployment: %w", err)
	}
	return live.EndedAt.Add(c.Grace + detachSlack), nil
}
