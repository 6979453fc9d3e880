package pipeline_test

import (
	"context"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

// follow keeps the world reconciled until the test ends, without a tick.
func follow(t *testing.T, w *pipelinetest.World) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Runner().KeepReconciled(ctx, nil, w.Ledger().Current)
	}()
	t.Cleanup(func() { stop(); <-done })
	time.Sleep(time.Second) // bubble time: it has begun
	synctest.Wait()
}

func targetsOf(t *testing.T, w *pipelinetest.World) []netip.AddrPort {
	t.Helper()
	e, err := w.Proxy().Peek(w.Ledger().App().ID)
	if err != nil {
		t.Fatal(err)
	}
	return e.Paths[0].Targets
}

func TestFollow_ATargetThatDiedIsDroppedAtOnceAndComesBackWithItsStart(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"die", "destroy"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
				follow(t, w)
				id := w.Engine().Containers()[0].ID
				if err := w.Engine().Stop(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				at := time.Now()
				w.Engine().Tell(id, kind)
				synctest.Wait()
				if left := targetsOf(t, w); len(left) != 0 || !time.Now().Equal(at) {
					t.Errorf("%v are left after %s", left, time.Since(at))
				}
				if err := w.Engine().Start(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				w.Engine().Tell(id, "start")
				synctest.Wait()
				if back := targetsOf(t, w); len(back) != 1 || !time.Now().Equal(at) {
					t.Errorf("%v are back after %s", back, time.Since(at))
				}
			})
		})
	}
}

// A run decides where visitors are while it lasts: a start of the live color's
// container must not take them from the new one.
func TestFollow_AStartLeavesARunInProgressAlone(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		follow(t, w)
		oldID := w.Engine().Containers()[0].ID
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		time.AfterFunc(5*time.Second, func() {
			w.Engine().Tell(oldID, "die")
			w.Engine().Tell(oldID, "start")
		})
		if err := w.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, d.ID, pipeline.Live)
		if served := w.Proxy().Served(); len(served) != 2 {
			t.Errorf("visitors were on %v", served)
		}
	})
}

// slowBuild is an engine on which a build takes a minute.
type slowBuild struct{ pipeline.Engine }

func (e slowBuild) Build(ctx context.Context, b pipeline.BuildOrder, log io.Writer) (string, bool, error) {
	time.Sleep(time.Minute) // bubble time
	return e.Engine.Build(ctx, b, log)
}

// dieAndStart lets the engine end a container and start it again. Where nothing
// is told, the proxy has lost the target all the same.
func dieAndStart(t *testing.T, w *pipelinetest.World, c pipeline.Container, told bool) {
	t.Helper()
	if err := w.Engine().Stop(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	if told {
		w.Engine().Tell(c.ID, "die")
		synctest.Wait()
	} else {
		w.Proxy().Forget(c.Owner.AppID, c.Edge)
	}
	if left := targetsOf(t, w); len(left) != 0 {
		t.Fatalf("%v are left of what died", left)
	}
	if err := w.Engine().Start(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	if told {
		w.Engine().Tell(c.ID, "start")
		synctest.Wait()
	} else {
		reconcile(t, w)
	}
}

// restartedDuringABuild lets the one container of the old color die and start
// during the build of a deployment: visitors reach it again at once.
func restartedDuringABuild(t *testing.T, w *pipelinetest.World, old pipeline.Deployment, told bool) {
	t.Helper()
	blue := w.Engine().Containers()[0]
	d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
	runner, ended := w.Runner(), make(chan error, 1)
	runner.Engine = slowBuild{w.Engine()}
	go func() { ended <- runner.Run(t.Context(), d.ID) }()
	time.Sleep(30 * time.Second) // bubble time: half of the build
	wantState(t, w, d.ID, pipeline.Running)
	dieAndStart(t, w, blue, told)
	wantState(t, w, d.ID, pipeline.Running)
	if back := targetsOf(t, w); len(back) != 1 || back[0].Addr() != blue.Edge {
		t.Errorf("visitors reach %v during the build, want %s", back, blue.Edge)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	wantServed(t, w, d.ID)
	if moves := slices.Compact(w.Proxy().Served()); !slices.Equal(moves, []string{old.ID, d.ID}) {
		t.Errorf("visitors were on %v", moves)
	}
}

func TestFollow_AnAppThatRestartsDuringABuildIsReachedAgain(t *testing.T) {
	t.Parallel()
	for name, told := range map[string]bool{"by its start": true, "by a tick": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
				if told {
					follow(t, w)
				}
				restartedDuringABuild(t, w, old, told)
			})
		})
	}
}

func TestFollow_AnAppThatRestartsWhileStuckIsReachedAgain(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		d := stick(t, w, "proxy.Swing")
		follow(t, w)
		for _, c := range w.Engine().Containers() {
			if c.Owner.Deployment == d.ID {
				dieAndStart(t, w, c, true)
			}
		}
		if back, at := targetsOf(t, w), w.Proxy().Serving(w.Ledger().App().ID); len(back) != 1 || at != d.ID {
			t.Errorf("visitors reach %v of %s, want %s", back, at, d.ID)
		}
	})
}

func TestFollow_WhatTheProxyCouldNotBeToldIsToldAgain(t *testing.T) {
	t.Parallel()
	for kind, call := range map[string]string{"die": "proxy.Lose", "destroy": "proxy.Lose", "start": "proxy.Swing"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
				follow(t, w)
				c, want := w.Engine().Containers()[0], 0
				if kind == "start" {
					w.Proxy().Forget(c.Owner.AppID, c.Edge)
					want = 1
				}
				back := time.Now().Add(3 * time.Second)
				w.Fail = func(name string, _ bool) error {
					if name == call && time.Now().Before(back) {
						return pipeline.ErrUnreachable
					}
					return nil
				}
				w.Engine().Tell(c.ID, kind)
				if kind == "destroy" {
					if err := w.Engine().Remove(t.Context(), c.ID); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(5 * time.Second) // bubble time, and nothing ticks
				synctest.Wait()
				if got := targetsOf(t, w); len(got) != want {
					t.Errorf("after the proxy came back it has %v, want %d", got, want)
				}
			})
		})
	}
}

