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

func TestRun_RequestsThatDoNotEndOnAColorGivenUpDoNotMakeItStuck(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		w.Ledger().SetOverlay("services:\n  web:\n    x-swingbridge: {drain: 10m}\n")
		sha := w.Forge().Push("main", nil)
		w.Engine().Behave(sha, pipelinetest.Behavior{ExitAfter: 5 * time.Second, ExitCode: 1})
		d := w.Ledger().Queue(sha, pipeline.Push)
		w.Proxy().SetInflight(d.ID, 1)
		if err := w.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, d.ID, pipeline.RolledBack)
		wantServed(t, w, old.ID)
	})
}

func TestRun_AnEngineThatIsAwayUnderGuardSwingsNobodyBack(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]time.Duration{"for a blip": time.Second, "for six minutes": 6 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
				d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
				w.Fail = away(1, "ledger.Record cut over done, guard running, hand over running, drain running, to watching", true, gone)
				if err := w.Run(t.Context(), d.ID); err != nil {
					t.Fatal(err)
				}
				wantState(t, w, d.ID, pipeline.Live)
				time.Sleep(gone) // bubble time
				reconcile(t, w)
				wantServed(t, w, d.ID)
			})
		})
	}
}

// Nothing can be undone without the engine: the run waits for it, and a person
// is not asked.
func TestRun_AnEngineThatIsAwayDuringAnUndoIsWaitedFor(t *testing.T) {
	t.Parallel()
	late := pipelinetest.Behavior{ExitAfter: 3 * time.Second, ExitCode: 1}
	for name, c := range map[string]struct {
		behavior  pipelinetest.Behavior
		call      string
		from, end pipeline.State
	}{
		"before the cutover": {call: "engine.Ensure", from: pipeline.Running, end: pipeline.Live},
		"while it swings back": {
			behavior: late, call: "ledger.Record undo cut over running", from: pipeline.Watching, end: pipeline.RolledBack,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
				sha := w.Forge().Push("main", nil)
				w.Engine().Behave(sha, c.behavior)
				d := w.Ledger().Queue(sha, pipeline.Push)
				w.Fail = away(1, c.call, false, 6*time.Minute)
				if err := w.Run(t.Context(), d.ID); !errors.Is(err, pipeline.ErrUnreachable) {
					t.Errorf("run: %v", err)
				}
				wantState(t, w, d.ID, c.from)
				time.Sleep(6 * time.Minute) // bubble time
				if err := w.Run(t.Context(), d.ID); err != nil {
					t.Fatal(err)
				}
				d = wantState(t, w, d.ID, c.end)
				serves := old.ID
				if c.end == pipeline.Live {
					serves = d.ID
				}
				wantServed(t, w, serves)
			})
		})
	}
}

func TestRun_AJournalThatFailsDoesNotSkipTheSwingBack(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"undo cut over running", "undo cut over undone"} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
				sha := w.Forge().Push("main", nil)
				w.Engine().Behave(sha, pipelinetest.Behavior{ExitAfter: 5 * time.Second, ExitCode: 1})
				d := w.Ledger().Queue(sha, pipeline.Push)
				w.Fail = func(call string, _ bool) error {
					if call == "ledger.Record "+line {
						return errors.New("wait for the write connection: context deadline exceeded")
					}
					return nil
				}
				if err := w.Run(t.Context(), d.ID); err != nil {
					t.Fatal(err)
				}
				wantState(t, w, d.ID, pipeline.RolledBack)
				wantServed(t, w, old.ID)
			})
		})
	}
}

func TestRun_SecretsReachNeitherReasonNorSteps(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-hunter2"
	said := func(t *testing.T, runner *pipeline.Runner, w *pipelinetest.World, b pipelinetest.Behavior) string {
		t.Helper()
		sha := w.Forge().Push("main", nil)
		w.Engine().Behave(sha, b)
		d := w.Ledger().Queue(sha, pipeline.Push)
		if err := runner.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		d = wantState(t, w, d.ID, pipeline.Failed)
		text := d.Reason
		for _, s := range d.Steps {
			text += "\n" + s.Detail + "\n" + s.Error
		}
		if strings.Contains(text, secret) {
			t.Errorf("told: %s", text)
		}
		return text
	}
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		ledger, runner := edit(w)
		ledger.env["DB_PASSWORD"] = secret
		noisy := pipelinetest.Behavior{BuildError: errors.New("RUN login " + secret + ": exit code 1")}
		if got := said(t, runner, w, noisy); strings.Count(got, "RUN login ***: exit code 1") != 2 {
			t.Errorf("reason and step do not tell what the engine said: %s", got)
		}
		for _, line := range []string{
			"mem_limit: ${DB_PASSWORD}", "cpus: ${DB_PASSWORD}", "stop_grace_period: ${DB_PASSWORD}",
			`volumes: ["${DB_PASSWORD}/x:/y"]`, `x-swingbridge: {drain: "${DB_PASSWORD}"}`,
		} {
			ledger.app.Overlay = "services:\n  web:\n    " + line + "\n"
			said(t, runner, w, pipelinetest.Behavior{})
		}
	})
}

func TestRun_TheServersStopIsHeardDuringAnOperatorsUndo(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		w.Stopping = make(chan struct{})
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		w.Proxy().SetInflight(d.ID, 1) // the undo waits for it
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(5*time.Second, func() { cancel(pipeline.ErrRollBack) })
		var stopped time.Time
		time.AfterFunc(7*time.Second, func() { stopped = time.Now(); close(w.Stopping) })
		if err := w.Run(ctx, d.ID); !errors.Is(err, pipeline.ErrInterrupted) {
			t.Errorf("run: %v", err)
		}
		if stopped.IsZero() || time.Since(stopped) > time.Second {
			t.Errorf("stopped at %v, ended at %v", stopped, time.Now())
		}
		wantState(t, w, d.ID, pipeline.Watching)
		w.Stopping = nil
		if err := w.Run(ctx, d.ID); err != nil { // the cancel is still written
			t.Fatal(err)
		}
		wantState(t, w, d.ID, pipeline.RolledBack)
		wantServed(t, w, old.ID)
	})
}

// between lets a push come in after the forge has been asked for the head.
type between struct {
	pipeline.Source
	push func()
}

func (b between) Head(ctx context.Context, repo, branch string) (string, error) {
	head, err := b.Source.Head(ctx, repo, branch)
	b.push()
	return head, err
}

func TestHeadWatch_AHeadReadBeforeAPushIsNoNews(t *testing.T) {
	t.Parallel()
	w := pipelinetest.New()
	heads, app := watch(w), w.Ledger().App()
	w.Forge().Push("main", nil)
	if err := heads.Check(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	w.Forge().Push("main", nil) // its delivery is lost; the next one's is not
	var newest string
	heads.Source = between{w.Forge(), func() {
		newest = w.Forge().Push("main", nil)
		if _, err := w.Ledger().QueueHead(t.Context(), pipeline.Head{AppID: app.ID, Commit: newest}); err != nil {
			t.Error(err)
		}
	}}
	if err := heads.Check(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	if all := w.Ledger().All(); len(all) != 1 || all[0].Commit != newest {
		t.Errorf("queued %+v, want %s alone", all, newest)
	}
	if seen, err := w.Ledger().SeenHead(t.Context(), app.ID); err != nil || seen != newest {
		t.Errorf("seen head %s, %v", seen, err)
	}
}
