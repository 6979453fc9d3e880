package pipeline_test

import (
	"strings"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

// commands counts the starts of release commands.
func commands(w *pipelinetest.World) func(call string, after bool) int {
	seen := map[string]time.Time{}
	return func(string, bool) int {
		for _, c := range w.Engine().Containers() {
			if c.Purpose != "" && !c.StartedAt.IsZero() {
				seen[c.ID+c.StartedAt.String()] = c.StartedAt
			}
		}
		return len(seen)
	}
}

func TestCommand_RunsBeforeAnythingStarts(t *testing.T) {
	t.Parallel()
	inStack(t, "after", func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		count := commands(w)
		w.Fail = func(call string, after bool) error {
			done := count(call, after)
			for _, c := range w.Engine().Containers() {
				if c.Owner.Deployment != old.ID && c.Purpose == "" && c.Running && done == 0 {
					t.Errorf("%s runs and the command has not", c.Name)
				}
			}
			return nil
		}
		d := deploy(t, w, w.Forge().Push("main", withWorkers("after")), pipeline.Push)
		wantState(t, w, d.ID, pipeline.Live)
		if n := count("", true); n != 1 {
			t.Errorf("it ran %d times", n)
		}
	})
}

func TestCommand_ThatFailsLeavesTheOldReleaseAlone(t *testing.T) {
	t.Parallel()
	inStack(t, "after", func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		sha := w.Forge().Push("main", withWorkers("after"))
		w.Engine().BehaveAs(sha, "release", pipelinetest.Behavior{ExitAfter: time.Second, ExitCode: 4, Output: "no such column\n"})
		d := wantState(t, w, deploy(t, w, sha, pipeline.Push).ID, pipeline.Failed)
		if !strings.Contains(d.Reason, `service web: "migrate" ended with exit code 4`) || !strings.Contains(w.Ledger().LogText(d.ID), "no such column") {
			t.Errorf("reason %q, log %s", d.Reason, w.Ledger().LogText(d.ID))
		}
		wantVisitors(t, w, old.ID)
		wantRunning(t, w, old.Commit)
	})
}

func TestCommand_ThatTakesTooLongIsStopped(t *testing.T) {
	t.Parallel()
	inStack(t, "after", func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		sha := w.Forge().Push("main", withWorkers("after"))
		w.Engine().BehaveAs(sha, "release", pipelinetest.Behavior{ExitAfter: time.Hour})
		d := wantState(t, w, deploy(t, w, sha, pipeline.Push).ID, pipeline.Failed)
		if !strings.Contains(d.Reason, "not done within 10m0s") {
			t.Errorf("reason %q", d.Reason)
		}
		wantRunning(t, w, old.Commit)
	})
}

func TestCommand_NeverRunsTwiceForARelease(t *testing.T) {
	t.Parallel()
	for _, at := range momentsOf(t, "after") {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			inStack(t, "after", func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
				count, name := commands(w), naming()
				sha := w.Forge().Push("main", withWorkers("after"))
				d := w.Ledger().Queue(sha, pipeline.Push)
				w.Fail = func(call string, after bool) error {
					count(call, after)
					if name(call, after) == at {
						return pipelinetest.ErrKilled
					}
					return nil
				}
				_ = w.Run(t.Context(), d.ID) // killed: what it says does not count
				w.Revive()
				w.Fail = func(call string, after bool) error { count(call, after); return nil }
				if err := w.Run(t.Context(), d.ID); err != nil {
					t.Fatal(err)
				}
				wantState(t, w, d.ID, pipeline.Live)
				back := w.Ledger().QueueRollback(old)
				if err := w.Run(t.Context(), back.ID); err != nil {
					t.Fatal(err)
				}
				wantState(t, w, back.ID, pipeline.Live)
				if n := count("", true); n != 1 {
					t.Errorf("it ran %d times", n)
				}
			})
		})
	}
}
