package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// resume looks at where the deployment stands and says with which step to go
// on; -1 where it has been settled. Before the cutover what an earlier attempt
// did is undone and a new attempt begins; past it the deployment goes forward.
func (x *run) resume(ctx context.Context) (int, error) {
	if err := x.loadLive(ctx); err != nil {
		return 0, err
	}
	if err := x.closeSteps(ctx); err != nil {
		return 0, err
	}
	switch x.dep.State {
	case Queued:
		x.begin()
		return 0, nil
	case Running:
		x.say("taken up again after an interruption: attempt %d begins", x.dep.Attempt+1)
		if err := x.undoAttempt(ctx); err != nil {
			return 0, err
		}
		x.begin()
		return 0, nil
	}
	if err := x.loadRun(ctx); err != nil {
		return 0, err
	}
	switch x.dep.State {
	case CuttingOver:
		return x.resumeCutover(ctx)
	case Watching:
		return x.resumeGuard(ctx)
	}
	return x.index("drain"), nil
}

// serverEnded is written of steps that were running when the server ended.
const serverEnded = "interrupted: the server ended"

// closeSteps ends the steps that an interruption left open in the journal.
func (x *run) closeSteps(ctx context.Context) error {
	var open Record
	for _, s := range x.dep.Steps {
		if s.EndedAt.IsZero() {
			s.State, s.Error, s.EndedAt = StepFailed, serverEnded, x.Now()
			open.Steps = append(open.Steps, s)
		}
	}
	return x.record(ctx, open)
}

// begin begins an attempt: that is written with the beginning of its first
// step.
func (x *run) begin() {
	x.dep.Attempt++
	x.held.Move = &Move{To: Running, Attempt: x.dep.Attempt}
}

// loadLive finds the deployment that visitors are on.
func (x *run) loadLive(ctx context.Context) error {
	live, err := x.Ledger.LiveDeployment(ctx, x.app.ID)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read live deployment: %w", err)
	}
	x.live = live
	if x.liveRel, err = x.Ledger.Release(ctx, live.ReleaseID); err != nil {
		return fmt.Errorf("read live release: %w", err)
	}
	return nil
}

// loadRun fills in what the steps before the cutover had found out.
func (x *run) loadRun(ctx context.Context) (err error) {
	if x.rel, err = x.Ledger.Release(ctx, x.dep.ReleaseID); err != nil {
		return fmt.Errorf("read release: %w", err)
	}
	x.containers, err = x.Engine.List(ctx, Filter{AppID: x.app.ID, Deployment: x.dep.StackID()})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	x.containers = slices.DeleteFunc(x.containers, func(c Container) bool { return c.Purpose != "" })
	x.cutAt = x.dep.LiveAt
	return nil
}

// resumeCutover asks the proxy. The version is there: forward. Absent: the
// swap never happened, undo. Not reachable: wait, for only the proxy knows.
func (x *run) resumeCutover(ctx context.Context) (int, error) {
	e, err := x.askProxy(ctx)
	if err != nil {
		return 0, err
	}
	if e.Deployment == x.dep.ID {
		x.say("the proxy has this version: going on after an interruption")
		return x.index("cut over"), nil
	}
	if err := x.fence(ctx, e); err != nil {
		return 0, err
	}
	x.say("the proxy does not have this version: attempt %d begins", x.dep.Attempt+1)
	if err := x.undoAttempt(ctx); err != nil {
		return 0, err
	}
	x.begin()
	return 0, nil
}

// undoAttempt takes back what an interrupted attempt did before the cutover.
func (x *run) undoAttempt(ctx context.Context) error {
	if err := x.removeNew(ctx); err != nil {
		return fmt.Errorf("undo attempt %d: %w", x.dep.Attempt, err)
	}
	if x.dep.ReleaseID == "" {
		return nil
	}
	var err error
	if x.rel, err = x.Ledger.Release(ctx, x.dep.ReleaseID); err != nil {
		return fmt.Errorf("read release: %w", err)
	}
	if err := x.keepBack(ctx); err != nil {
		return fmt.Errorf("undo attempt %d: %w", x.dep.Attempt, err)
	}
	return nil
}

// fence writes the proxy's entry once more under a new version, so that a
// change asked for before the crash and still on its way is refused.
func (x *run) fence(ctx context.Context, e Entry) error {
	if e.Deployment == "" {
		return nil
	}
	if _, err := x.Proxy.Swing(ctx, e, e.Version); err != nil {
		return fmt.Errorf("renew the proxy's entry: %w", err)
	}
	return nil
}

func (x *run) resumeGuard(ctx context.Context) (int, error) {
	e, err := x.askProxy(ctx)
	if err != nil {
		return 0, err
	}
	verdict := x.verdict()
	if e.Deployment == x.dep.ID && verdict == nil {
		x.entered, x.before = e, x.readBaseline(ctx, x.cutAt)
		for i := range x.containers {
			x.containers[i].Restarts = 0 // none until the cutover: what there were since, the guard has missed
		}
		return x.index("guard"), nil
	}
	if verdict == nil {
		verdict = errors.New("visitors had been swung back when the server was interrupted")
	}
	steps := x.steps()
	return -1, x.end(ctx, steps[:x.index("guard")], verdict)
}

// verdict is what the guard had found before an interruption, nil if nothing.
// It stands, however well the new color looks by now.
func (x *run) verdict() error {
	for _, s := range x.dep.Steps {
		if s.Name == "guard" && s.Attempt == x.dep.Attempt && s.State == StepFailed && s.Error != serverEnded {
			return errors.New(s.Error)
		}
	}
	return nil
}

// askProxy returns the app's entry, the zero Entry if it has none, waiting for
// a proxy that does not answer.
func (x *run) askProxy(ctx context.Context) (Entry, error) {
	var away error
	for {
		e, err := x.Proxy.Entry(ctx, x.app.ID)
		switch {
		case err == nil:
			return e, nil
		case errors.Is(err, ErrNotFound):
			return Entry{}, nil
		case away != nil && ctx.Err() != nil: // that the time ran out is not the reason
			return Entry{}, fmt.Errorf("ask the proxy: %w: %w", context.Cause(ctx), away)
		case !errors.Is(err, ErrUnreachable):
			return Entry{}, fmt.Errorf("ask the proxy: %w", err)
		}
		if away == nil {
			x.say("the proxy does not answer, waiting for it: %v", err)
		}
		away = err
		if ended := sleep(ctx, 500*time.Millisecond); ended != nil {
			return Entry{}, fmt.Errorf("ask the proxy: %w: %w", ended, away)
		}
	}
}

func (x *run) index(name string) int {
	return slices.IndexFunc(x.steps(), func(s Step) bool { return s.Name == name })
}
