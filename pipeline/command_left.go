package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// awaitForeign waits for what interrupted attempts run of another release: the
// variables may have changed since, or a newer push took over. Two migrations
// never run beside each other, and none is broken off.
func (x *run) awaitForeign(ctx context.Context, todo []errand) error {
	there, err := x.errandContainers(ctx, "")
	if err != nil {
		return err
	}
	for _, c := range there {
		mine := c.Owner.Deployment == x.dep.ID
		if mine && slices.ContainsFunc(todo, func(e errand) bool { return e.purpose == c.Purpose }) {
			continue
		}
		if c.Running {
			x.say("waiting for %s, which an interrupted attempt started", c.Name)
			if c, err = x.awaitErrand(ctx, c); err != nil {
				return err
			}
		}
		if err := x.noteDone(ctx, c); err != nil {
			return err
		}
		if err := x.stopOne(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// awaitErrand waits until it ended, or its time is over, and returns it as it is
// then.
func (x *run) awaitErrand(ctx context.Context, c Container) (Container, error) {
	until, err := x.errandUntil(ctx, c)
	if err != nil {
		return c, err
	}
	limited, cancel := context.WithTimeout(ctx, until.Sub(x.Now()))
	defer cancel()
	ended, err := x.Engine.Wait(limited, c.ID)
	switch {
	case err == nil:
		return ended, nil
	case errors.Is(err, ErrNotFound):
		return c, nil
	case ctx.Err() == nil && limited.Err() != nil:
		x.say("  it is not done within its time")
		return c, nil
	}
	return c, fmt.Errorf("wait for %s: %w", c.Name, err)
}

// noteDone writes down that what a release runs once has ended well, before the
// container goes that tells of it: its run was interrupted, and may never come
// back to it. It is the last one of them that tells, for none begins before the
// one before it ended well.
func (r *Runner) noteDone(ctx context.Context, c Container) error {
	if c.Purpose == "" || c.Running || c.Status == "created" || c.ExitCode != 0 || c.OOM || c.Error != "" {
		return nil
	}
	d, err := r.Ledger.Deployment(ctx, c.Owner.Deployment)
	if errors.Is(err, ErrNotFound) || err == nil && d.ReleaseID == "" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read deployment of %s: %w", c.Name, err)
	}
	rel, err := r.Ledger.Release(ctx, d.ReleaseID)
	if err != nil {
		return fmt.Errorf("read the release of %s: %w", c.Name, err)
	}
	fingerprint, err := rel.Fingerprint()
	if err != nil {
		return err
	}
	todo := errandsOf(rel, fingerprint)
	if len(todo) == 0 {
		return nil
	}
	if last := todo[len(todo)-1]; last.purpose != c.Purpose || last.service.Name != c.Owner.Service {
		return nil
	}
	return r.Ledger.SetCommandDone(ctx, d.AppID, fingerprint, d.ID)
}

// errandUntil is when the time of a command is over whose run was interrupted, and
// whose deployment ended without coming back to it. That an operator canceled the
// deployment ends it at once.
func (r *Runner) errandUntil(ctx context.Context, c Container) (time.Time, error) {
	d, err := r.Ledger.Deployment(ctx, c.Owner.Deployment)
	switch {
	case errors.Is(err, ErrNotFound) || err == nil && d.State == Canceled:
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, fmt.Errorf("read deployment of %s: %w", c.Name, err)
	}
	limit := onceLimit
	if d.ReleaseID != "" && strings.HasPrefix(c.Purpose, "release-") {
		rel, err := r.Ledger.Release(ctx, d.ReleaseID)
		if err != nil {
			return time.Time{}, fmt.Errorf("read the release of %s: %w", c.Name, err)
		}
		if rel.Stack.Command != nil {
			limit = rel.Stack.Command.Timeout
		}
	}
	return c.StartedAt.Add(limit), nil
}

// goesOn reports whether a container of a deployment that is over still has time:
// an old worker that finishes, or a command whose run was interrupted.
func (r *Runner) goesOn(ctx context.Context, c Container) (bool, error) {
	if c.Purpose == "" || !c.Running {
		return r.detached(ctx, c)
	}
	until, err := r.errandUntil(ctx, c)
	return err == nil && r.Now().Before(until), err
}
