package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

const trafficPace = 50 * time.Millisecond

// traffic lets visitors come until the test ends. get says what they get in one
// pace from a deployment that has had visitors for that long.
func traffic(t *testing.T, w *pipelinetest.World, get func(deployment string, on time.Duration) pipeline.Visits) {
	t.Helper()
	go func() {
		since := map[string]time.Time{}
		for tick := time.NewTicker(trafficPace); ; {
			select {
			case <-t.Context().Done():
				tick.Stop()
				return
			case now := <-tick.C:
				to := w.Proxy().Serving(w.Ledger().App().ID)
				if since[to].IsZero() {
					since[to] = now
				}
				w.Proxy().Visit(to, get(to, now.Sub(since[to])))
			}
		}
	}()
}

// share of ten requests in each pace are answered 5xx.
func share(bad int) pipeline.Visits {
	return pipeline.Visits{Requests: 10, ServerErrors: bad, P50: time.Millisecond, P95: 10 * time.Millisecond}
}

// pushUnder deploys a commit while visitors come, after a minute of them.
func pushUnder(t *testing.T, w *pipelinetest.World, get func(fresh bool, on time.Duration) pipeline.Visits) pipeline.Deployment {
	t.Helper()
	old := w.Proxy().Serving(w.Ledger().App().ID)
	traffic(t, w, func(deployment string, on time.Duration) pipeline.Visits { return get(deployment != old, on) })
	time.Sleep(time.Minute) // bubble time
	return deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
}

// wantSwungBack checks that visitors were on the deployment no longer than the
// given time.
func wantSwungBack(t *testing.T, w *pipelinetest.World, d, old pipeline.Deployment, within time.Duration) pipeline.Deployment {
	t.Helper()
	d = wantState(t, w, d.ID, pipeline.RolledBack)
	wantServed(t, w, old.ID)
	on := w.Proxy().On(d.ID)
	if on > within {
		t.Errorf("visitors were on the new color for %s, want at most %s", on, within)
	}
	return d
}

func TestGuard_AReleaseThatTurnsTo5xxLosesItsVisitorsWithinASecond(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		d := pushUnder(t, w, func(fresh bool, on time.Duration) pipeline.Visits {
			if fresh && on > 2*time.Second {
				return share(10)
			}
			return share(0)
		})
		d = wantSwungBack(t, w, d, old, 2*time.Second+500*time.Millisecond)
		for _, said := range []string{"5xx or no answer: ", "% of ", " requests in 1s, 2.", "s after the cutover; 0% before it"} {
			if !strings.Contains(d.Reason, said) {
				t.Errorf("reason %q lacks %q", d.Reason, said)
			}
		}
	})
}

func TestGuard_ABadSecondIsSeenAfterAGoodMinute(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		w.Ledger().SetOverlay("x-swingbridge: {guard: 3m}")
		d := pushUnder(t, w, func(fresh bool, on time.Duration) pipeline.Visits {
			if fresh && on > time.Minute && on < time.Minute+time.Second {
				return share(4)
			}
			return share(0)
		})
		wantSwungBack(t, w, d, old, time.Minute+time.Second)
	})
}

func TestGuard_WhatWasSoBeforeIsNotTheReleasesFault(t *testing.T) {
	t.Parallel()
	for name, get := range map[string]func(bool, time.Duration) pipeline.Visits{
		"a third 5xx, as before": func(bool, time.Duration) pipeline.Visits { return share(3) },
		"all 5xx, as before":     func(bool, time.Duration) pipeline.Visits { return share(10) },
		"one in hundred more": func(fresh bool, on time.Duration) pipeline.Visits {
			if fresh && on%(10*trafficPace) == 0 {
				return share(1)
			}
			return share(0)
		},
		"most 5xx, as before": mostlyBroken(),
		"slow only while it is new": func(fresh bool, on time.Duration) pipeline.Visits {
			v := share(0)
			if fresh && on < 4900*time.Millisecond {
				v.P95 = 400 * time.Millisecond
			}
			return v
		},
		"slower, but fast": func(fresh bool, _ time.Duration) pipeline.Visits {
			v := share(0)
			if fresh {
				v.P95 = 240 * time.Millisecond
			}
			return v
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
				wantState(t, w, pushUnder(t, w, get).ID, pipeline.Live)
			})
		})
	}
}

// mostlyBroken answers all but a tenth 5xx, and by chance all of the first
// thirty that the new color gets.
func mostlyBroken() func(bool, time.Duration) pipeline.Visits {
	paces := 0
	return func(fresh bool, on time.Duration) pipeline.Visits {
		if paces++; paces%10 == 0 && !(fresh && on < 15*trafficPace) {
			return pipeline.Visits{Requests: 2}
		}
		return pipeline.Visits{Requests: 2, ServerErrors: 2}
	}
}

