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

// inWorld runs the test in a bubble of its own time, in a world whose app has
// a live version already.
func inWorld(t *testing.T, f func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := pipelinetest.New()
		old, err := w.Deploy(t.Context(), w.Forge().Push("main", nil), pipeline.Push)
		if err != nil || old.State != pipeline.Live {
			t.Fatalf("first deployment: %v, %s: %s\n%s", err, old.State, old.Reason, w.Ledger().LogText(old.ID))
		}
		f(t, w, old)
	})
}

func deploy(t *testing.T, w *pipelinetest.World, sha string, trigger pipeline.Trigger) pipeline.Deployment {
	t.Helper()
	d, err := w.Deploy(t.Context(), sha, trigger)
	if err != nil {
		t.Fatalf("deploy: %v\n%s", err, w.Ledger().LogText(d.ID))
	}
	return d
}

func wantState(t *testing.T, w *pipelinetest.World, id string, want pipeline.State) pipeline.Deployment {
	t.Helper()
	d, err := w.Ledger().Deployment(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	if d.State != want {
		t.Fatalf("deployment %s is %s (%s), want %s\n%s", id, d.State, d.Reason, want, w.Ledger().LogText(id))
	}
	return d
}

// wantServed checks that visitors are on the deployment, that its containers
// run and will come back, and that no other container is there.
func wantServed(t *testing.T, w *pipelinetest.World, id string) {
	t.Helper()
	if at := w.Proxy().Serving(w.Ledger().App().ID); at != id {
		t.Errorf("visitors are on %q, want %s", at, id)
	}
	there := w.Engine().Containers()
	if len(there) != 1 || there[0].Owner.Deployment != id || !there[0].Running || !there[0].Always {
		t.Errorf("containers: %+v, want one running of %s", there, id)
	}
	if holders, err := w.Ledger().AddressHolders(context.Background(), w.Ledger().App().ID); err != nil || !slices.Equal(holders, []string{id}) {
		t.Errorf("addresses are held by %q, %v; want %s alone", holders, err, id)
	}
}

func TestRun_PushBecomesWhatVisitorsSee(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		wantState(t, w, d.ID, pipeline.Live)
		wantState(t, w, old.ID, pipeline.Retired)
		wantServed(t, w, d.ID)
		if old.Color != pipeline.Blue || d.Color != pipeline.Green {
			t.Errorf("colors: %s then %s", old.Color, d.Color)
		}
	})
}

// idle is a step that has nothing to do for a stack of one web service.
func idle(s pipeline.StepRecord) bool {
	return s.State == pipeline.StepSkipped && slices.Contains([]string{"keep", "release", "hand over early", "hand over"}, s.Name)
}

func TestRun_StepsAreJournaledInTheirOrder(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		var names []string
		for _, s := range wantState(t, w, d.ID, pipeline.Live).Steps {
			names = append(names, s.Name)
			if s.State != pipeline.StepDone && !idle(s) || s.EndedAt.IsZero() {
				t.Errorf("step %s is %s", s.Name, s.State)
			}
		}
		// guard, hand over and drain begin together.
		beside := func(name string) bool { return name == "hand over" || name == "drain" }
		got := strings.Join(slices.DeleteFunc(names, beside), " · ")
		if want := strings.Join(slices.DeleteFunc(pipeline.StepNames(), beside), " · "); got != want || len(names) != len(pipeline.StepNames()) {
			t.Errorf("steps: %s\nwant:  %s", got, want)
		}
	})
}

