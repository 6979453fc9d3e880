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

func TestReconcile_RoutesChangedWhileLiveMoveNobodyUntilTheNextDeployment(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		before := entryOf(t, w)
		ledger, runner := edit(w)
		ledger.app.Routes = []pipeline.Route{{Host: "shop.example.org", Service: "web", Port: 9999}}
		if err := runner.Reconcile(t.Context(), ledger.Current); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fmt.Sprint(before), fmt.Sprint(entryOf(t, w))); diff != "" {
			t.Errorf("the table changed without a deployment: %s", diff)
		}
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		if err := runner.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, d.ID, pipeline.Live)
		if to := entryOf(t, w).Paths[0].Targets[0]; to.Port() != 9999 {
			t.Errorf("after the next deployment visitors reach %s", to)
		}
	})
}

// alwaysServed fails the test at the call after which visitors are sent to
// nothing that runs.
func alwaysServed(t *testing.T, w *pipelinetest.World) {
	t.Helper()
	w.Fail = func(call string, after bool) error {
		if visitorsAreServed(t, w); t.Failed() {
			t.Fatalf("at %s, after=%t", call, after)
		}
		return nil
	}
}

// stick leaves a deployment stuck that visitors are on: an operator wants it
// back, and the proxy refuses call.
func stick(t *testing.T, w *pipelinetest.World, call string) pipeline.Deployment {
	t.Helper()
	d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
	watched := false
	w.Fail = func(name string, after bool) error {
		watched = watched || strings.HasSuffix(name, "to watching")
		if watched && name == call && !after {
			return errors.New("disk full")
		}
		return nil
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(5*time.Second, func() { cancel(pipeline.ErrRollBack) })
	if err := w.Run(ctx, d.ID); err != nil {
		t.Fatal(err)
	}
	w.Fail = nil
	if at := w.Proxy().Serving(w.Ledger().App().ID); at != d.ID {
		t.Fatalf("visitors are on %q", at)
	}
	return wantState(t, w, d.ID, pipeline.Stuck)
}

func TestReconcile_PointsBeforeItEndsWhatAPersonResolved(t *testing.T) {
	t.Parallel()
	for _, as := range []pipeline.State{pipeline.RolledBack, pipeline.Live} {
		t.Run(string(as), func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
				d := stick(t, w, "proxy.Swing")
				m, serves := pipeline.Move{Deployment: d.ID, From: pipeline.Stuck, To: as}, old.ID
				if as == pipeline.Live {
					m.Retire, serves = old.ID, d.ID
				}
				if err := w.Ledger().Move(t.Context(), m); err != nil {
					t.Fatal(err)
				}
				alwaysServed(t, w)
				reconcile(t, w)
				wantServed(t, w, serves)
			})
		})
	}
}

func TestReconcile_AFirstDeploymentResolvedAsFailedLeavesNoRoute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := pipelinetest.New()
		d := stick(t, w, "proxy.Drop")
		if err := w.Ledger().Move(t.Context(), pipeline.Move{Deployment: d.ID, From: pipeline.Stuck, To: pipeline.Failed}); err != nil {
			t.Fatal(err)
		}
		w.Fail = func(call string, after bool) error {
			if at := w.Proxy().Serving(w.Ledger().App().ID); call == "engine.Stop" && at != "" {
				t.Errorf("visitors were on %s when it was stopped", at)
			}
			return nil
		}
		reconcile(t, w)
		if at := w.Proxy().Serving(w.Ledger().App().ID); at != "" {
			t.Errorf("visitors are sent to %s", at)
		}
		if there := w.Engine().Containers(); len(there) != 0 {
			t.Errorf("left behind: %v", there)
		}
	})
}

func TestReconcile_AStaleListDoesNotSwingBackToARetiredColor(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		w.Proxy().SetInflight(old.ID, 1) // it runs on after the new one went live
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		ended := make(chan error, 1)
		current := func(ctx context.Context) ([]pipeline.App, []pipeline.Deployment, error) {
			apps, active, err := w.Ledger().Current(ctx)
			go func() { ended <- w.Run(ctx, d.ID) }()
			time.Sleep(20 * time.Second) // bubble time: past the guard, before the drain limit
			return apps, active, err
		}
		if err := w.Runner().Reconcile(t.Context(), current); err != nil {
			t.Error(err)
		}
		wantState(t, w, d.ID, pipeline.Live)
		if served := w.Proxy().Served(); served[len(served)-1] != d.ID {
			t.Errorf("visitors were on %v", served)
		}
		w.Proxy().SetInflight(old.ID, 0)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		wantServed(t, w, d.ID)
	})
}
