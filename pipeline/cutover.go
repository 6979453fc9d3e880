package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// proofBudget bounds the proof through the public listener.
const proofBudget = 15 * time.Second

// cutOver swings all visitors over and proves it. An operator's cancel does
// not stop it midway: it is carried through, then taken back.
func (x *run) cutOver(ctx context.Context) (string, error) {
	ctx, cancel := x.steady(ctx)
	defer cancel()
	entry, err := x.entry(ctx)
	if err != nil {
		return "", err
	}
	if entry.Preview, err = x.previewOld(ctx); err != nil {
		x.say("no preview of %s: %v", x.dep.Color.Other(), err)
	}
	kept := make(chan error, 1)
	go func() { kept <- x.keepRunning(ctx) }()
	swung, err := x.swingAndProve(ctx, entry)
	if kerr := <-kept; err == nil {
		err = kerr
	}
	if err == nil {
		err = x.leavesLive(ctx)
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("visitors moved to %s in %s (durable in %s, table version %d), proved through the public listener",
		x.dep.Color, swung.Swap, swung.Durable.Round(10*time.Microsecond), swung.Version), nil
}

func (x *run) swingAndProve(ctx context.Context, entry Entry) (Swung, error) {
	x.before = x.readBaseline(ctx, x.Now())
	swung, err := x.swing(ctx, entry)
	if err != nil {
		return Swung{}, err
	}
	x.cutAt, x.entered = x.Now(), entry
	x.entered.Version = swung.Version
	x.bringMode(ctx)
	proof, done := context.WithTimeout(ctx, proofBudget)
	defer done()
	if err := x.Prover.Prove(proof, entry); err != nil {
		return Swung{}, fmt.Errorf("prove through the public listener: %w", err)
	}
	return swung, nil
}

// keepRunning lets the engine start the containers again from now on, and kept
// services call them. It runs
// beside the swing, for the engine takes its time and visitors wait for that;
// the deployment is not watched before it is done. Killed in between, the run
// is taken up again in this step and does it then.
func (x *run) keepRunning(ctx context.Context) error {
	for _, c := range x.web() {
		if err := x.Engine.SetRestart(ctx, c.ID, true); err != nil {
			return fmt.Errorf("set restart policy of %s: %w", c.Name, err)
		}
	}
	return x.comesLive(ctx)
}

// swing changes the table, or finds it changed already: after an interruption,
// or where the answer of the proxy was lost. What the proxy did to the entry
// meanwhile (a target lost) is no conflict, as long as it is the same
// deployment's: only this run moves visitors.
func (x *run) swing(ctx context.Context, entry Entry) (Swung, error) {
	var before *Entry
	for left := amends; ; left-- {
		was, err := x.askProxy(ctx)
		if err != nil {
			return Swung{}, err
		}
		if sameEntry(was, entry) {
			return Swung{Version: was.Version}, nil
		}
		if before != nil && before.Deployment != was.Deployment && was.Deployment != entry.Deployment {
			return Swung{}, fmt.Errorf("swing to %s: somebody else moved visitors to deployment %s: %w", entry.Color, was.Deployment, ErrConflict)
		}
		before = &was
		swung, err := x.Proxy.Swing(ctx, entry, was.Version)
		if err == nil {
			return swung, nil
		}
		if !errors.Is(err, ErrUnreachable) && (!errors.Is(err, ErrConflict) || left <= 0) {
			return Swung{}, fmt.Errorf("swing to %s: %w", entry.Color, err)
		}
	}
}

// cutBack swings visitors back to the color they came from, or to nothing
// where there was none, and lets what they have open on the new one end.
func (x *run) cutBack(ctx context.Context) error {
	now, err := x.askProxy(ctx)
	if err != nil {
		return err
	}
	switch {
	case now.Deployment == x.dep.ID:
		if err := x.returnTo(ctx, now); err != nil {
			return err
		}
	case x.back.Load() != nil:
		x.checkBack(ctx, now)
	}
	if err := x.liveBack(ctx); err != nil {
		return err
	}
	for _, c := range x.colored() {
		if err := x.Engine.SetRestart(ctx, c.ID, false); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("set restart policy of %s: %w", c.Name, err)
		}
	}
	// What is open on a color that was given up must not keep the undo from
	// ending: its budget bounds the drain too.
	of := min(drainLimit(x.rel), undoBudget/2)
	left, err := x.waitDrained(ctx, []string{x.dep.ID}, x.Now().Add(of), of)
	if err != nil {
		return err
	}
	if left > 0 {
		x.say("%d request(s) still open on %s at the drain limit", left, x.dep.Color)
	}
	return nil
}

func (x *run) returnTo(ctx context.Context, now Entry) error {
	if x.live.ID == "" {
		x.say("no earlier version to go back to: the routes are taken away")
		if err := x.Proxy.Drop(ctx, x.app.ID); err != nil {
			return fmt.Errorf("drop routes: %w", err)
		}
		return nil
	}
	back, err := EntryFor(ctx, x.Engine, x.app, x.live, x.liveRel)
	if err != nil {
		return fmt.Errorf("go back to %s: %w", x.live.Color, err)
	}
	swung, err := x.Proxy.Swing(ctx, back, now.Version)
	if err != nil {
		return fmt.Errorf("swing back to %s: %w", x.live.Color, err)
	}
	x.say("visitors are back on %s after %s", x.live.Color, swung.Swap)
	return nil
}

// checkBack looks once more at what visitors were swung back to in a hurry. They
// are there already: whatever is wrong with it, reconciling looks after it.
func (x *run) checkBack(ctx context.Context, now Entry) {
	want, err := EntryFor(ctx, x.Engine, x.app, x.live, x.liveRel)
	if err == nil && now.Deployment == want.Deployment && !sameEntry(now, want) {
		_, err = x.Proxy.Swing(ctx, want, now.Version)
	}
	if err != nil {
		x.say("  warning: look at %s after the swing back: %v", x.live.Color, err)
	}
}
