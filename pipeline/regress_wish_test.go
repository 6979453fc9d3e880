package pipeline_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

// The press was answered; the run's context does not know of it when the guard
// has seen enough, or knows of it too late.
func TestRun_AWishThatWasWrittenDownBeforeTheGuardsEndWins(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]time.Duration{"never heard of": time.Hour, "heard of during the end": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
				w.Proxy().SetInflight(old.ID, 1)
				d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				w.Fail = func(call string, after bool) error {
					if call == "ledger.Record guard done, to live" && !after {
						w.Ledger().Wish(d.ID, pipeline.ErrRollBack)
						if late == 0 {
							cancel(pipeline.ErrRollBack)
						}
					}
					return nil
				}
				if err := w.Run(ctx, d.ID); err != nil {
					t.Fatal(err)
				}
				d = wantState(t, w, d.ID, pipeline.RolledBack)
				if d.Reason != pipeline.ErrRollBack.Error() {
					t.Errorf("reason: %s", d.Reason)
				}
				for _, s := range d.Steps {
					if s.EndedAt.IsZero() || s.Name == "guard" && s.State != pipeline.StepFailed {
						t.Errorf("step %s is %s", s.Name, s.State)
					}
				}
				wantState(t, w, old.ID, pipeline.Live)
				wantServed(t, w, old.ID)
			})
		})
	}
}

func TestRun_ACancelOfALiveDeploymentEndsNothing(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		w.Proxy().SetInflight(old.ID, 1)
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		begun := time.Now()
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(25*time.Second, func() { // past the guard, before the drain's limit
			cancel(pipeline.ErrCanceled)
		})
		if err := w.Run(ctx, d.ID); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < 30*time.Second {
			t.Errorf("the drain of 30 s and the run ended after %s", took)
		}
		for _, s := range wantState(t, w, d.ID, pipeline.Live).Steps {
			if s.State != pipeline.StepDone && !idle(s) {
				t.Errorf("step %s is %s: %s", s.Name, s.State, s.Error)
			}
		}
		wantServed(t, w, d.ID)
	})
}

func TestRun_AStopDuringTheDrainBesideTheGuardLeavesItToTheNextStart(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		w.Proxy().SetInflight(old.ID, 1)
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(25*time.Second, func() { cancel(errors.New("the server is shutting down")) })
		if err := w.Run(ctx, d.ID); !errors.Is(err, pipeline.ErrInterrupted) {
			t.Fatalf("run: %v", err)
		}
		wantState(t, w, d.ID, pipeline.Live)
		if err := w.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		wantServed(t, w, d.ID)
	})
}
