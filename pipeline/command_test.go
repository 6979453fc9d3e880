package pipeline_test

import (
	"context"
	"slices"
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
		w.Engine().BehaveAs(sha, "release", pipelinetest.Behavior{ExitAfter: time.Second, ExitCode: 4, Output: "Traceback\n\x1b[31mno such column\x1b[0m of " + oldSecret + "\n"})
		w.Ledger().SetEnv(map[string]string{"DB_PASSWORD": oldSecret})
		d := wantState(t, w, deploy(t, w, sha, pipeline.Push).ID, pipeline.Failed)
		if !strings.Contains(d.Reason, "service web: \"migrate\" ended with exit code 4\n  Traceback\n  no such column of ***") || !strings.Contains(w.Ledger().LogText(d.ID), "no such column") {
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

// What was canceled halfway is neither repeated nor counted: the next deployment
// of the same commit runs it.
func TestCommand_ThatIsCanceledIsEndedAndRunsWithTheNextDeployment(t *testing.T) {
	t.Parallel()
	inStack(t, "after", func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		sha := w.Forge().Push("main", withWorkers("after"))
		w.Engine().BehaveAs(sha, "release", pipelinetest.Behavior{ExitAfter: time.Minute})
		d := w.Ledger().Queue(sha, pipeline.Push)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(30*time.Second, func() {
			if !slices.ContainsFunc(w.Engine().Containers(), func(c pipeline.Container) bool { return c.Purpose != "" && c.Running }) {
				t.Error("the command does not run when it is canceled")
			}
			cancel(pipeline.ErrCanceled)
		})
		if err := w.Run(ctx, d.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, d.ID, pipeline.Canceled)
		for _, c := range w.Engine().Containers() {
			if c.Owner.Deployment == d.ID {
				t.Errorf("%s is left", c.Name)
			}
		}
		reconcile(t, w)
		wantVisitors(t, w, old.ID)
		wantRunning(t, w, old.Commit)
		if stops, starts := done(w, "engine.Stop", d.ID+"-release-"), done(w, "engine.Start", d.ID+"-release-"); stops != 1 || starts != 1 {
			t.Errorf("it was started %d times and stopped %d times", starts, stops)
		}
		again := deploy(t, w, sha, pipeline.Manual)
		wantState(t, w, again.ID, pipeline.Live)
		if n := done(w, "engine.Start", again.ID+"-release-"); n != 1 {
			t.Errorf("with the next deployment it ran %d times", n)
		}
	})
}

func TestCommand_NeverRunsTwiceForARelease(t *testing.T) {
	t.Parallel()
	eachDeath(t, stackPushed("after", "beat", pipelinetest.Behavior{}), func(t *testing.T, w *pipelinetest.World, id string) {
		startAgain(t, w)
		wantState(t, w, id, pipeline.Live)
		back := w.Ledger().QueueRollback(w.Ledger().All()[0])
		if err := w.Run(t.Context(), back.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, back.ID, pipeline.Live)
		if mine, all := done(w, "engine.Start", id+"-release-"), done(w, "engine.Start", "-release-"); mine != 1 || all != 2 {
			t.Errorf("it ran %d times, all commands %d times", mine, all)
		}
	})
}

// killedDuringItsCommand is a deployment during whose release command, which goes
// on for so long, the server died.
func killedDuringItsCommand(t *testing.T, w *pipelinetest.World, takes time.Duration) pipeline.Deployment {
	t.Helper()
	sha := w.Forge().Push("main", withWorkers("after"))
	w.Engine().BehaveAs(sha, "release", pipelinetest.Behavior{ExitAfter: takes})
	d := w.Ledger().Queue(sha, pipeline.Push)
	w.Fail = func(call string, after bool) error {
		if call == "engine.Logs" {
			return pipelinetest.ErrKilled
		}
		return nil
	}
	_ = w.Run(t.Context(), d.ID) // killed: what it says does not count
	w.Fail = nil
	w.Revive()
	return d
}

// A server that dies during a command, and a push that supersedes its deployment:
// the command is not broken off, and the next one does not run beside it.
func TestCommand_OfASupersededDeploymentEndsBeforeTheNextOneBegins(t *testing.T) {
	t.Parallel()
	inStack(t, "after", func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		first := killedDuringItsCommand(t, w, 5*time.Minute)
		next := w.Ledger().Queue(w.Forge().Push("main", withWorkers("after")), pipeline.Push)
		w.Fail = func(call string, after bool) error {
			var run, over []string
			for _, c := range w.Engine().Containers() {
				if c.Purpose != "" && c.Running {
					run = append(run, c.Name)
				} else if c.Purpose != "" && c.Owner.Deployment == first.ID && time.Since(c.StartedAt) < 5*time.Minute {
					over = append(over, c.Name)
				}
			}
			if len(run) > 1 || len(over) > 0 {
				t.Errorf("at %s: running %v, broken off %v", call, run, over)
			}
			return nil
		}
		if err := w.Run(t.Context(), first.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, first.ID, pipeline.Superseded)
		reconcile(t, w)
		if err := w.Run(t.Context(), next.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, next.ID, pipeline.Live)
		reconcile(t, w)
		for _, c := range w.Engine().Containers() {
			if c.Purpose != "" {
				t.Errorf("%s is left", c.Name)
			}
		}
	})
}