func TestRun_FailuresBeforeTheCutoverLeaveTheOldVersionAlone(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		files    map[string]string
		behavior pipelinetest.Behavior
		reason   string
	}{
		"the build fails":         {behavior: pipelinetest.Behavior{BuildError: errors.New("RUN make: exit code 2")}, reason: "exit code 2"},
		"there is no Dockerfile":  {files: map[string]string{"README": "hello"}, reason: "Dockerfile"},
		"the server ends at once": {behavior: pipelinetest.Behavior{ExitAfter: time.Nanosecond, ExitCode: 3, Output: "no module named shop\n"}, reason: "exit code 3"},
		"the server answers 500":  {behavior: pipelinetest.Behavior{Status: 500}, reason: "500"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
				sha := w.Forge().Push("main", c.files)
				w.Engine().Behave(sha, c.behavior)
				before := w.Engine().Containers()
				d := deploy(t, w, sha, pipeline.Push)
				d = wantState(t, w, d.ID, pipeline.Failed)
				if !strings.Contains(d.Reason, c.reason) {
					t.Errorf("reason %q does not tell of %q", d.Reason, c.reason)
				}
				if out := c.behavior.Output; !strings.Contains(w.Ledger().LogText(d.ID), out) {
					t.Errorf("log lacks the container's output %q:\n%s", out, w.Ledger().LogText(d.ID))
				}
				wantState(t, w, old.ID, pipeline.Live)
				wantServed(t, w, old.ID)
				if after := w.Engine().Containers(); fmt.Sprint(after) != fmt.Sprint(before) {
					t.Errorf("the old containers were touched: %v\nbefore: %v", after, before)
				}
			})
		})
	}
}

func TestRun_AVersionThatDiesUnderGuardIsSwungBack(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		sha := w.Forge().Push("main", nil)
		w.Engine().Behave(sha, pipelinetest.Behavior{ExitAfter: 5 * time.Second, ExitCode: 1})
		d := deploy(t, w, sha, pipeline.Push)
		wantState(t, w, d.ID, pipeline.RolledBack)
		wantState(t, w, old.ID, pipeline.Live)
		wantServed(t, w, old.ID)
		if got := w.Proxy().Served(); len(got) != 3 || got[1] != d.ID || got[2] != old.ID {
			t.Errorf("visitors were on %v", got)
		}
	})
}

func TestRun_TheFirstVersionFailingUnderGuardLeavesNoRoute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := pipelinetest.New()
		sha := w.Forge().Push("main", nil)
		w.Engine().Behave(sha, pipelinetest.Behavior{ExitAfter: 5 * time.Second, ExitCode: 1})
		d := deploy(t, w, sha, pipeline.Push)
		wantState(t, w, d.ID, pipeline.RolledBack)
		if at := w.Proxy().Serving(w.Ledger().App().ID); at != "" {
			t.Errorf("visitors are on %s", at)
		}
		if there := w.Engine().Containers(); len(there) != 0 {
			t.Errorf("left behind: %v", there)
		}
	})
}

// drained is a deployment that waited for a request on the color of the old one,
// which stays open.
func drained(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) pipeline.Deployment {
	t.Helper()
	w.Proxy().SetInflight(old.ID, 1)
	d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(t.Context(), d.ID) }()
	time.Sleep(25 * time.Second) // bubble time: past the guard, before the limit
	wantState(t, w, d.ID, pipeline.Live)
	if n := len(w.Engine().Containers()); n != 2 {
		t.Fatalf("%d containers while a request is open on the old color", n)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRun_TheOldColorStopsOnlyWhenNothingIsOpenOrAtTheLimit(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		begun := time.Now()
		d := drained(t, w, old)
		if took := time.Since(begun); took < 30*time.Second || took > 31*time.Second {
			t.Errorf("the drain limit of 30 s ended after %s", took)
		}
		wantServed(t, w, d.ID)
	})
}

func TestRun_AnOperatorCancels(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after time.Duration
		want  pipeline.State
	}{
		"while it probes":  {after: time.Second, want: pipeline.Canceled},
		"while it watches": {after: 5 * time.Second, want: pipeline.RolledBack},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
				sha := w.Forge().Push("main", nil)
				if c.want == pipeline.Canceled {
					w.Engine().Behave(sha, pipelinetest.Behavior{Status: 503})
				}
				d := w.Ledger().Queue(sha, pipeline.Push)
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(c.after, func() { cancel(pipeline.ErrCanceled) })
				if err := w.Run(ctx, d.ID); err != nil {
					t.Fatal(err)
				}
				d = wantState(t, w, d.ID, c.want)
				if d.Reason != pipeline.ErrCanceled.Error() {
					t.Errorf("reason: %s", d.Reason)
				}
				wantServed(t, w, old.ID)
			})
		})
	}
}

