package pipeline

import (
	"context"
	"errors"
	"sync"
	"time"
)

// chorePatience is how long a look at all apps waits for what single ones are in
// want of: a container's grace may be hours, and the other apps go on.
const chorePatience = 10 * time.Second

// chores are what is done to apps beside each other, so that none waits for what
// another one is in want of.
type chores struct {
	mu   sync.Mutex
	busy map[string]bool // by key; true: once more when it is done
	wg   sync.WaitGroup
}

// chore is one of them. The same key is never at work twice at a time.
type chore struct {
	key string
	do  func(context.Context) error
}

// begin sets about a chore, and tells ended how it went. Of one that is at work
// already it is false; again has that one done once more.
func (c *chores) begin(ctx context.Context, one chore, again bool, ended func(error)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, at := c.busy[one.key]; at {
		c.busy[one.key] = c.busy[one.key] || again
		return false
	}
	if c.busy == nil {
		c.busy = map[string]bool{}
	}
	c.busy[one.key] = false
	c.wg.Go(func() {
		err := one.do(ctx)
		for c.once(one.key) {
			err = one.do(ctx)
		}
		ended(err)
	})
	return true
}

// once reports whether the chore is to be done once more; else it is over.
func (c *chores) once(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[key] {
		c.busy[key] = false
		return true
	}
	delete(c.busy, key)
	return false
}

// each does them beside each other, and waits for them, but not for long.
func (r *Runner) each(ctx context.Context, all []chore) error {
	ends, open := make(chan error, len(all)), 0
	for _, one := range all {
		if r.chores.begin(ctx, one, false, func(err error) { ends <- err }) {
			open++
		}
	}
	enough := time.NewTimer(chorePatience)
	defer enough.Stop()
	var errs []error
	for ; open > 0; open-- {
		select {
		case err := <-ends:
			errs = append(errs, err)
			continue
		case <-ctx.Done():
			errs = append(errs, context.Cause(ctx))
		case <-enough.C:
			r.Logger.Info("going on beside what takes its time", "of", open)
		}
		r.chores.wg.Go(func() {
			for range open {
				r.warn(ctx, <-ends)
			}
		})
		break
	}
	return errors.Join(errs...)
}

// soon has a chore done, and waits for nothing.
func (r *Runner) soon(ctx context.Context, one chore) {
	r.chores.begin(ctx, one, true, func(err error) { r.warn(ctx, err) })
}

func (r *Runner) warn(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		r.Logger.Warn("reconcile", "error", err)
	}
}