func TestGuard_AReleaseThatIsMuchSlowerIsSwungBack(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]pipeline.State{"4": pipeline.RolledBack, "off": pipeline.Live, "100": pipeline.Live} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
				w.Ledger().SetOverlay("x-swingbridge: {guard: {slower: " + setting + "}}")
				d := pushUnder(t, w, func(fresh bool, _ time.Duration) pipeline.Visits {
					v := share(0)
					if fresh {
						v.P95 = 900 * time.Millisecond
					}
					return v
				})
				if d = wantState(t, w, d.ID, want); want == pipeline.RolledBack && !strings.Contains(d.Reason, "within 900ms in 5") {
					t.Errorf("reason: %s", d.Reason)
				}
			})
		})
	}
}

func TestGuard_VisitorsAreBackBeforeAnythingElseIsDone(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		sha := w.Forge().Push("main", nil)
		w.Engine().Behave(sha, pipelinetest.Behavior{ExitAfter: 5 * time.Second, ExitCode: 1, Output: "out of cookies\n"})
		before := len(w.Calls())
		d := deploy(t, w, sha, pipeline.Push)
		wantState(t, w, d.ID, pipeline.RolledBack)
		calls := w.Calls()[before:]
		back := slices.Index(calls, "proxy.Swing") + 1
		back += slices.Index(calls[back:], "proxy.Swing")
		for _, later := range []string{"engine.Logs", "ledger.Record undo cut over running"} {
			if at := slices.Index(calls, later); at < back {
				t.Errorf("%s was call %d, the swing back call %d", later, at, back)
			}
		}
		if n := strings.Count(strings.Join(w.Proxy().Served(), " "), old.ID); n != 2 {
			t.Errorf("visitors were on %v", w.Proxy().Served())
		}
		if text := w.Ledger().LogText(d.ID); !strings.Contains(text, "out of cookies") {
			t.Errorf("log: %s", text)
		}
	})
}

func TestGuard_AnAppWithoutVisitorsIsAskedInstead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer error
		want   pipeline.State
	}{
		"it answers":                  {want: pipeline.Live},
		"it answers 500":              {answer: errors.New("GET shop.example.org/: 500 Internal Server Error"), want: pipeline.RolledBack},
		"the proxy cannot be reached": {answer: fmt.Errorf("dial: %w", pipeline.ErrUnreachable), want: pipeline.Live},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
				w.Proxy().AnswerAsks(c.answer)
				d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
				d = wantState(t, w, d.ID, c.want)
				if c.want == pipeline.RolledBack {
					wantSwungBack(t, w, d, old, 3*time.Second)
					if !strings.Contains(d.Reason, "3 requests in a row") || !strings.Contains(d.Reason, "500 Internal") {
						t.Errorf("reason: %s", d.Reason)
					}
				}
			})
		})
	}
}

func TestGuard_AnAppWithVisitorsIsNotAsked(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		d := pushUnder(t, w, func(bool, time.Duration) pipeline.Visits { return share(0) })
		d = wantState(t, w, d.ID, pipeline.Live)
		if slices.Contains(w.Calls()[len(w.Calls())/2:], "proxy.Ask") {
			t.Error("it was asked")
		}
		for _, s := range d.Steps {
			if s.Name == "guard" && !strings.Contains(s.Detail, "requests, none answered 5xx") {
				t.Errorf("guard: %s", s.Detail)
			}
		}
	})
}

func TestGuard_AProxyThatDoesNotTellSwingsNobodyBack(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		w.Fail = func(call string, _ bool) error {
			if call == "proxy.Visits" {
				return pipeline.ErrUnreachable
			}
			return nil
		}
		d := pushUnder(t, w, func(bool, time.Duration) pipeline.Visits { return share(10) })
		wantState(t, w, d.ID, pipeline.Live)
	})
}

// The proxy forgets what was before the cutover after a minute: then only a
// release that fails more often than not is swung back, also where the guard's
// time has passed.
func TestGuard_AfterARestartVisitsAreJudgedByWhatIsRemembered(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bad  int
		away time.Duration
		want pipeline.State
	}{
		"some errors more":             {bad: 3, want: pipeline.RolledBack},
		"some errors, long after":      {bad: 3, away: 2 * time.Minute, want: pipeline.Live},
		"mostly errors, long after":    {bad: 8, away: 2 * time.Minute, want: pipeline.RolledBack},
		"some errors more, guard over": {bad: 3, away: 20 * time.Second, want: pipeline.RolledBack},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
				sha, gone := w.Forge().Push("main", nil), make(chan struct{})
				traffic(t, w, func(to string, _ time.Duration) pipeline.Visits {
					select {
					case <-gone:
						if to == w.Ledger().All()[1].ID {
							return share(c.bad)
						}
					default:
					}
					return share(0)
				})
				time.Sleep(time.Minute) // bubble time
				d := interruptGuard(t, w, sha)
				close(gone)
				time.Sleep(c.away) // bubble time
				if err := w.Run(t.Context(), d.ID); err != nil {
					t.Fatal(err)
				}
				wantState(t, w, d.ID, c.want)
			})
		})
	}
}

// interruptGuard deploys a commit until the server stops under its guard.
func interruptGuard(t *testing.T, w *pipelinetest.World, sha string) pipeline.Deployment {
	t.Helper()
	d := w.Ledger().Queue(sha, pipeline.Push)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := w.Run(ctx, d.ID); !errors.Is(err, pipeline.ErrInterrupted) {
		t.Fatalf("run: %v", err)
	}
	return wantState(t, w, d.ID, pipeline.Watching)
}

