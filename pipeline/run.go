package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	// Masked reads with the values of the secrets masked as in logs; nil: only as
	// they are written.
	Masked func(from io.ReadCloser, secrets []string) io.ReadCloser

	// ImagesLimit is how much the kept images of one app may take, in bytes; 0:
	// as much as they do. FreeSpace is what must be free before a build.
	ImagesLimit int64
	FreeSpace   int64

	turns  turns
	chores chores
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
