package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

// mixed says what is wrong with a settled app: something of another commit than
// the one that visitors are on runs, or something of that one does not.
func mixed(w *pipelinetest.World) string {
	at := w.Proxy().Serving(w.Ledger().App().ID)
	missing := map[string]bool{"web": true, "queue": true, "beat": true}
	for _, c := range w.Engine().Containers() {
		switch {
		case c.Owner.Deployment != at && c.Running:
			return fmt.Sprintf("%s runs, visitors are on %s", c.Name, at)
		case c.Owner.Deployment == at && c.Running && c.Always && c.Purpose == "":
			delete(missing, c.Owner.Service)
		}
	}
	if len(missing) > 0 {
		return fmt.Sprintf("visitors are on %s, of which these do not run for good: %v", at, missing)
	}
	return ""
}

// watched fails the test as soon as two of the single worker run, and passes the
// call on.
func watched(t *testing.T, w *pipelinetest.World, fail func(string, bool) error) {
	look := neverTwo(t, w)
	w.Fail = func(call string, after bool) error {
		look(call, after)
		return fail(call, after)
	}
}

func well(string, bool) error { return nil }

// takeUp does what a server does at its start: reconcile, then go on with what
// was interrupted.
func takeUp(t *testing.T, w *pipelinetest.World, id string) pipeline.Deployment {
	t.Helper()
	w.Revive()
	watched(t, w, well)
	if err := w.Runner().Reconcile(t.Context(), w.Ledger().Current); err != nil {
		t.Fatalf("reconcile: %v", err)
	}
	if err := w.Run(t.Context(), id); err != nil {
		t.Fatalf("take up %s: %v", id, err)
	}
	if err := w.Runner().Reconcile(t.Context(), w.Ledger().Current); err != nil {
		t.Fatalf("reconcile: %v", err)
	}
	d, err := w.Ledger().Deployment(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Whatever fails, and wherever the server dies, in a release that is good or in
// one whose worker is not: once it is settled, one commit runs.
func TestHandOver_WhateverHappensOneCommitRunsInTheEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err error
		bad bool // the single worker dies
	}{
		"killed":                   {err: pipelinetest.ErrKilled},
		"killed, and a bad worker": {err: pipelinetest.ErrKilled, bad: true},
		"failing":                  {err: errors.New("input/output error")},
	} {
		for _, order := range []string{"before", "after"} {
			moments := momentsOf(t, order)
			t.Run(name+", "+order, func(t *testing.T) {
				t.Parallel()
				for _, at := range moments {
					handOverAt(t, order, at, c.err, c.bad)
					if t.Failed() {
						return
					}
				}
			})
		}
	}
}

// handOverAt carries a deployment out of which one call fails, takes it up
// again, and looks at what runs in the end.
func handOverAt(t *testing.T, order, at string, err error, bad bool) {
	t.Helper()
	inStack(t, order, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		sha := w.Forge().Push("main", withWorkers(order))
		if bad {
			w.Engine().BehaveAs(sha, "beat", pipelinetest.Behavior{ExitAfter: time.Second, ExitCode: 3})
		}
		d := w.Ledger().Queue(sha, pipeline.Push)
		name := naming()
		watched(t, w, func(call string, after bool) error {
			if name(call, after) == at {
				return err
			}
			return nil
		})
		_ = w.Run(t.Context(), d.ID) // what it says does not count: what runs does
		d = takeUp(t, w, d.ID)
		if why := mixed(w); why != "" || !d.State.Ended() || bad && d.State == pipeline.Live {
			t.Fatalf("%v at %s: %s; %s (%s)\n%s", err, at, why, d.State, d.Reason, w.Ledger().LogText(d.ID))
		}
	})
}

// The controls: the checks above find what they look for.
func TestHandOver_TheChecksFindTwoCommitsAndTwoOfASingleWorker(t *testing.T) {
	t.Parallel()
	inStack(t, "after", func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		if why := mixed(w); why != "" {
			t.Fatalf("a good app is said to be mixed: %s", why)
		}
		beat, err := w.Engine().Ensure(t.Context(), pipeline.ContainerOrder{
			Owner: pipeline.Owner{AppID: old.AppID, Deployment: "other", Service: "beat", Color: pipeline.Green},
		})
		if err != nil {
			t.Fatal(err)
		}
		if why := mixed(w); why != "" {
			t.Errorf("what does not run is said to be mixed: %s", why)
		}
		if err := w.Engine().Start(t.Context(), beat.ID); err != nil {
			t.Fatal(err)
		}
		if mixed(w) == "" {
			t.Error("a worker of another deployment went unnoticed")
		}
		probe := &testing.T{}
		neverTwo(probe, w)("now", false)
		if !probe.Failed() {
			t.Error("two of a single worker went unnoticed")
		}
		for _, c := range w.Engine().Containers() {
			if c.Owner.Service == "queue" || c.ID == beat.ID {
				if err := w.Engine().Stop(t.Context(), c.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
		if mixed(w) == "" {
			t.Error("a worker that does not run went unnoticed")
		}
	})
}

func TestHandOver_AnOperatorWhoGoesBackMeanwhileGetsTheOldWorkersToo(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"engine.Stop", "engine.Start"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			inStack(t, "after", func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
				d := w.Ledger().Queue(w.Forge().Push("main", withWorkers("after")), pipeline.Push)
				ctx, cancel := context.WithCancelCause(t.Context())
				watched(t, w, func(now string, after bool) error {
					if now == call && after && w.Proxy().Serving(d.AppID) == d.ID {
						cancel(pipeline.ErrRollBack)
					}
					return nil
				})
				if err := w.Run(ctx, d.ID); err != nil {
					t.Fatal(err)
				}
				wantState(t, w, d.ID, pipeline.RolledBack)
				wantVisitors(t, w, old.ID)
				wantRunning(t, w, old.Commit)
			})
		})
	}
}

