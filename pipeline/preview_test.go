package pipeline_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

const withPreview = "x-swingbridge: {preview: {host: green.example.org, token: hunter2-hunter2-hunter2}}"

// previewed records whose preview the table held when each call was made.
func previewed(t *testing.T, w *pipelinetest.World) map[string]string {
	t.Helper()
	at := map[string]string{}
	w.Fail = func(call string, after bool) error {
		e, err := w.Proxy().Peek(w.Ledger().App().ID)
		if err == nil && !after {
			at[call] = ""
			if e.Preview != nil {
				at[call] = e.Preview.Deployment
			}
		}
		return nil
	}
	return at
}

func TestRun_ThePreviewIsOfTheColorThatVisitorsAreNotOn(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		w.Ledger().SetOverlay(withPreview)
		at := previewed(t, w)
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		watching := make(chan *pipeline.Preview, 1)
		time.AfterFunc(5*time.Second, func() {
			e, err := w.Proxy().Peek(w.Ledger().App().ID)
			if err != nil {
				t.Error(err)
			}
			watching <- e.Preview
		})
		if err := w.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, d.ID, pipeline.Live)
		for call, want := range map[string]string{
			"ledger.Record start done, probe running": "", "ledger.Record probe done, hand over early skipped, cut over running, to cutting_over": d.ID,
			"ledger.Record cut over done, guard running, hand over running, drain running, to watching": old.ID, "engine.Stop": "",
		} {
			if got, made := at[call]; !made || got != want {
				t.Errorf("at %s (made: %t) the preview was of %q, want %q", call, made, got, want)
			}
		}
		seen := <-watching
		sum := sha256.Sum256([]byte("hunter2-hunter2-hunter2"))
		if seen == nil || seen.Host != "green.example.org" || seen.Token != hex.EncodeToString(sum[:]) ||
			seen.Color != pipeline.Blue || len(seen.Paths) != 1 || len(seen.Paths[0].Targets) != 1 {
			t.Errorf("preview under guard: %+v", seen)
		}
		if e := entryOf(t, w); e.Preview != nil {
			t.Errorf("left behind: %+v", e.Preview)
		}
	})
}

func TestRun_ThePreviewIsGoneBeforeItsContainersAre(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end   func(w *pipelinetest.World, cancel context.CancelCauseFunc)
		state pipeline.State
	}{
		"canceled before the cutover": {state: pipeline.Canceled, end: func(w *pipelinetest.World, cancel context.CancelCauseFunc) {
			w.Fail = func(call string, after bool) error {
				if call == "proxy.Swing" && after { // the preview's
					cancel(pipeline.ErrCanceled)
				}
				return nil
			}
		}},
		"not proved": {state: pipeline.RolledBack, end: func(w *pipelinetest.World, _ context.CancelCauseFunc) {
			w.Fail = func(call string, _ bool) error {
				if call == "proxy.Prove" {
					return errors.New("502 Bad Gateway")
				}
				return nil
			}
		}},
		"killed before the cutover": {state: pipeline.Live, end: func(w *pipelinetest.World, _ context.CancelCauseFunc) {
			w.Fail = func(call string, _ bool) error {
				if strings.HasSuffix(call, ", to cutting_over") {
					return pipelinetest.ErrKilled
				}
				return nil
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
				w.Ledger().SetOverlay(withPreview)
				d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
				ctx, cancel := context.WithCancelCause(t.Context())
				c.end(w, cancel)
				watched := w.Fail
				w.Fail = func(call string, after bool) error {
					return errors.Join(watched(call, after), removedBehindPreview(w, call))
				}
				if err := w.Run(ctx, d.ID); err != nil && c.state != pipeline.Live {
					t.Fatal(err)
				}
				if c.state == pipeline.Live {
					w.Revive()
					w.Fail = func(call string, _ bool) error { return removedBehindPreview(w, call) }
					if err := w.Run(t.Context(), d.ID); err != nil {
						t.Fatal(err)
					}
				}
				wantState(t, w, d.ID, c.state)
				if e := entryOf(t, w); e.Preview != nil {
					t.Errorf("left behind: %+v", e.Preview)
				}
			})
		})
	}
}

// removedBehindPreview is an error where a container is removed that a preview
// still names.
func removedBehindPreview(w *pipelinetest.World, call string) error {
	e, err := w.Proxy().Peek(w.Ledger().App().ID)
	if err != nil {
		return err // all worlds here have an entry from the start
	}
	if call != "ledger.ReleaseAddresses" || e.Preview == nil {
		return nil
	}
	for _, c := range w.Engine().Containers() {
		if c.Owner.Deployment == e.Preview.Deployment {
			return nil
		}
	}
	return fmt.Errorf("the preview shows %s, whose containers are gone", e.Preview.Deployment)
}

func TestRun_AFirstDeploymentHasNoPreviewAndSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := pipelinetest.New()
		w.Ledger().SetOverlay(withPreview)
		at := previewed(t, w)
		d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		wantState(t, w, d.ID, pipeline.Live)
		for call, of := range at {
			if of != "" {
				t.Errorf("at %s a preview of %s", call, of)
			}
		}
	})
}

func TestRun_APreviewIsShownWhereTheProxyChangedTheEntryMeanwhile(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		w.Ledger().SetOverlay(withPreview)
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		swings, seen := 0, ""
		w.Fail = func(call string, after bool) error {
			if call == "proxy.Swing" && !after {
				if swings++; swings == 1 { // the preview's
					return pipeline.ErrConflict
				}
			}
			if e, err := w.Proxy().Peek(w.Ledger().App().ID); call == "ledger.Record probe done, hand over early skipped, cut over running, to cutting_over" && err == nil && e.Preview != nil {
				seen = e.Preview.Deployment
			}
			return nil
		}
		if err := w.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, d.ID, pipeline.Live)
		if seen != d.ID {
			t.Errorf("before the cutover the preview was of %q, want %s\n%s", seen, d.ID, w.Ledger().LogText(d.ID))
		}
	})
}

func TestReconcile_TakesAPreviewOfNothingAwayAndLeavesOneThatRuns(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, live pipeline.Deployment) {
		for deployment, stays := range map[string]bool{"gone": false, live.ID: true} {
			e := entryOf(t, w)
			e.Preview = &pipeline.Preview{Deployment: deployment, Host: "green.example.org"}
			if _, err := w.Proxy().Swing(t.Context(), e, e.Version); err != nil {
				t.Fatal(err)
			}
			reconcile(t, w)
			if got := entryOf(t, w).Preview != nil; got != stays {
				t.Errorf("preview of %s is there: %t", deployment, got)
			}
		}
	})
}
