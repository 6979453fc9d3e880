package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

// edited is the world's ledger after an operator changed the app or its
// environment.
type edited struct {
	*pipelinetest.Ledger
	app pipeline.App
	env map[string]string
}

func (e *edited) AppByID(ctx context.Context, id string) (pipeline.App, error) {
	_, err := e.Ledger.AppByID(ctx, id)
	return e.app, err
}

func (e *edited) Env(ctx context.Context, id string) (map[string]string, int64, error) {
	_, version, err := e.Ledger.Env(ctx, id)
	return e.env, version, err
}

func (e *edited) Current(ctx context.Context) ([]pipeline.App, []pipeline.Deployment, error) {
	_, active, err := e.Ledger.Current(ctx)
	return []pipeline.App{e.app}, active, err
}

// edit returns the ledger to be changed and a runner that reads it.
func edit(w *pipelinetest.World) (*edited, *pipeline.Runner) {
	e, r := &edited{Ledger: w.Ledger(), app: w.Ledger().App(), env: map[string]string{}}, w.Runner()
	r.Ledger = e
	return e, r
}

func entryOf(t *testing.T, w *pipelinetest.World) pipeline.Entry {
	t.Helper()
	e, err := w.Proxy().Entry(t.Context(), w.Ledger().App().ID)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// away makes the engine not answer from the nth time on that the call has been
// made, for that long.
func away(n int, call string, after bool, gone time.Duration) func(string, bool) error {
	seen, from := 0, time.Time{}
	return func(name string, isAfter bool) error {
		if name == call && isAfter == after {
			if seen++; seen == n {
				from = time.Now()
			}
		}
		if from.IsZero() || time.Since(from) >= gone || isAfter || !strings.HasPrefix(name, "engine.") {
			return nil
		}
		return fmt.Errorf("dial unix docker.sock: %w", pipeline.ErrUnreachable)
	}
}

func TestRun_SwingingBackTakesTheRoutesOfTheOldRelease(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		before := entryOf(t, w)
		ledger, runner := edit(w)
		ledger.app.Compose = []string{"compose.yml"}
		ledger.app.Routes = []pipeline.Route{{Host: "shop.example.org", Service: "site", Port: 8000}}
		sha := w.Forge().Push("main", map[string]string{"Dockerfile": "FROM scratch", "compose.yml": "services:\n  site:\n    build: .\n"})
		w.Engine().Behave(sha, pipelinetest.Behavior{ExitAfter: 5 * time.Second, ExitCode: 1})
		d := w.Ledger().Queue(sha, pipeline.Push)
		if err := runner.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, d.ID, pipeline.RolledBack)
		wantServed(t, w, old.ID)
		if diff := cmp.Diff(fmt.Sprint(before.Paths), fmt.Sprint(entryOf(t, w).Paths)); diff != "" {
			t.Errorf("visitors came back to something else: %s", diff)
		}
	})
}

// A cancel that was written down before a crash is there before the run begins.
func TestRun_ACancelFromBeforeACrashEndsTheDeployment(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		killedAt string
		from     pipeline.State
		want     pipeline.State
	}{
		"before it began":         {from: pipeline.Queued, want: pipeline.Canceled},
		"while it built":          {killedAt: "engine.Build", from: pipeline.Running, want: pipeline.Canceled},
		"after the table's swing": {killedAt: "proxy.Prove", from: pipeline.CuttingOver, want: pipeline.RolledBack},
		"while it watched":        {killedAt: "engine.Events", from: pipeline.Watching, want: pipeline.RolledBack},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
				d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
				if c.killedAt != "" {
					w.Fail = func(call string, _ bool) error {
						if call == c.killedAt {
							return pipelinetest.ErrKilled
						}
						return nil
					}
					if err := w.Run(t.Context(), d.ID); err == nil {
						t.Fatal("the killed run ended")
					}
					w.Fail = nil
					w.Revive()
				}
				wantState(t, w, d.ID, c.from)
				ctx, cancel := context.WithCancelCause(t.Context())
				cancel(pipeline.ErrCanceled)
				if err := w.Run(ctx, d.ID); err != nil {
					t.Fatal(err)
				}
				if d = wantState(t, w, d.ID, c.want); d.Reason != pipeline.ErrCanceled.Error() {
					t.Errorf("reason: %s", d.Reason)
				}
				wantServed(t, w, old.ID)
			})
		})
	}
}

func TestRun_AStateChangeOfUnknownOutcomeIsReadAgain(t *testing.T) {
	t.Parallel()
	for _, state := range []pipeline.State{pipeline.Watching, pipeline.Live} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, written=%t", state, after), func(t *testing.T) {
				t.Parallel()
				inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
					d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
					w.Fail = func(call string, isAfter bool) error {
						if strings.Contains(call, "to "+string(state)) && isAfter == after {
							return errors.New("commit: disk I/O error")
						}
						return nil
					}
					if err := w.Run(t.Context(), d.ID); err == nil {
						t.Error("the run says that it has ended")
					}
					w.Fail = nil
					visitorsAreServed(t, w)
					if err := w.Run(t.Context(), d.ID); err != nil {
						t.Fatal(err)
					}
					wantState(t, w, d.ID, pipeline.Live)
					wantState(t, w, old.ID, pipeline.Retired)
					wantServed(t, w, d.ID)
				})
			})
		}
	}
}