func TestRun_AnOlderPushIsSupersededByTheHead(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		first := w.Forge().Push("main", nil)
		head := w.Forge().Push("main", nil)
		d := deploy(t, w, first, pipeline.Push)
		wantState(t, w, d.ID, pipeline.Superseded)
		all := w.Ledger().All()
		last := all[len(all)-1]
		if last.Commit != head || last.State != pipeline.Queued {
			t.Errorf("the head was not queued: %+v", last)
		}
		wantServed(t, w, old.ID)
	})
}

func TestRun_AForceWhoseCommitIsGoneEndsAtTheHead(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		gone := w.Forge().Push("elsewhere", nil)
		begun := time.Now()
		d := deploy(t, w, gone, pipeline.Push)
		wantState(t, w, d.ID, pipeline.Superseded)
		if waited := time.Since(begun); waited < time.Minute {
			t.Errorf("the forge was given only %s to catch up", waited)
		}
		wantServed(t, w, old.ID)
	})
}

func TestRun_ALaggingForgeIsAskedAgain(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		sha := w.Forge().Push("main", nil)
		w.Forge().SetHead("main", old.Commit)
		time.AfterFunc(10*time.Second, func() { w.Forge().SetHead("main", sha) })
		d := deploy(t, w, sha, pipeline.Push)
		wantState(t, w, d.ID, pipeline.Live)
	})
}

func TestRun_AManualDeploymentDeploysWhatWasAsked(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		older := w.Forge().Push("main", nil)
		w.Forge().Push("main", nil)
		d := deploy(t, w, older, pipeline.Manual)
		wantState(t, w, d.ID, pipeline.Live)
	})
}

func TestRun_AnEmptyProbePathAsksForAConnectionOnly(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		w.Ledger().SetOverlay("services: {web: {x-swingbridge: {probe: {path: ''}}}}")
		sha := w.Forge().Push("main", nil)
		w.Engine().Behave(sha, pipelinetest.Behavior{Status: 500})
		d := deploy(t, w, sha, pipeline.Push)
		wantState(t, w, d.ID, pipeline.Live)
	})
}

func TestRun_ARollbackNeedsNeitherForgeNorBuild(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		d := w.Ledger().QueueRollback(old)
		w.Fail = func(call string, _ bool) error {
			if strings.HasPrefix(call, "forge.") || call == "engine.Build" {
				return errors.New("must not be needed")
			}
			return nil
		}
		if err := w.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		d = wantState(t, w, d.ID, pipeline.Live)
		if d.ReleaseID != old.ReleaseID {
			t.Errorf("release %s, want %s", d.ReleaseID, old.ReleaseID)
		}
		wantServed(t, w, d.ID)
	})
}

func TestRun_AShutdownLeavesTheDeploymentToTheNextStart(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		sha := w.Forge().Push("main", nil)
		w.Engine().Behave(sha, pipelinetest.Behavior{Status: 503})
		d := w.Ledger().Queue(sha, pipeline.Push)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Run(ctx, d.ID); !errors.Is(err, pipeline.ErrInterrupted) {
			t.Fatalf("run: %v", err)
		}
		wantState(t, w, d.ID, pipeline.Running)
		w.Engine().Behave(sha, pipelinetest.Behavior{})
		if err := w.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		if d = wantState(t, w, d.ID, pipeline.Live); d.Attempt != 2 {
			t.Errorf("attempt %d", d.Attempt)
		}
		wantServed(t, w, d.ID)
	})
}
