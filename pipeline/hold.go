package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	holdWait = time.Minute // of one request
	// holdSlack is what a hold lasts beyond all that it is for: it ends by itself
	// where nobody is left to end it.
	holdSlack = 30 * time.Second
	// quietFor is the most that open requests are waited for before a kept
	// service is stopped under them.
	quietFor   = 5 * time.Second
	quietPause = 20 * time.Millisecond
)

// hold lets the app's visitors wait while a kept service is replaced, unless an
// operator has set how they are met, and waits a little for what they have open.
func (x *run) hold(ctx context.Context, atMost time.Duration) error {
	a, err := x.Ledger.AppByID(ctx, x.app.ID)
	if err != nil {
		return fmt.Errorf("read the app's mode: %w", err)
	}
	if a.Mode.At(x.Now()).Kind != ModeServe {
		return nil
	}
	held := Mode{Kind: ModeHold, Wait: holdWait, Until: x.Now().Add(atMost + holdSlack)}
	err = x.Modes.SetMode(ctx, x.app.ID, held)
	if errors.Is(err, ErrNotFound) {
		return nil // nothing of it is served
	}
	if err != nil {
		return fmt.Errorf("hold the app's visitors: %w", err)
	}
	return x.letEnd(ctx)
}

// letEnd waits until nothing is open on the live color, or not for long.
func (x *run) letEnd(ctx context.Context) error {
	if x.live.ID == "" {
		return nil
	}
	for until := x.Now().Add(quietFor); x.Now().Before(until); {
		open, err := x.Proxy.Inflight(ctx, x.live.StackID())
		if err != nil {
			return fmt.Errorf("count open requests: %w", err)
		}
		if open == 0 {
			return nil
		}
		if err := sleep(ctx, quietPause); err != nil {
			return err
		}
	}
	return nil
}

// release meets visitors again as the records say. If that fails, reconciling
// does it, and the hold ends by itself.
func (x *run) release(ctx context.Context) {
	a, err := x.Ledger.AppByID(ctx, x.app.ID)
	if err == nil {
		err = x.settleMode(ctx, a)
	}
	if err != nil && ctx.Err() == nil {
		x.say("  warning: the app's visitors are still held: %v", err)
	}
}

// reconcileMode is settleMode, but leaves a hold to the run that has set it: the
// records know of none, and a deployment is under way.
func (r *Runner) reconcileMode(ctx context.Context, a App, current Current) error {
	have, err := r.Modes.Mode(ctx, a.ID)
	if err == nil && have.Kind == ModeHold && !have.Until.IsZero() && a.Mode.At(r.Now()).Kind == ModeServe {
		_, active, err := current(ctx) // it may be younger than the list
		if err != nil || underWay(active, a.ID) {
			return err
		}
	}
	return r.settleMode(ctx, a)
}
