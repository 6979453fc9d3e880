package pipeline_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

// Each record waits for the disk; a push that visitors wait for has one per
// step.
func TestRun_AStepEndsAndTheNextBeginsInOneRecord(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		before := len(w.Calls())
		deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		var records []string
		for _, call := range w.Calls()[before:] {
			line, is := strings.CutPrefix(call, "ledger.Record ")
			if is && line != "hand over skipped" && line != "drain done" { // beside the guard, in either order
				records = append(records, line)
			}
		}
		if diff := cmp.Diff([]string{
			"fetch running, to running",
			"fetch done, plan running",
			"plan done, build running, to running",
			"build done, keep skipped, release skipped, start running",
			"start done, probe running",
			"probe done, hand over early skipped, cut over running, to cutting_over",
			"cut over done, guard running, hand over running, drain running, to watching",
			"guard done, to live",
			"stop old running",
			"stop old done, prune running",
			"prune done",
		}, records); diff != "" {
			t.Error(diff)
		}
	})
}

// actsIn says which step changes the world outside by which call.
func actsIn() map[string]string {
	return map[string]string{
		"forge.Fetch": "fetch", "engine.Build": "build", "engine.Ensure": "start", "engine.Start": "start",
		"engine.Dial": "probe", "proxy.Swing": "cut over", "proxy.Prove": "cut over", "proxy.Inflight": "drain",
		"engine.Stop": "stop old", "engine.Remove": "stop old", "engine.PruneImages": "prune",
	}
}

func TestRun_AStepIsWrittenDownBeforeItActs(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		seen := map[string]bool{}
		w.Fail = func(call string, after bool) error {
			step, acts := actsIn()[call]
			if !acts || after {
				return nil
			}
			seen[call] = true
			steps := w.Ledger().All()[1].Steps
			if !slices.ContainsFunc(steps, func(s pipeline.StepRecord) bool { return s.Name == step && s.State == pipeline.StepRunning }) {
				t.Errorf("%s came while the journal said %+v", call, steps)
			}
			return nil
		}
		if err := w.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		if len(seen) != len(actsIn()) {
			t.Errorf("looked at %v only", seen)
		}
	})
}

// What could not be written is done again, not guessed about.
func TestRun_ARecordThatCannotBeWrittenIsNoFailureOfTheVersion(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"build done, keep skipped, release skipped, start running", "probe done, hand over early skipped, cut over running, to cutting_over", "guard done, to live"} {
		for _, written := range []bool{false, true} {
			t.Run(line, func(t *testing.T) {
				t.Parallel()
				inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
					d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
					w.Fail = func(call string, after bool) error {
						if call == "ledger.Record "+line && after == written {
							return errors.New("commit: disk I/O error")
						}
						return nil
					}
					if err := w.Run(t.Context(), d.ID); err == nil {
						t.Error("the run says that it has ended")
					}
					w.Fail = nil
					visitorsAreServed(t, w)
					if err := w.Run(t.Context(), d.ID); err != nil {
						t.Fatal(err)
					}
					wantState(t, w, d.ID, pipeline.Live)
					wantServed(t, w, d.ID)
				})
			})
		}
	}
}
