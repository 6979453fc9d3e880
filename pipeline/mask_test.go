package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

const (
	oldSecret = "hunter2-of-spring"
	newSecret = "hunter2-of-autumn"
)

// wantUntold checks that both secrets are kept from the deployment's log and
// reached neither its reason nor its steps.
func wantUntold(t *testing.T, w *pipelinetest.World, d pipeline.Deployment) {
	t.Helper()
	if masked := w.Ledger().Masked(d.ID); !slices.Contains(masked, oldSecret) || !slices.Contains(masked, newSecret) {
		t.Errorf("only %d values are masked in the log", len(masked))
	}
	text := d.Reason
	for _, s := range d.Steps {
		text += "\n" + s.Detail + "\n" + s.Error
	}
	if strings.Contains(text, "hunter2") || !strings.Contains(text, "***") {
		t.Errorf("told: %s", text)
	}
}

// A rollback's containers have the environment of then, and say so.
func TestRun_ARollbackTellsNeitherTheOldNorTheNewSecret(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		w.Ledger().SetEnv(map[string]string{"DB_PASSWORD": oldSecret})
		then := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		w.Ledger().SetEnv(map[string]string{"DB_PASSWORD": newSecret})
		now := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		d := w.Ledger().QueueRollback(wantState(t, w, then.ID, pipeline.Retired))
		w.Fail = func(call string, _ bool) error {
			if call == "engine.Start" {
				return errors.New("exec: " + oldSecret + " and " + newSecret + " are no programs")
			}
			return nil
		}
		if err := w.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		wantUntold(t, w, wantState(t, w, d.ID, pipeline.Failed))
		wantServed(t, w, now.ID)
	})
}

func TestRun_AVariableChangedDuringAnInterruptionIsToldInNeitherVersion(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		w.Ledger().SetEnv(map[string]string{"DB_PASSWORD": oldSecret})
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // under guard
		defer cancel()
		if err := w.Run(ctx, d.ID); !errors.Is(err, pipeline.ErrInterrupted) {
			t.Fatalf("run: %v", err)
		}
		w.Ledger().SetEnv(map[string]string{"DB_PASSWORD": newSecret})
		w.Fail = func(call string, _ bool) error {
			if call == "engine.Inspect" {
				return errors.New("container has " + oldSecret + ", not " + newSecret)
			}
			return nil
		}
		if err := w.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		wantUntold(t, w, wantState(t, w, d.ID, pipeline.RolledBack))
		wantServed(t, w, old.ID)
	})
}
