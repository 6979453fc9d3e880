package pipeline_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

// Stopping is closed a moment before the queue cancels what runs. The restart
// policy is set beside the swing, which may be over by then.
func TestRun_AStopDuringTheCutoverLeavesItToTheNextStart(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"engine.SetRestart", "proxy.Entry"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
				w.Stopping = make(chan struct{})
				d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
				ctx, cancel := context.WithCancelCause(t.Context())
				closed := false
				w.Fail = func(call string, _ bool) error {
					if call == at && !closed {
						closed = true
						close(w.Stopping)
						time.AfterFunc(10*time.Millisecond, func() { cancel(errors.New("the server is shutting down")) })
						time.Sleep(time.Millisecond) // bubble time: the stop arrives during the call
					}
					return nil
				}
				if err := w.Run(ctx, d.ID); !errors.Is(err, pipeline.ErrInterrupted) {
					t.Errorf("run: %v", err)
				}
				if at == "proxy.Entry" || w.Proxy().Serving(w.Ledger().App().ID) == old.ID {
					wantState(t, w, d.ID, pipeline.CuttingOver)
				}
				visitorsAreServed(t, w)
				w.Fail, w.Stopping = nil, nil
				if err := w.Run(t.Context(), d.ID); err != nil {
					t.Fatal(err)
				}
				wantState(t, w, d.ID, pipeline.Live)
				wantServed(t, w, d.ID)
			})
		})
	}
}

func TestRun_AProxyThatIsAwayDuringAnUndoIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, swingsFirst := range map[string]bool{"before it swings back": false, "after it swung back": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
				sha := w.Forge().Push("main", nil)
				w.Engine().Behave(sha, pipelinetest.Behavior{ExitAfter: 3 * time.Second, ExitCode: 1})
				d := w.Ledger().Queue(sha, pipeline.Push)
				var swung []time.Time
				from := time.Time{}
				w.Fail = func(call string, after bool) error {
					if call == "proxy.Swing" && after {
						swung = append(swung, time.Now())
					}
					died := len(swung) > 0 && time.Since(swung[0]) > 2900*time.Millisecond
					if from.IsZero() && (!swingsFirst && died || swingsFirst && len(swung) == 2) {
						from = time.Now()
						return nil
					}
					if from.IsZero() || time.Since(from) >= 6*time.Minute || !strings.HasPrefix(call, "proxy.") {
						return nil
					}
					return pipeline.ErrUnreachable
				}
				if err := w.Run(t.Context(), d.ID); !errors.Is(err, pipeline.ErrUnreachable) {
					t.Errorf("run: %v", err)
				}
				wantState(t, w, d.ID, pipeline.Watching)
				time.Sleep(6 * time.Minute) // bubble time
				if err := w.Run(t.Context(), d.ID); err != nil {
					t.Fatal(err)
				}
				wantState(t, w, d.ID, pipeline.RolledBack)
				wantServed(t, w, old.ID)
			})
		})
	}
}

func TestRun_SecretsReachNoErrorOfAnUndoInAnySpelling(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		ledger, runner := edit(w)
		ledger.env = map[string]string{"SHORT": "hunter2", "LONG": "hunter2-and-more", "ODD": `pass"word\x`}
		sha := w.Forge().Push("main", nil)
		w.Engine().Behave(sha, pipelinetest.Behavior{Status: 503})
		d := w.Ledger().Queue(sha, pipeline.Push)
		w.Fail = func(call string, _ bool) error {
			if call == "engine.Remove" {
				return errors.New(`bad: hunter2-and-more, "pass\"word\\x"`)
			}
			return nil
		}
		if err := runner.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		d = wantState(t, w, d.ID, pipeline.Stuck)
		for _, said := range []string{d.Reason, d.Steps[len(d.Steps)-1].Error} {
			if !strings.Contains(said, `bad: ***, "***"`) {
				t.Errorf("told: %s", said)
			}
		}
	})
}
