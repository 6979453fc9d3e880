package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// walk does the steps from the given one on; where one fails, all done so far
// are undone in reverse.
func (x *run) walk(ctx context.Context, from int) error {
	calm, stop := x.steady(ctx)
	defer stop()
	steps := x.steps()
	for i := from; i < len(steps); {
		if x.dep.State == Live {
			ctx = calm // there is nothing left to cancel
		}
		if x.idle(steps[i]) {
			i++
			continue
		}
		group := i + 1
		for group < len(steps) && steps[group].Beside {
			group++
		}
		begun, err := x.enter(ctx, steps[i:group])
		if err == nil {
			err = x.together(ctx, steps[i:group], begun, group == len(steps))
		}
		switch {
		case err == nil:
		case x.stops(ctx):
			return ErrInterrupted
		case errors.As(err, new(unwritten)):
			return err // written or not: what the ledger says when it is read again decides
		case steps[i].Tidy || x.dep.State == Live:
			x.say("warning: %v", err)
		default:
			return x.end(ctx, steps[:group], err)
		}
		i = group
	}
	return x.accept(ctx)
}

// accept writes that the deployment is live, where nothing was to be done for it.
// An operator who was told before that it will end is right.
func (x *run) accept(ctx context.Context) error {
	calm, held := context.WithoutCancel(ctx), x.held
	wish := wishIn(context.Cause(ctx))
	if wish == nil || held.Move == nil {
		err := x.flush(calm)
		if wish = wishIn(err); wish == nil {
			return err
		}
	}
	x.say("%v", wish)
	x.dep.Carries = ""
	if err := x.record(calm, Record{Steps: held.Steps}); err != nil {
		return unwritten{err}
	}
	return x.end(ctx, nil, wish)
}

// idle notes a step that has nothing to do, to be written with the next one.
func (x *run) idle(s Step) bool {
	reason := ""
	switch {
	case x.dep.Carries != "":
		reason = "nothing changes"
	case s.Idle != nil:
		reason = s.Idle()
	}
	if reason == "" {
		return false
	}
	x.held.Steps = append(x.held.Steps, StepRecord{
		Attempt: x.dep.Attempt, Name: s.Name, State: StepSkipped, Detail: reason,
		StartedAt: x.Now(), EndedAt: x.Now(), LogOffset: x.log.Offset(),
	})
	return true
}

// together runs one step, with those beside it. The state that the first one
// reaches does not wait for the others. Where it fails, the others end; an
// operator ends the first one only, for once it has gone well there is nothing
// left to cancel. How a step ended is held back where another one begins right after it.
func (x *run) together(ctx context.Context, group []Step, begun []StepRecord, last bool) error {
	if len(group) == 1 {
		x.found = Record{}
		end, err := x.take(ctx, group[0], begun[0])
		end.Subject, end.Release = x.found.Subject, x.found.Release
		if end.Move == nil {
			end.Move = x.found.Move
		}
		if err == nil && !last {
			x.held = end
			return nil
		}
		return x.ended(ctx, end, err)
	}
	calm, stop := x.steady(ctx)
	defer stop()
	beside, cancel := context.WithCancelCause(calm)
	defer cancel(nil)
	var wg sync.WaitGroup
	errs := make([]error, len(group))
	for i, s := range group {
		on := beside
		if i == 0 {
			on = ctx
		}
		wg.Go(func() {
			end, err := x.take(on, s, begun[i])
			if errs[i] = x.ended(on, end, err); errs[i] != nil && i == 0 {
				cancel(errEndsBeside)
			}
		})
	}
	wg.Wait()
	if errs[0] != nil {
		return errs[0]
	}
	return errors.Join(errs...)
}

var errEndsBeside = fmt.Errorf("%w: the step beside it ended", ErrCanceled)

// take is the one place where a step meets state, journal, log and clock. It
// returns what is to be written of its end.
func (x *run) take(ctx context.Context, s Step, rec StepRecord) (Record, error) {
	seen, err := s.Do(ctx)
	if err != nil && x.stops(ctx) {
		return Record{}, err // the journal keeps "running": what it did is looked at on the next start
	}
	if err != nil && byOperator(ctx) {
		err = context.Cause(ctx) // not what the engine's client makes of it
	}
	rec.EndedAt, rec.Detail, rec.State = x.Now(), x.masked(seen), StepDone
	var skip Skip
	switch {
	case errors.As(err, &skip):
		rec.State, rec.Detail, err = StepSkipped, string(skip), nil
		x.say("%s: skipped, %s", s.Name, skip)
	case err != nil:
		rec.State, rec.Error = StepFailed, x.masked(err.Error())
		x.say("%s: %v", s.Name, err)
	case seen != "":
		x.say("%s: %s", s.Name, seen)
	}
	end := Record{Steps: []StepRecord{rec}}
	if err == nil && s.Reach != "" {
		end.Move = &Move{To: s.Reach}
	}
	return end, err
}
