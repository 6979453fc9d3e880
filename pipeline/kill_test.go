package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

// at makes Fail answer err at the nth call made from now on, before or after
// the call has had its effect.
func at(n int, after bool, err error) (fail func(string, bool) error, hit func() string) {
	seen, where := 0, ""
	return func(call string, isAfter bool) error {
		if call == "proxy.Visits" {
			return nil // it is not listed among the calls
		}
		if !isAfter {
			seen++
		}
		if seen == n && isAfter == after && where == "" {
			where = call
			return err
		}
		return nil
	}, func() string { return where }
}

// shortGuard keeps the calls few that a run makes; the preview is there to be
// left behind.
const shortGuard = "x-swingbridge: {guard: 4s, preview: green.example.org}"

// visitorsAreServed is the promise that holds at every instant: where visitors
// are sent, a container runs.
func visitorsAreServed(t *testing.T, w *pipelinetest.World) {
	t.Helper()
	to := w.Proxy().Serving(w.Ledger().App().ID)
	for _, c := range w.Engine().Containers() {
		if c.Owner.Deployment == to && c.Running {
			return
		}
	}
	t.Errorf("visitors are sent to %q, which does not run: %+v", to, w.Engine().Containers())
}

// startAgain does what a server does at its start: reconcile, then take up
// what was interrupted.
func startAgain(t *testing.T, w *pipelinetest.World) {
	t.Helper()
	w.Fail = nil
	w.Revive()
	if err := w.Runner().Reconcile(t.Context(), w.Ledger().Current); err != nil {
		t.Fatalf("reconcile: %v", err)
	}
	for _, d := range w.Ledger().All() {
		if d.State != pipeline.Retired {
			if err := w.Run(t.Context(), d.ID); err != nil {
				t.Fatalf("take up %s: %v", d.ID, err)
			}
		}
	}
}

func TestRun_KilledAtAnyCallItEndsAsIfItHadNotBeen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		behavior pipelinetest.Behavior
		want     pipeline.State
	}{
		"good push":           {want: pipeline.Live},
		"push that ends":      {behavior: pipelinetest.Behavior{ExitAfter: time.Nanosecond, ExitCode: 1}, want: pipeline.Failed},
		"push that dies late": {behavior: pipelinetest.Behavior{ExitAfter: 3 * time.Second, ExitCode: 1}, want: pipeline.RolledBack},
	} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after=%t", name, after), func(t *testing.T) {
				t.Parallel()
				for n, done := 1, false; !done; n++ {
					done = killedAt(t, n, after, c.behavior, c.want)
				}
			})
		}
	}
}

// killedAt kills the server at the nth call and starts it again; true when the
// run has fewer calls.
func killedAt(t *testing.T, n int, after bool, b pipelinetest.Behavior, want pipeline.State) (done bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := pipelinetest.New()
		w.Ledger().SetOverlay(shortGuard)
		old := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		sha := w.Forge().Push("main", nil)
		w.Engine().Behave(sha, b)
		d := w.Ledger().Queue(sha, pipeline.Push)
		before := len(w.Calls())
		fail, hit := at(n, after, pipelinetest.ErrKilled)
		w.Fail = fail
		if err := w.Run(context.Background(), d.ID); err != nil && hit() == "" {
			t.Fatal(err)
		}
		w.Fail = nil
		done = n > len(w.Calls())-before
		if hit() != "" {
			visitorsAreServedAfterKill(t, w, b)
			startAgain(t, w)
		}
		got, err := w.Ledger().Deployment(t.Context(), d.ID)
		if err != nil {
			t.Fatal(err)
		}
		// A container that dies after 3 s may be seen dead by a late probe.
		if got.State != want && !(want == pipeline.RolledBack && got.State == pipeline.Failed) {
			t.Errorf("killed at call %d (%s, after=%t): %s (%s), want %s\n%s", n, hit(), after, got.State, got.Reason, want, w.Ledger().LogText(d.ID))
		}
		serving := old.ID
		if got.State == pipeline.Live {
			serving = d.ID
		}
		wantServed(t, w, serving)
		if e := entryOf(t, w); e.Preview != nil {
			t.Errorf("a preview of %s is left behind", e.Preview.Deployment)
		}
		if t.Failed() {
			t.Fatalf("killed at call %d (%s, after=%t)\n%s", n, hit(), after, w.Ledger().LogText(d.ID))
		}
	})
	return done || t.Failed()
}

// visitorsAreServedAfterKill holds while no server runs, unless the version
// itself has died under the visitors.
func visitorsAreServedAfterKill(t *testing.T, w *pipelinetest.World, b pipelinetest.Behavior) {
	t.Helper()
	if b.ExitAfter == 0 {
		visitorsAreServed(t, w)
	}
}

func TestRun_AnyCallMayFailWithoutHarmToVisitors(t *testing.T) {
	t.Parallel()
	boom := errors.New("input/output error")
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after=%t", after), func(t *testing.T) {
			t.Parallel()
			for n, done := 1, false; !done; n++ {
				synctest.Test(t, func(t *testing.T) {
					w := pipelinetest.New()
					w.Ledger().SetOverlay(shortGuard)
					deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
					d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
					before := len(w.Calls())
					fail, hit := at(n, after, boom)
					w.Fail = fail
					err := w.Run(t.Context(), d.ID)
					done = n > len(w.Calls())-before
					w.Fail = nil
					visitorsAreServed(t, w)
					if err != nil {
						startAgain(t, w) // what cannot be journaled is tried again
					}
					visitorsAreServed(t, w)
					got, derr := w.Ledger().Deployment(t.Context(), d.ID)
					if derr != nil || !got.State.Ended() {
						t.Errorf("call %d (%s): run said %v, deployment is %s (%s)\n%s", n, hit(), err, got.State, got.Reason, w.Ledger().LogText(d.ID))
						done = true
					}
				})
				done = done || t.Failed()
			}
		})
	}
}

// The control: a world in which the swing happens but is not remembered must
// be found out by the check above.
func TestVisitorsAreServed_FindsARouteToNowhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := pipelinetest.New()
		d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		for _, c := range w.Engine().Containers() {
			if err := w.Engine().Stop(t.Context(), c.ID); err != nil {
				t.Fatal(err)
			}
		}
		probe := &testing.T{}
		func() {
			defer func() { _ = recover() }()
			visitorsAreServed(probe, w)
		}()
		if !probe.Failed() {
			t.Errorf("a stopped container of %s went unnoticed", d.ID)
		}
	})
}