func TestHandOver_TheGuardWatchesTheNewWorkersToo(t *testing.T) {
	t.Parallel()
	worker := func(w *pipelinetest.World, sha string) string {
		for _, c := range w.Engine().Containers() {
			if c.Owner.Commit == sha && c.Owner.Service == "queue" {
				return c.ID
			}
		}
		return ""
	}
	for name, c := range map[string]struct {
		behavior pipelinetest.Behavior
		harm     func(w *pipelinetest.World, sha string)
		want     string
	}{
		"dies": {
			behavior: pipelinetest.Behavior{ExitAfter: 9 * time.Second, ExitCode: 7}, want: "service queue: ended with exit code 7 after the cutover",
		},
		"is started again by the engine": {
			harm: func(w *pipelinetest.World, sha string) { w.Engine().Restart(worker(w, sha)) }, want: "service queue:",
		},
		"loses a process for its memory": {
			harm: func(w *pipelinetest.World, sha string) { w.Engine().Tell(worker(w, sha), "oom") }, want: "more memory than its limit",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inStack(t, "after", func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
				sha := w.Forge().Push("main", withWorkers("after"))
				w.Engine().BehaveAs(sha, "queue", c.behavior)
				if c.harm != nil {
					time.AfterFunc(15*time.Second, func() { c.harm(w, sha) })
				}
				d := wantState(t, w, deploy(t, w, sha, pipeline.Push).ID, pipeline.RolledBack)
				if !strings.Contains(d.Reason, c.want) {
					t.Errorf("reason %q, want %q", d.Reason, c.want)
				}
				wantVisitors(t, w, old.ID)
				wantRunning(t, w, old.Commit)
			})
		})
	}
}

func TestHandOver_AllReplicasOfAWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		files := map[string]string{"Dockerfile": "FROM scratch", "compose.yml": `
services:
  web: {build: .}
  queue: {build: ., command: [queue], scale: 3}
`}
		w := pipelinetest.New()
		w.Ledger().SetCompose("compose.yml")
		wantState(t, w, deploy(t, w, w.Forge().Push("main", files), pipeline.Push).ID, pipeline.Live)
		sha := w.Forge().Push("main", files)
		wantState(t, w, deploy(t, w, sha, pipeline.Push).ID, pipeline.Live)
		want := strings.Repeat("queue "+sha+" ", 3) + "web " + sha
		if got := strings.Join(running(w), " "); got != want {
			t.Errorf("what runs is %s, not %s", got, want)
		}
	})
}

// Wherever the server dies while the old color is stopped, an old worker hears
// at most once that it is to end, and ends before its time only by itself.
func TestDetach_AnOldWorkerIsToldOnceWhereverTheServerDies(t *testing.T) {
	t.Parallel()
	files := map[string]string{"Dockerfile": "FROM scratch", "compose.yml": `
services:
  web: {build: .}
  queue: {build: ., command: [queue], x-swingbridge: {detach: true}, stop_grace_period: 4h}
`}
	for n, done := 1, false; !done; n++ {
		synctest.Test(t, func(t *testing.T) {
			w := pipelinetest.New()
			w.Ledger().SetCompose("compose.yml")
			first := w.Forge().Push("main", files)
			w.Engine().BehaveAs(first, "queue", pipelinetest.Behavior{Lingers: 3 * time.Hour})
			old := deploy(t, w, first, pipeline.Push)
			d := w.Ledger().Queue(w.Forge().Push("main", files), pipeline.Push)
			told, calls := 0, 0
			count := func(call string, after bool) error {
				if call == "engine.Detach" && after {
					told++
				}
				return nil
			}
			w.Fail = func(call string, after bool) error {
				_ = count(call, after)
				for _, now := range w.Ledger().All() {
					if now.ID == d.ID && now.State == pipeline.Live {
						calls++
					}
				}
				if calls == n {
					calls++
					return pipelinetest.ErrKilled
				}
				return nil
			}
			_ = w.Run(t.Context(), d.ID) // killed: what it says does not count
			done = calls < n
			w.Revive()
			w.Fail = count
			for range 3 {
				if err := w.Runner().Reconcile(t.Context(), w.Ledger().Current); err != nil {
					t.Fatal(err)
				}
				if err := w.Run(t.Context(), d.ID); err != nil {
					t.Fatal(err)
				}
			}
			if told > 1 {
				t.Errorf("killed at call %d: it was told %d times", n, told)
			}
			time.Sleep(5 * time.Hour)
			if err := w.Runner().Reconcile(t.Context(), w.Ledger().Current); err != nil {
				t.Fatal(err)
			}
			for _, c := range w.Engine().Containers() {
				if c.Owner.Deployment == old.ID {
					t.Errorf("killed at call %d: %s is left", n, c.Name)
				}
			}
		})
		done = done || t.Failed()
	}
}
