package pipeline_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

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
	w.Revive()
	watched(t, w)
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

// pushed is a world in which a version is live and a push waits that behaves so.
func pushed(b pipelinetest.Behavior) begun {
	return func(t *testing.T) (*pipelinetest.World, string) {
		w := pipelinetest.New()
		w.Ledger().SetOverlay(shortGuard)
		wantState(t, w, deploy(t, w, w.Forge().Push("main", nil), pipeline.Push).ID, pipeline.Live)
		sha := w.Forge().Push("main", nil)
		w.Engine().Behave(sha, b)
		return w, w.Ledger().Queue(sha, pipeline.Push).ID
	}
}

// Whenever the server dies, the push ends as if it had not, and visitors are
// served meanwhile, unless the version itself dies under them.
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
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachDeath(t, pushed(c.behavior), func(t *testing.T, w *pipelinetest.World, id string) {
				if c.behavior.ExitAfter == 0 {
					visitorsAreServed(t, w)
				}
				startAgain(t, w)
				serves := w.Ledger().All()[0].ID
				if d := wantEnd(t, w, id, c.want); d.State == pipeline.Live {
					serves = id
				}
				wantServed(t, w, serves)
				if e := entryOf(t, w); e.Preview != nil {
					t.Errorf("a preview of %s is left behind", e.Preview.Deployment)
				}
			})
		})
	}
}

// wantEnd is wantState, but that a container that dies after a while may be seen
// dead by a late probe already.
func wantEnd(t *testing.T, w *pipelinetest.World, id string, want pipeline.State) pipeline.Deployment {
	t.Helper()
	if d := w.Ledger().All()[1]; want == pipeline.RolledBack && d.ID == id && d.State == pipeline.Failed {
		want = pipeline.Failed
	}
	return wantState(t, w, id, want)
}

func TestRun_AnyCallMayFailWithoutHarmToVisitors(t *testing.T) {
	t.Parallel()
	boom := errors.New("input/output error")
	eachFailure(t, boom, pushed(pipelinetest.Behavior{}), func(t *testing.T, w *pipelinetest.World, failed failure) {
		visitorsAreServed(t, w)
		if failed.said != nil {
			startAgain(t, w) // what cannot be journaled is tried again
		}
		visitorsAreServed(t, w)
		if d := w.Ledger().All()[1]; d.ID != failed.id || !d.State.Ended() {
			t.Errorf("run said %v, deployment is %s (%s)\n%s", failed.said, d.State, d.Reason, w.Ledger().LogText(d.ID))
		}
	})
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