func TestRun_OneFailedCountDoesNotEndTheDrain(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		w.Proxy().SetInflight(old.ID, 7)
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		begun, asked, open := time.Now(), 0, true
		time.AfterFunc(20*time.Second, func() { w.Proxy().SetInflight(old.ID, 0) })
		w.Fail = func(call string, after bool) error {
			if call == "proxy.Inflight" {
				if asked++; asked == 3 {
					return fmt.Errorf("ask the proxy: %w", pipeline.ErrUnreachable)
				}
			}
			if call == "engine.Stop" && !after {
				open = time.Since(begun) < 20*time.Second
			}
			return nil
		}
		if err := w.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		if open {
			t.Error("the old color was stopped with requests open on it")
		}
		wantServed(t, w, d.ID)
	})
}

func TestRun_AnEngineThatFailsAsTheDrainBeginsCutsNoRequest(t *testing.T) {
	t.Parallel()
	for name, failing := range map[string]time.Duration{"once": time.Nanosecond, "for long": 20 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
				w.Proxy().SetInflight(old.ID, 7)
				time.AfterFunc(25*time.Second, func() { w.Proxy().SetInflight(old.ID, 0) })
				d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
				var from, stopped time.Time
				begun, watching := time.Now(), false
				w.Fail = func(call string, after bool) error {
					switch {
					case strings.HasSuffix(call, "to watching"):
						watching = true
					case call == "engine.Stop" && !after:
						stopped = time.Now()
					case call == "engine.List" && watching:
						if from.IsZero() {
							from = time.Now()
						}
						if time.Since(from) < failing {
							return errors.New("500 Internal Server Error")
						}
					}
					return nil
				}
				if err := w.Run(t.Context(), d.ID); err != nil {
					t.Fatal(err)
				}
				wantState(t, w, d.ID, pipeline.Live)
				if from.IsZero() || stopped.Sub(begun) < 25*time.Second {
					t.Errorf("the old color was stopped after %s with requests open on it\n%s", stopped.Sub(begun), w.Ledger().LogText(d.ID))
				}
				wantServed(t, w, d.ID)
			})
		})
	}
}

// While the engine fails, the drain knows of no other limit than the 30 s of the
// version that it was taken up with.
func TestRun_WhatStopsTheOldColorWaitsForItsLimitWhateverBecameOfTheDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := pipelinetest.New()
		w.Ledger().SetOverlay("services:\n  web:\n    x-swingbridge: {drain: 2m}\n")
		old := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		w.Ledger().SetOverlay("")
		w.Proxy().SetInflight(old.ID, 3)
		begun, d := time.Now(), w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := w.Run(ctx, d.ID); !errors.Is(err, pipeline.ErrInterrupted) {
			t.Fatalf("run: %v", err)
		}
		wantState(t, w, d.ID, pipeline.Live)
		failing := false
		w.Fail = func(call string, _ bool) error {
			if strings.HasPrefix(call, "ledger.Record") {
				failing = strings.HasSuffix(call, "drain running")
			}
			if call == "engine.List" && failing {
				return errors.New("500 Internal Server Error")
			}
			return nil
		}
		if err := w.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < 2*time.Minute {
			t.Errorf("the old color asks for 2 m and was stopped after %s", took)
		}
		wantServed(t, w, d.ID)
	})
}

func TestRun_TheOldColorIsDrainedByItsOwnReleasesLimitAfterARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := pipelinetest.New()
		w.Ledger().SetOverlay("services:\n  web:\n    x-swingbridge: {drain: 10m}\n")
		old := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		w.Ledger().SetOverlay("")
		w.Proxy().SetInflight(old.ID, 3)
		begun, d := time.Now(), w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.Run(ctx, d.ID); !errors.Is(err, pipeline.ErrInterrupted) {
			t.Fatalf("run: %v", err)
		}
		wantState(t, w, d.ID, pipeline.Live)
		if err := w.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < 10*time.Minute {
			t.Errorf("the old color asks for 10 m and was stopped after %s", took)
		}
		wantServed(t, w, d.ID)
	})
}

func TestRun_ABlipOfTheForgeDoesNotFailThePush(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"forge.Head", "forge.Fetch"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
				d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
				once := false
				w.Fail = func(call string, _ bool) error {
					if call != at || once {
						return nil
					}
					once = true
					return fmt.Errorf("502 Bad Gateway: %w", pipeline.ErrUnreachable)
				}
				if err := w.Run(t.Context(), d.ID); err != nil {
					t.Fatal(err)
				}
				wantState(t, w, d.ID, pipeline.Live)
				wantServed(t, w, d.ID)
			})
		})
	}
}
