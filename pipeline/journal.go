package pipeline

import (
	"context"
	"errors"
	"fmt"
)

// enter writes that the steps begin, before they act, and with it how the one
// before them ended: one transaction, so that a step costs one wait for the
// disk and not two.
func (x *run) enter(ctx context.Context, group []Step) ([]StepRecord, error) {
	keep := context.WithoutCancel(ctx)
	to := group[0].Enter
	if ctx.Err() != nil || to != "" && x.held.Move != nil {
		if err := x.flush(keep); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if to != "" && x.dep.State != to {
		x.held.Move = &Move{To: to}
	}
	ended := len(x.held.Steps)
	for _, s := range group {
		x.held.Steps = append(x.held.Steps, StepRecord{
			Attempt: x.dep.Attempt, Name: s.Name, State: StepRunning, StartedAt: x.Now(), LogOffset: x.log.Offset(),
		})
	}
	begun := x.held.Steps[ended:]
	return begun, x.flush(keep)
}

// flush writes what was held back.
func (x *run) flush(ctx context.Context) error {
	held := x.held
	x.held = Record{}
	if err := x.record(ctx, held); err != nil {
		return unwritten{err}
	}
	return nil
}

// ended writes how a step ended. That it failed comes before that this could
// not be written: visitors wait for the undo.
func (x *run) ended(ctx context.Context, end Record, err error) error {
	werr := x.record(context.WithoutCancel(ctx), end)
	wish := wishIn(werr)
	switch {
	case werr == nil:
		return err
	case err == nil && wish != nil:
		return x.overruled(ctx, end, wish)
	case err != nil:
		return errors.Join(err, werr)
	}
	return unwritten{werr}
}

// overruled ends a step that went well, where an operator's wish was written
// down before its state and has not reached the run's context yet.
func (x *run) overruled(ctx context.Context, end Record, wish error) error {
	x.hurryBack(ctx)
	for i := range end.Steps {
		end.Steps[i].State, end.Steps[i].Error = StepFailed, wish.Error()
	}
	x.say("%v", wish)
	return x.ended(ctx, Record{Steps: end.Steps}, wish)
}

// unwritten is what a run did and of which it is not known whether it was
// written down.
type unwritten struct{ error }

func (u unwritten) Unwrap() error { return u.error }

// record writes down what happened, and remembers the state.
func (x *run) record(ctx context.Context, r Record) error {
	r.Deployment = x.dep.ID
	if r.Move != nil {
		r.Move = x.moving(*r.Move)
	} else if len(r.Steps) == 0 && r.Subject == "" && r.Release == nil {
		return nil
	}
	if err := x.Ledger.Record(ctx, r); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	if r.Move != nil {
		x.dep.State = r.Move.To
	}
	return nil
}

// moving completes a state change with what is the same for all.
func (x *run) moving(m Move) *Move {
	m.Reason = x.masked(m.Reason)
	m.Deployment, m.From, m.At = x.dep.ID, x.dep.State, x.Now()
	if m.To == Live && x.live.ID != x.dep.ID {
		m.Retire = x.live.ID
	}
	return &m
}
