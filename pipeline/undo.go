package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// undoBudget bounds the taking back of one attempt, containers' own grace
// included.
const undoBudget = 5 * time.Minute

// superseded ends an automatic deployment whose commit the branch no longer
// wants.
type superseded struct{ reason string }

func (s superseded) Error() string { return s.reason }

// end undoes the steps, last one first, and writes how the deployment ended.
// The failed step is undone too: it may have got halfway. Undoing runs on a
// context of its own, so that a cancel does not leave half a stack behind.
func (x *run) end(ctx context.Context, done []Step, cause error) error {
	final := x.final(ctx, cause)
	steadied, stop := x.steady(ctx)
	defer stop()
	undo, cancel := context.WithTimeout(steadied, undoBudget)
	defer cancel()
	for _, s := range slices.Backward(done) {
		if s.Undo == nil {
			continue
		}
		if err := x.takeBack(undo, s); err != nil {
			if steadied.Err() != nil {
				return ErrInterrupted
			}
			x.say("undo %s: %v", s.Name, err)
			if errors.Is(err, ErrUnreachable) {
				return fmt.Errorf("undo %s: %w", s.Name, err) // wait: who does not answer now will be asked again
			}
			return x.settle(context.WithoutCancel(ctx), Stuck, fmt.Sprintf("%v; then undoing %q: %v", cause, s.Name, err))
		}
	}
	return x.settle(context.WithoutCancel(ctx), final, x.reason(ctx, cause))
}

// takeBack journals and runs one undo.
func (x *run) takeBack(ctx context.Context, s Step) error {
	rec := StepRecord{Attempt: x.dep.Attempt, Name: "undo " + s.Name, State: StepRunning, StartedAt: x.Now(), LogOffset: x.log.Offset()}
	// Visitors come before the journal: an undo looks at the world, not at it.
	journal := func(ctx context.Context) {
		if err := x.record(ctx, Record{Steps: []StepRecord{rec}}); err != nil {
			x.say("%v", err)
		}
	}
	journal(ctx)
	err := x.insist(ctx, s.Undo)
	rec.EndedAt, rec.State = x.Now(), StepUndone
	if err != nil {
		rec.State, rec.Error = StepFailed, x.masked(err.Error())
	}
	journal(context.WithoutCancel(ctx))
	return err
}

// insist repeats an undo until it works or the budget is spent: an engine that
// restarts, or a proxy that does, is no reason to leave things half undone.
func (x *run) insist(ctx context.Context, undo func(context.Context) error) error {
	var last error
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		err := undo(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil && last != nil:
			return errors.Join(err, last) // that the budget ran out says less than what it was spent on
		}
		last = err
		x.say("undoing did not work yet: %v", err)
		if sleep(ctx, pause) != nil {
			return err
		}
	}
}

// awaitEnd waits for the end of a container that may have been told to: the engine
// carries a stop through that nobody waits for any more, and to start what has
// not ended yet does nothing. It is not told again, for many take a second signal
// as an order to break off. One that outlasts its grace was not told.
func (x *run) awaitEnd(ctx context.Context, c Container, atMost time.Duration) (Container, error) {
	short, cancel := context.WithTimeout(ctx, min(cmp.Or(c.Grace, 10*time.Second)+time.Second, atMost))
	defer cancel()
	now, err := x.Engine.Wait(short, c.ID)
	switch {
	case err == nil:
		return now, nil
	case ctx.Err() == nil && short.Err() != nil:
		return c, nil
	}
	return c, fmt.Errorf("wait for the end of %s: %w", c.Name, err)
}

// final is the state that an error leads to from where the deployment stands.
func (x *run) final(ctx context.Context, cause error) State {
	var gone superseded
	switch {
	case x.dep.State == CuttingOver || x.dep.State == Watching:
		return RolledBack
	case errors.As(cause, &gone):
		return Superseded
	case byOperator(ctx) || errors.Is(cause, ErrCanceled):
		return Canceled
	}
	return Failed
}

// reason is the sentence that people read.
func (x *run) reason(ctx context.Context, cause error) string {
	if byOperator(ctx) {
		return context.Cause(ctx).Error()
	}
	return cause.Error()
}

// settle writes the end of the attempt.
func (x *run) settle(ctx context.Context, to State, reason string) error {
	x.say("%s: %s", to, reason)
	return x.record(ctx, Record{Move: &Move{To: to, Reason: reason}})
}
