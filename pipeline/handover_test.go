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

// Wherever the server dies, in a release that is good or in one whose worker is
// not: once it is settled, one commit runs, and there were never two of the
// single worker.
func TestHandOver_WhereverTheServerDiesOneCommitRunsInTheEnd(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"before", "after"} {
		for name, worker := range map[string]pipelinetest.Behavior{"good": {}, "bad": {ExitAfter: time.Second, ExitCode: 3}} {
			t.Run(name+", "+order, func(t *testing.T) {
				t.Parallel()
				eachDeath(t, stackPushed(order, "beat", worker), func(t *testing.T, w *pipelinetest.World, id string) {
					startAgain(t, w)
					reconcile(t, w)
					d := w.Ledger().All()[1]
					if why := mixed(w); why != "" || d.ID != id || !d.State.Ended() || (d.State == pipeline.Live) != (name == "good") {
						t.Errorf("%s; %s (%s)\n%s", why, d.State, d.Reason, w.Ledger().LogText(id))
					}
				})
			})
		}
	}
}

func TestHandOver_WhateverFailsOneCommitRunsInTheEnd(t *testing.T) {
	t.Parallel()
	boom := errors.New("input/output error")
	for _, order := range []string{"before", "after"} {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			eachFailure(t, boom, stackPushed(order, "beat", pipelinetest.Behavior{}), func(t *testing.T, w *pipelinetest.World, failed failure) {
				startAgain(t, w)
				reconcile(t, w)
				d := w.Ledger().All()[1]
				if why := mixed(w); why != "" || d.ID != failed.id || !d.State.Ended() {
					t.Errorf("%s; %s (%s)\n%s", why, d.State, d.Reason, w.Ledger().LogText(d.ID))
				}
			})
		})
	}
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
				look := neverTwo(t, w)
				w.Fail = func(now string, after bool) error {
					look(now, after)
					if now == call && after && w.Proxy().Serving(d.AppID) == d.ID {
						cancel(pipeline.ErrRollBack)
					}
					return nil
				}
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

// Wherever the server dies, an old worker hears at most once that it is to end,
// and ends before its time only by itself.
func TestDetach_AnOldWorkerIsToldOnceWhereverTheServerDies(t *testing.T) {
	t.Parallel()
	files := map[string]string{"Dockerfile": "FROM scratch", "compose.yml": `
services:
  web: {build: .}
  queue: {build: ., command: [queue], x-swingbridge: {detach: true}, stop_grace_period: 4h}
`}
	begin := func(t *testing.T) (*pipelinetest.World, string) {
		w := pipelinetest.New()
		w.Ledger().SetCompose("compose.yml")
		sha := w.Forge().Push("main", files)
		w.Engine().BehaveAs(sha, "queue", pipelinetest.Behavior{Lingers: 3 * time.Hour})
		wantState(t, w, deploy(t, w, sha, pipeline.Push).ID, pipeline.Live)
		return w, w.Ledger().Queue(w.Forge().Push("main", files), pipeline.Push).ID
	}
	eachDeath(t, begin, func(t *testing.T, w *pipelinetest.World, id string) {
		old := w.Ledger().All()[0].ID
		for range 3 {
			startAgain(t, w)
		}
		wantState(t, w, id, pipeline.Live)
		if told := done(w, "engine.Detach", old); told > 1 {
			t.Errorf("it was told %d times", told)
		}
		time.Sleep(5 * time.Hour) // bubble time
		reconcile(t, w)
		for _, c := range w.Engine().Containers() {
			if c.Owner.Deployment == old {
				t.Errorf("%s is left", c.Name)
			}
		}
	})
}

// done counts how often something was done to containers of whose name this is
// a part, whoever died meanwhile.
func done(w *pipelinetest.World, call, name string) int {
	n := 0
	for _, effect := range w.Engine().Effects() {
		if what, of, _ := strings.Cut(effect, " "); what == call && strings.Contains(of, name) {
			n++
		}
	}
	return n
}

func TestHandOver_AnOldWorkerThatIsBeingStoppedRunsAgainAfterTheUndo(t *testing.T) {
	t.Parallel()
	inStack(t, "after", func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		for _, c := range w.Engine().Containers() {
			if c.Owner.Service == "beat" {
				w.Engine().Linger(c.ID, 8*time.Second)
			}
		}
		d := w.Ledger().Queue(w.Forge().Push("main", withWorkers("after")), pipeline.Push)
		ctx, cancel := context.WithCancelCause(t.Context())
		look := neverTwo(t, w)
		w.Fail = func(call string, after bool) error {
			look(call, after)
			if call == "engine.Stop" && after {
				time.AfterFunc(time.Second, func() { cancel(pipeline.ErrRollBack) })
			}
			return nil
		}
		if err := w.Run(ctx, d.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, d.ID, pipeline.RolledBack)
		time.Sleep(time.Minute)
		wantRunning(t, w, old.Commit)
	})
}

// The guard is over before the worker is up: it is watched for a while all the same.
func TestHandOver_AWorkerThatComesLateIsWatchedToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		files := map[string]string{"Dockerfile": "FROM scratch", "compose.yml": `
x-swingbridge: {guard: 3s}
services:
  web: {build: .}
  queue: {build: ., command: [queue]}
`}
		w := pipelinetest.New()
		w.Ledger().SetCompose("compose.yml")
		old := deploy(t, w, w.Forge().Push("main", files), pipeline.Push)
		wantState(t, w, old.ID, pipeline.Live)
		sha := w.Forge().Push("main", files)
		w.Engine().BehaveAs(sha, "queue", pipelinetest.Behavior{ExitAfter: 4 * time.Second, ExitCode: 1})
		d := wantState(t, w, deploy(t, w, sha, pipeline.Push).ID, pipeline.RolledBack)
		if !strings.Contains(d.Reason, "service queue") {
			t.Errorf("reason %q", d.Reason)
		}
		wantVisitors(t, w, old.ID)
	})
}
