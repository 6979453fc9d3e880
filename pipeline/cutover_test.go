package pipeline_test

import (
	"errors"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

func TestRun_AnEngineThatRefusesTheRestartPolicySwingsVisitorsBack(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		refused := false
		w.Fail = func(call string, _ bool) error {
			visitorsAreServed(t, w)
			if call == "engine.SetRestart" && !refused {
				refused = true
				return errors.New("cannot update container: permission denied")
			}
			return nil
		}
		if err := w.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, d.ID, pipeline.RolledBack)
		wantServed(t, w, old.ID)
	})
}

// The machine lost its power between the swing and the restart policy: the
// engine starts the old color again and not the new one, to which the proxy
// sends visitors.
func TestRun_AMachineThatFailsDuringTheCutoverIsServedByTheOldColor(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		w.Fail = func(call string, after bool) error {
			if call == "proxy.Swing" && after {
				return pipelinetest.ErrKilled
			}
			return nil
		}
		if err := w.Run(t.Context(), d.ID); err == nil {
			t.Fatal("the killed run ended")
		}
		w.Fail = nil
		w.Revive()
		for _, c := range w.Engine().Containers() {
			if c.Owner.Deployment == d.ID {
				if err := errors.Join(w.Engine().SetRestart(t.Context(), c.ID, false), w.Engine().Stop(t.Context(), c.ID)); err != nil {
					t.Fatal(err)
				}
			}
		}
		startAgain(t, w)
		wantState(t, w, d.ID, pipeline.RolledBack)
		wantServed(t, w, old.ID)
	})
}