// What an interrupted run left behind tells that the command has run: it never runs
// again for this release, though another deployment, or nobody, took care of it.
func TestCommand_ThatEndedWhileNobodyWaitedNeverRunsAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		takes time.Duration
		away  time.Duration // between the push that supersedes it and its run
	}{
		"waited for by the next deployment": {5 * time.Minute, 0},
		"found by the next deployment":      {time.Second, 0},
		"ended by reconciling":              {5 * time.Minute, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inStack(t, "after", func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
				first := killedDuringItsCommand(t, w, c.takes)
				next := w.Ledger().Queue(w.Forge().Push("main", withWorkers("after")), pipeline.Push)
				if err := w.Run(t.Context(), first.ID); err != nil {
					t.Fatal(err)
				}
				wantState(t, w, first.ID, pipeline.Superseded)
				if c.away > 0 {
					time.Sleep(c.away) // bubble time
					reconcile(t, w)
				}
				if err := w.Run(t.Context(), next.ID); err != nil {
					t.Fatal(err)
				}
				wantNotAgain(t, w, first)
			})
		})
	}
}

func TestCommand_ThatEndedRightBeforeACancelNeverRunsAgain(t *testing.T) {
	t.Parallel()
	inStack(t, "after", func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		d := w.Ledger().Queue(w.Forge().Push("main", withWorkers("after")), pipeline.Push)
		ctx, cancel := context.WithCancelCause(t.Context())
		w.Fail = func(call string, after bool) error {
			if call == "ledger.SetCommandDone" && !after && ctx.Err() == nil {
				cancel(pipeline.ErrCanceled)
				return ctx.Err()
			}
			return nil
		}
		if err := w.Run(ctx, d.ID); err != nil {
			t.Fatal(err)
		}
		w.Fail = nil
		wantState(t, w, d.ID, pipeline.Canceled)
		wantNotAgain(t, w, d)
	})
}

// wantNotAgain deploys the same commit once more, and fails the test if its command
// runs again.
func wantNotAgain(t *testing.T, w *pipelinetest.World, d pipeline.Deployment) {
	t.Helper()
	again := deploy(t, w, d.Commit, pipeline.Manual)
	wantState(t, w, again.ID, pipeline.Live)
	if log := w.Ledger().LogText(again.ID); !strings.Contains(log, "it ran for this release before") {
		t.Errorf("the log:\n%s", log)
	}
	if first, more := done(w, "engine.Start", d.ID+"-release-"), done(w, "engine.Start", again.ID+"-release-"); first != 1 || more != 0 {
		t.Errorf("the command ran %d times, and %d times more", first, more)
	}
}

func TestCommand_ThatNobodyEndsIsEndedAtItsLimit(t *testing.T) {
	t.Parallel()
	inStack(t, "after", func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		first := killedDuringItsCommand(t, w, 100*time.Hour)
		next := w.Ledger().Queue(w.Forge().Push("main", withWorkers("after")), pipeline.Push)
		for _, id := range []string{first.ID, next.ID} {
			if err := w.Run(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		wantState(t, w, first.ID, pipeline.Superseded)
		wantState(t, w, next.ID, pipeline.Live)
		reconcile(t, w)
		for _, c := range w.Engine().Containers() {
			if c.Purpose != "" {
				t.Errorf("%s is left", c.Name)
			}
		}
	})
}

// The command's service may take its time to stop; the undo of a canceled
// deployment has less.
func TestCommand_ThatDoesNotHearItsSignalLeavesNoStuckDeployment(t *testing.T) {
	t.Parallel()
	inStack(t, "after", func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		sha := w.Forge().Push("main", withWorkers("after"))
		w.Engine().BehaveAs(sha, "release", pipelinetest.Behavior{ExitAfter: time.Hour, Lingers: 10 * time.Minute})
		d := w.Ledger().Queue(sha, pipeline.Push)
		ctx, cancel := context.WithCancelCause(t.Context())
		w.Fail = func(call string, after bool) error {
			if call == "engine.Logs" {
				cancel(pipeline.ErrCanceled)
			}
			return nil
		}
		if err := w.Run(ctx, d.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, d.ID, pipeline.Canceled)
		wantRunning(t, w, old.Commit)
	})
}
