// Package pipelinetest is a small world in memory for tests of deployments: a
// forge, a container engine, a proxy and a ledger that behave like the real
// ones as far as a run can see, and that can be made to fail, or to die, at any
// call.
package pipelinetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// ErrKilled is what every call answers once the world's server was killed.
var ErrKilled = errors.New("the server was killed")

// World holds everything outside of a run. All methods may be used by several
// goroutines.
type World struct {
	mu     sync.Mutex
	asking chan struct{} // Fail is asked by one call at a time; it may sleep in a bubble's time

	// Fail, if set, is asked before each call and makes it fail. after is true
	// for the second time it is asked, when the call has had its effect.
	Fail func(call string, after bool) error

	// ImagesLimit and FreeSpace are the runner's.
	ImagesLimit, FreeSpace int64

	// Stopping is closed when the server stops.
	Stopping chan struct{}

	forge   *Forge
	engine  *Engine
	proxy   *Proxy
	ledger  *Ledger
	folders *Folders
	killed  bool
	runner  *pipeline.Runner // since the last start
	calls   []string
}

// New returns a world with one app that has no deployment yet.
func New() *World {
	w := &World{asking: make(chan struct{}, 1)}
	w.forge = &Forge{w: w, commits: map[string]commit{}, heads: map[string]string{}}
	w.engine = &Engine{
		w: w, images: map[string]string{}, pulled: map[string]string{}, containers: map[string]*container{},
		networks: map[string]pipeline.Network{}, apps: map[string]Behavior{},
	}
	w.proxy = &Proxy{
		w: w, table: map[string]pipeline.Entry{}, modes: map[string]pipeline.Mode{}, inflight: map[string]int{},
		visits: map[string][]visits{}, streams: map[string]int{},
	}
	w.ledger = newLedger(w)
	w.folders = &Folders{w: w, placed: map[string]bool{}}
	return w
}

// Forge is the world's git side.
func (w *World) Forge() *Forge { return w.forge }

// Engine is the world's container engine.
func (w *World) Engine() *Engine { return w.engine }

// Proxy is the world's data plane.
func (w *World) Proxy() *Proxy { return w.proxy }

// Ledger is the world's durable memory.
func (w *World) Ledger() *Ledger { return w.ledger }

// Folders is the host's disk.
func (w *World) Folders() *Folders { return w.folders }

// Runner returns a run's view of the world: one for as long as the server lives.
func (w *World) Runner() *pipeline.Runner {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r := w.runner; r != nil && r.Stopping == w.Stopping && r.ImagesLimit == w.ImagesLimit && r.FreeSpace == w.FreeSpace {
		return r
	}
	w.runner = &pipeline.Runner{
		Source: w.forge, Engine: w.engine, Proxy: w.proxy, Prover: w.proxy, Ledger: w.ledger,
		Folders: w.folders,
		Targets: w.proxy, Gauge: w.proxy, Modes: w.proxy,
		Edge:       "edge",
		AppNetwork: func(a pipeline.App, key string) string { return "net-" + a.Name + key },
		Now:        time.Now, Stopping: w.Stopping,
		Logger: slog.New(slog.DiscardHandler),

		ImagesLimit: w.ImagesLimit, FreeSpace: w.FreeSpace,
	}
	return w.runner
}

// Revive undoes a kill: the next server starts.
func (w *World) Revive() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.killed, w.runner = false, nil
}

// Calls lists every call that was made, in order.
func (w *World) Calls() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.calls...)
}

// Run carries a deployment out the way a server does that may be killed: an
// error that wraps ErrKilled leaves everything as it is.
func (w *World) Run(ctx context.Context, id string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w.mu.Lock()
	w.ledger.kill = cancel
	w.mu.Unlock()
	return w.Runner().Run(ctx, id)
}

// call is the beginning of every call: it may fail, and it does nothing once
// the server was killed.
func (w *World) call(ctx context.Context, name string) error {
	w.mu.Lock()
	dead := w.killed
	if !dead {
		w.calls = append(w.calls, name)
	}
	w.mu.Unlock()
	if dead {
		return ErrKilled
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.ask(name, false)
}

// glance is a call that is not listed.
func (w *World) glance(ctx context.Context, name string) error {
	w.mu.Lock()
	dead := w.killed
	w.mu.Unlock()
	if dead {
		return ErrKilled
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.ask(name, false)
}

// ask lets Fail decide about a call and carries out a kill.
func (w *World) ask(name string, after bool) error {
	if w.Fail == nil {
		return nil
	}
	w.asking <- struct{}{}
	err := w.Fail(name, after)
	<-w.asking
	if errors.Is(err, ErrKilled) {
		w.mu.Lock()
		w.killed = true
		if w.ledger.kill != nil {
			w.ledger.kill(ErrKilled)
		}
		w.mu.Unlock()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Deploy queues a deployment of the commit and carries it out.
func (w *World) Deploy(ctx context.Context, sha string, t pipeline.Trigger) (pipeline.Deployment, error) {
	d := w.ledger.Queue(sha, t)
	if err := w.Run(ctx, d.ID); err != nil {
		return d, err
	}
	return w.ledger.Deployment(ctx, d.ID)
}