func TestFollow_ADeathThatCouldNotBeToldIsForgottenWithTheNextStart(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		follow(t, w)
		id := w.Engine().Containers()[0].ID
		w.Fail = func(name string, _ bool) error {
			if name == "proxy.Lose" {
				w.Fail = nil
				return pipeline.ErrUnreachable
			}
			return nil
		}
		w.Engine().Tell(id, "die")
		w.Engine().Tell(id, "start")
		time.Sleep(5 * time.Second) // bubble time
		synctest.Wait()
		if got := targetsOf(t, w); len(got) != 1 {
			t.Errorf("targets: %v", got)
		}
	})
}

func TestFollow_WhatCannotBeToldAtAllIsNotTriedForEver(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		follow(t, w)
		w.Fail = func(name string, _ bool) error {
			if name == "proxy.Lose" {
				return pipeline.ErrUnreachable
			}
			return nil
		}
		w.Engine().Tell(w.Engine().Containers()[0].ID, "die")
		time.Sleep(time.Minute) // bubble time
		synctest.Wait()
		before := len(w.Calls())
		time.Sleep(time.Minute) // bubble time
		synctest.Wait()
		if more := w.Calls()[before:]; len(more) != 0 {
			t.Errorf("still tried: %v", more)
		}
	})
}

func TestRun_ATargetLostDuringTheCutoverIsNoConflict(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		gone := w.Engine().Containers()[0].Edge
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		lost := false
		w.Fail = func(call string, after bool) error {
			if call == "proxy.Swing" && !after && !lost {
				lost = true
				w.Proxy().Forget(w.Ledger().App().ID, gone)
			}
			return nil
		}
		if err := w.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, d.ID, pipeline.Live)
		if !lost {
			t.Error("nothing was lost")
		}
	})
}

func TestReconcile_AnAddressThatNoContainerOfTheAppHasIsDropped(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, live pipeline.Deployment) {
		stranger := netip.MustParseAddrPort("10.201.9.9:8000")
		e := entryOf(t, w)
		e.Paths = slices.Clone(e.Paths)
		e.Paths[0].Targets = append(slices.Clone(e.Paths[0].Targets), stranger)
		e.Preview = &pipeline.Preview{Deployment: live.ID, Paths: e.Paths}
		if _, err := w.Proxy().Swing(t.Context(), e, e.Version); err != nil {
			t.Fatal(err)
		}
		begun := len(w.Calls())
		reconcile(t, w)
		if left := targetsOf(t, w); slices.Contains(left, stranger) || len(left) != 1 {
			t.Errorf("left: %v", left)
		}
		// Before anything else is done with the app: it may take a while.
		calls := w.Calls()[begun:]
		if lose, swing := slices.Index(calls, "proxy.Lose"), slices.Index(calls, "engine.Inspect"); lose < 0 || swing >= 0 && swing < lose {
			t.Errorf("calls: %v", calls)
		}
	})
}

func TestReconcile_ATargetYoungerThanTheListIsNoStranger(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		ended := make(chan error, 1)
		current := func(ctx context.Context) ([]pipeline.App, []pipeline.Deployment, error) {
			go func() { ended <- w.Run(ctx, d.ID) }()
			time.Sleep(5 * time.Second) // bubble time: visitors have moved
			return w.Ledger().Current(ctx)
		}
		if err := w.Runner().Reconcile(t.Context(), current); err != nil {
			t.Error(err)
		}
		if slices.Contains(w.Calls(), "proxy.Lose") {
			t.Error("the new color's target was dropped")
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		wantServed(t, w, d.ID)
	})
}

func TestDrain_StreamsAreClosedInItsLastPart(t *testing.T) {
	t.Parallel()
	for limit, want := range map[string]time.Duration{"30s": 20 * time.Second, "3s": 2 * time.Second, "10m": 590 * time.Second} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := pipelinetest.New()
				w.Ledger().SetOverlay("services: {web: {x-swingbridge: {drain: " + limit + "}}}")
				old := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
				w.Proxy().SetInflight(old.ID, 3)
				w.Proxy().SetStreams(old.ID, 2)
				var cut, closed, stopped time.Time
				w.Fail = func(call string, after bool) error {
					switch {
					case call == "proxy.Swing" && after && cut.IsZero():
						cut = time.Now()
					case call == "proxy.EndStreams" && !after && closed.IsZero():
						closed = time.Now()
					case call == "engine.Stop" && !after:
						stopped = time.Now()
					}
					return nil
				}
				d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
				wantState(t, w, d.ID, pipeline.Live)
				drain, err := time.ParseDuration(limit)
				if err != nil {
					t.Fatal(err)
				}
				if at := closed.Sub(cut); at < want || at > want+100*time.Millisecond {
					t.Errorf("streams were closed after %s, want %s", at, want)
				}
				if at := stopped.Sub(cut); at < drain {
					t.Errorf("stopped after %s with a request open", at)
				}
				if text := w.Ledger().LogText(d.ID); !strings.Contains(text, "closing 2 stream(s)") || !strings.Contains(text, "1 request(s) still open at the limit") {
					t.Errorf("log:\n%s", text)
				}
			})
		})
	}
}
