package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/folder"
	"github.com/swingbridge/swingbridge/server"
	"github.com/swingbridge/swingbridge/server/command"
	"github.com/swingbridge/swingbridge/server/logs"
	"github.com/swingbridge/swingbridge/server/queue"
	"github.com/swingbridge/swingbridge/server/store"
)

func (p *plant) openRunner(context.Context) error {
	p.folders = folder.New(folder.Options{Dir: p.appFolders()})
	p.runner = &pipeline.Runner{
		Source: p.source, Engine: p.engine, Proxy: p.plane, Prover: p.plane, Ledger: ledger{p.store, p.logs, p.metrics},
		Folders: p.folders, Targets: p.plane, Gauge: p.plane, Modes: p.plane,
		Edge: p.engine.EdgeName(), AppNetwork: func(a pipeline.App, key string) string { return p.engine.AppNetwork(a.Name, key) },
		Now: time.Now, Logger: p.log, Masked: logs.Masked,
		ImagesLimit: p.cfg.imagesLimit, FreeSpace: p.cfg.freeSpace,
	}
	p.metrics.Drift(p.runner.Drifts)
	p.heads = &pipeline.HeadWatch{Source: p.source, Heads: p.store, Memory: p.store, Every: headsEvery, Logger: p.log}
	p.commands = command.New(command.Options{
		Apps: p.store, Deployments: p.store, Environments: p.store, Tokens: p.store, Auditor: p.store, Jobs: p.queue, Replayer: replayer{p.store},
		Source: p.source, Planner: p.runner, Engine: p.engine, Proxy: p.plane, Modes: p.plane,
		Masked: logs.Masked, NewToken: newToken,
		Turn: p.runner.Turn, RemoveThings: p.removeThings,
		Added: p.heads.Look, Now: time.Now, Logger: p.log,
	})
	return nil
}

// removeThings takes away what an app has outside of the database, but for its
// data: volumes and data folders stay.
func (p *plant) removeThings(ctx context.Context, a pipeline.App) error {
	if err := p.engine.RemoveApp(ctx, a.ID); err != nil {
		return err
	}
	if _, err := p.folders.PrunePlaced(ctx, a.ID, nil); err != nil {
		// A container may have put files of another user there; the app ends all the same.
		p.log.WarnContext(ctx, "files of the app's commits stay on the disk", "app", a.Name, "error", err)
	}
	return nil
}

// ledger is the store, and the logs and metrics beside it.
type ledger struct {
	*store.Store
	logs    *logs.Dir
	metrics *server.Metrics
}

// Record implements pipeline.Recorder.
func (l ledger) Record(ctx context.Context, r pipeline.Record) error {
	for _, s := range r.Steps {
		if !s.EndedAt.IsZero() {
			l.metrics.Step(s.Name, s.State, s.EndedAt.Sub(s.StartedAt))
		}
	}
	return l.Store.Record(ctx, r)
}

// Log implements pipeline.Recorder.
func (l ledger) Log(_ context.Context, deployment string, secrets []string) (pipeline.Log, error) {
	return l.logs.Open(deployment, secrets)
}

// handle carries out a job of the queue.
func (p *plant) handle(ctx context.Context, j queue.Job) (err error) {
	defer func() {
		if v := recover(); v != nil { // the deployment is not settled: a job that is over would leave it so for ever
			p.log.Error("deployment panicked, trying again", "job", j.ID, "panic", v, "stack", string(debug.Stack()))
			err = queue.Again(time.Minute)
		}
	}()
	var args struct{ Deployment string }
	if err := json.Unmarshal(j.Args, &args); err != nil || args.Deployment == "" {
		return fmt.Errorf("job %d has arguments %q", j.ID, j.Args)
	}
	err = p.runner.Run(ctx, args.Deployment)
	switch {
	case err == nil:
		return p.logs.Finish(args.Deployment)
	case errors.Is(err, pipeline.ErrInterrupted):
		return queue.ErrShutdown
	}
	p.log.Error("deployment could not be carried on, trying again", "deployment", args.Deployment, "error", err)
	return queue.Again(tryAgain)
}
