package pipeline_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

func modeOf(t *testing.T, w *pipelinetest.World) pipeline.ModeKind {
	t.Helper()
	m, err := w.Proxy().Mode(t.Context(), w.Ledger().App().ID)
	if err != nil {
		t.Fatal(err)
	}
	return m.Kind
}

func TestReconcile_ModesFollowTheRecords(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		ledger, runner := edit(w)
		look := func(want pipeline.ModeKind) {
			t.Helper()
			if err := runner.Reconcile(t.Context(), ledger.Current); err != nil {
				t.Fatal(err)
			}
			if got := modeOf(t, w); got != want {
				t.Errorf("the proxy has the mode %s, want %s", got, want)
			}
		}
		look(pipeline.ModeServe)
		ledger.app.Mode = pipeline.Mode{Kind: pipeline.ModeHold, Until: time.Now().Add(time.Minute)}
		look(pipeline.ModeHold)
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		if err := runner.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, d.ID, pipeline.Live)
		time.Sleep(2 * time.Minute) // of synctest's clock
		look(pipeline.ModeServe)
		ledger.app.Mode = pipeline.Mode{Kind: pipeline.ModeMaintenance}
		look(pipeline.ModeMaintenance)
		// The proxy lost the app, and gets its mode back with its entry.
		if err := w.Proxy().Drop(t.Context(), ledger.app.ID); err != nil {
			t.Fatal(err)
		}
		look(pipeline.ModeMaintenance)
		ledger.app.Mode = pipeline.Mode{}
		look(pipeline.ModeServe)
	})
}

// Between reading the apps and asking the proxy an operator may change a mode.
func TestReconcile_ANewerModeIsNotTakenBack(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		ledger, runner := edit(w)
		stale := func(ctx context.Context) ([]pipeline.App, []pipeline.Deployment, error) {
			apps, active, err := ledger.Current(ctx)
			ledger.app.Mode = pipeline.Mode{Kind: pipeline.ModeMaintenance}
			if err == nil {
				err = w.Proxy().SetMode(ctx, ledger.app.ID, ledger.app.Mode)
			}
			return apps, active, err
		}
		if err := runner.Reconcile(t.Context(), stale); err != nil {
			t.Fatal(err)
		}
		if got := modeOf(t, w); got != pipeline.ModeMaintenance {
			t.Errorf("the operator's mode became %s", got)
		}
	})
}

func TestRun_TheFirstDeploymentBringsTheModeThatWaitedForIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := pipelinetest.New()
		ledger, runner := edit(w)
		ledger.app.Mode = pipeline.Mode{Kind: pipeline.ModeMaintenance}
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		if err := runner.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, d.ID, pipeline.Live)
		if got := modeOf(t, w); got != pipeline.ModeMaintenance {
			t.Errorf("the proxy has the mode %s", got)
		}
		calls := w.Calls()
		if set, proof := slices.Index(calls, "proxy.SetMode"), slices.Index(calls, "proxy.Prove"); set < 0 || set > proof {
			t.Errorf("the mode came with call %d, the proof was call %d", set, proof)
		}
	})
}
