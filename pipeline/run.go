package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Causes with which the context of a run is canceled. Any other cause means
// that the server stops: the run leaves everything as it is, and the next
// start takes it up.
var (
	ErrCanceled = errors.New("canceled by an operator")
	ErrRollBack = errors.New("rolled back by an operator")
)

// ErrInterrupted is returned by Run where the server stops; the deployment is
// not settled and must be run again.
var ErrInterrupted = errors.New("interrupted, to be taken up at the next start")

// Runner carries deployments out. All exported fields but Logger and the limits
// are required.
type Runner struct {
	Source Source
	Engine Engine
	Proxy  Proxy
	Prover Prover
	Modes  Modes
	Ledger Ledger

	Folders Folders
	Targets Targets // the proxy's, like Gauge
	Gauge   Gauge

	Edge string // the network on which the proxy reaches containers
	// AppNetwork names one of the app's networks: the default one for an empty
	// key, else a Compose network or one that a color has of it.
	AppNetwork func(a App, key string) string
	// Stopping is closed when the server stops; nil: never. A run whose own
	// context an operator has ended already learns of it only here.
	Stopping <-chan struct{}
	Now      func() time.Time
	Logger   *slog.Logger

	// ImagesLimit is how much the kept images of one app may take, in bytes; 0:
	// as much as they do. FreeSpace is what must be free before a build.
	ImagesLimit int64
	FreeSpace   int64

	turns  turns
	drifts drifts
}

// run is one attempt of one deployment. Its fields are filled by the steps, in
// their order, or by resume after a crash.
type run struct {
	*Runner
	app App
	dep Deployment
	log Log

	tree       Tree // nil for a rollback
	rel        Release
	supplies   []supply   // of the release's images; none for a rollback
	live       Deployment // the one visitors are on; zero ID if none
	liveRel    Release
	mu         sync.Mutex  // of containers, while workers are handed over beside the guard
	containers []Container // of services in this deployment's color
	env        map[string]string
	files      map[string][]byte // files of the server, by path
	envVersion int64
	secrets    []string // what is masked, see secretsOf
	cutAt      time.Time
	entered    Entry                 // what the cutover put in the table
	before     baseline              // what visitors got before it
	back       atomic.Pointer[Entry] // where they can return to at once; nil if that is not known to run

	handed  chan error // how the hand-over beside the guard ended
	drained []string   // deployments that the drain has seen to their end

	found Record // what the step that runs found out, to be written with its end
	held  Record // what is to be written with the beginning of the next step
}

// Run brings the deployment to an end, from wherever it stands: nil when it is
// settled, ErrInterrupted when the server stops, another error when the ledger
// cannot be written (to be tried again).
func (r *Runner) Run(ctx context.Context, id string) error {
	calm, stop := r.steady(ctx)
	defer stop()
	x, err := r.open(calm, id)
	if err != nil {
		return fmt.Errorf("open deployment %s: %w", id, err)
	}
	if x == nil {
		return nil
	}
	defer func() {
		if err := x.log.Close(); err != nil {
			r.Logger.Error("close deployment log", "deployment", id, "error", err)
		}
	}()
	from, err := x.resume(calm)
	if err != nil {
		return x.leave(calm, err)
	}
	if from < 0 {
		return nil
	}
	return x.walk(ctx, from)
}

// open loads what is known. A nil run means that there is nothing to do.
func (r *Runner) open(ctx context.Context, id string) (*run, error) {
	dep, err := r.Ledger.Deployment(ctx, id)
	if err != nil {
		return nil, err
	}
	if dep.State.Ended() && dep.State != Live || dep.State == Stuck {
		return nil, nil
	}
	app, err := r.Ledger.AppByID(ctx, dep.AppID)
	if err != nil {
		return nil, err
	}
	env, version, err := r.Ledger.Env(ctx, app.ID)
	if err != nil {
		return nil, err
	}
	files, err := r.Ledger.FilesAt(ctx, app.ID, version)
	if err != nil {
		return nil, err
	}
	x := &run{Runner: r, app: app, dep: dep, env: env, files: files, envVersion: version, handed: make(chan error, 1)}
	if x.secrets, err = r.secretsOf(ctx, dep, env, files); err != nil {
		return nil, err
	}
	if x.log, err = r.Ledger.Log(ctx, id, x.secrets); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return x, nil
}

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
	return nil
}

// idle notes a step that has nothing to do, to be written with the next one.
func (x *run) idle(s Step) bool {
	if s.Idle == nil {
		return false
	}
	reason := s.Idle()
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

// leave decides what an error before the first step means.
func (x *run) leave(ctx context.Context, err error) error {
	if interrupted(ctx) {
		return ErrInterrupted
	}
	return err
}

// say writes a line of our own to the deployment's log.
func (x *run) say(format string, args ...any) {
	if _, err := fmt.Fprintf(x.log, format+"\n", args...); err != nil {
		x.Logger.Error("write deployment log", "deployment", x.dep.ID, "error", err)
	}
}
