package pipeline_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

func watch(w *pipelinetest.World) *pipeline.HeadWatch {
	return &pipeline.HeadWatch{
		Source: w.Forge(), Heads: w.Ledger(), Memory: w.Ledger(), Every: time.Minute, Logger: slog.New(slog.DiscardHandler),
	}
}

func TestHeadWatch_TheFirstHeadIsWhereItStands(t *testing.T) {
	t.Parallel()
	w := pipelinetest.New()
	w.Forge().Push("main", nil)
	if err := watch(w).Check(t.Context(), w.Ledger().App()); err != nil {
		t.Fatal(err)
	}
	if all := w.Ledger().All(); len(all) != 0 {
		t.Errorf("queued %v", all)
	}
}

func TestHeadWatch_ALostDeliveryIsFoundOnceOnly(t *testing.T) {
	t.Parallel()
	w := pipelinetest.New()
	heads, app := watch(w), w.Ledger().App()
	w.Forge().Push("main", nil)
	for range 2 {
		if err := heads.Check(t.Context(), app); err != nil {
			t.Fatal(err)
		}
	}
	lost := w.Forge().Push("main", nil)
	for range 3 {
		if err := heads.Check(t.Context(), app); err != nil {
			t.Fatal(err)
		}
	}
	all := w.Ledger().All()
	if len(all) != 1 || all[0].Commit != lost || all[0].Trigger != pipeline.Poll {
		t.Errorf("queued %+v, want %s once", all, lost)
	}
}

func TestHeadWatch_ABranchThatComesToBeIsAPush(t *testing.T) {
	t.Parallel()
	w := pipelinetest.New()
	heads, app := watch(w), w.Ledger().App()
	if err := heads.Check(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	sha := w.Forge().Push("main", nil)
	if err := heads.Check(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	if all := w.Ledger().All(); len(all) != 1 || all[0].Commit != sha {
		t.Errorf("queued %+v", all)
	}
}

func TestHeadWatch_LooksAtEveryTickAndWhenAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := pipelinetest.New()
		heads := watch(w)
		w.Forge().Push("main", nil)
		done := make(chan struct{})
		ctx := t.Context()
		go func() { defer close(done); heads.Run(ctx) }()
		synctest.Wait()
		w.Forge().Push("main", nil)
		heads.Look(w.Ledger().App())
		synctest.Wait()
		if n := len(w.Ledger().All()); n != 1 {
			t.Errorf("asked: %d queued", n)
		}
		w.Forge().Push("main", nil)
		time.Sleep(time.Minute) // bubble time
		synctest.Wait()
		if n := len(w.Ledger().All()); n != 2 {
			t.Errorf("after a tick: %d queued", n)
		}
	})
}