func TestGuard_WhoseTimePassedDuringARestartStillAsksAQuietApp(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		d := interruptGuard(t, w, w.Forge().Push("main", nil))
		w.Proxy().AnswerAsks(errors.New("GET shop.example.org/: 500 Internal Server Error"))
		time.Sleep(2 * time.Minute) // bubble time
		if err := w.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, d.ID, pipeline.RolledBack)
		wantServed(t, w, old.ID)
	})
}

func TestGuard_ThatIsOffJudgesNothingAfterARestartEither(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		w.Ledger().SetOverlay("x-swingbridge: {guard: 0s}")
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		traffic(t, w, func(string, time.Duration) pipeline.Visits { return share(8) })
		w.Fail = func(call string, after bool) error {
			if after && strings.HasSuffix(call, "to watching") {
				return pipelinetest.ErrKilled
			}
			return nil
		}
		if err := w.Run(t.Context(), d.ID); err == nil {
			t.Fatal("it was not killed")
		}
		time.Sleep(2 * time.Minute) // bubble time
		startAgain(t, w)
		wantState(t, w, d.ID, pipeline.Live)
	})
}

func TestGuard_AVerdictStandsAfterAnInterruption(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		w.Fail = func(call string, _ bool) error {
			if call == "proxy.Swing" && w.Proxy().Serving(w.Ledger().App().ID) != old.ID {
				return pipeline.ErrUnreachable // there is no way back
			}
			return nil
		}
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		traffic(t, w, func(to string, on time.Duration) pipeline.Visits {
			if to == d.ID && on > 2*time.Second && on < 4*time.Second {
				return share(10)
			}
			return share(0)
		})
		if err := w.Run(t.Context(), d.ID); !errors.Is(err, pipeline.ErrUnreachable) {
			t.Errorf("run: %v", err)
		}
		wantState(t, w, d.ID, pipeline.Watching)
		w.Fail = nil
		if err := w.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		d = wantSwungBack(t, w, d, old, 10*time.Minute)
		if !strings.Contains(d.Reason, "5xx or no answer: ") {
			t.Errorf("reason: %s", d.Reason)
		}
	})
}

func TestGuard_DialErrorsAreLookedIntoAtOnce(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		sha := w.Forge().Push("main", nil)
		w.Engine().Behave(sha, pipelinetest.Behavior{ExitAfter: 2100 * time.Millisecond, ExitCode: 137})
		traffic(t, w, func(deployment string, on time.Duration) pipeline.Visits {
			if deployment != old.ID && on > 2100*time.Millisecond {
				return pipeline.Visits{DialErrors: 2}
			}
			return pipeline.Visits{Requests: 2}
		})
		d := deploy(t, w, sha, pipeline.Push)
		d = wantSwungBack(t, w, d, old, 2500*time.Millisecond)
		if !strings.Contains(d.Reason, "was killed (exit code 137)") {
			t.Errorf("reason: %s", d.Reason)
		}
	})
}

func TestGuard_AnOperatorsWishIsCarriedOutAtOnce(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(5*time.Second, func() { cancel(pipeline.ErrRollBack) })
		if err := w.Run(ctx, d.ID); err != nil {
			t.Fatal(err)
		}
		wantSwungBack(t, w, d, old, 5*time.Second)
	})
}

// The old color may die while the new one is watched: nobody is sent there.
func TestGuard_NobodyIsSwungBackToWhatDoesNotRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := pipelinetest.New()
		deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		old := w.Engine().Containers()[0]
		time.AfterFunc(5*time.Second, func() {
			if err := w.Engine().Stop(t.Context(), old.ID); err != nil {
				t.Error(err)
			}
		})
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(10*time.Second, func() { cancel(pipeline.ErrRollBack) })
		if err := w.Run(ctx, d.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, d.ID, pipeline.Stuck)
		if at := w.Proxy().Serving(w.Ledger().App().ID); at != d.ID {
			t.Errorf("visitors are on %s", at)
		}
	})
}

// The old color may be what the deployment was to mend.
func TestRun_ACutoverThatFailsBesideADeadColorIsNotStuck(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		if err := w.Engine().Stop(t.Context(), w.Engine().Containers()[0].ID); err != nil {
			t.Fatal(err)
		}
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		w.Fail = func(call string, _ bool) error {
			if call == "proxy.Swing" {
				return errors.New("disk full")
			}
			return nil
		}
		if err := w.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, d.ID, pipeline.RolledBack)
	})
}

func TestGuard_ARestartThatNobodyWatchedIsSeenAfterwards(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := w.Run(ctx, d.ID); !errors.Is(err, pipeline.ErrInterrupted) {
			t.Fatalf("run: %v", err)
		}
		for _, c := range w.Engine().Containers() {
			if c.Owner.Deployment == d.ID {
				w.Engine().Restart(c.ID)
			}
		}
		if err := w.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, d.ID, pipeline.RolledBack)
		wantServed(t, w, old.ID)
	})
}
