package pipeline_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// withWorkers are the files of an app with a worker, and a scheduler of which
// there is never more than one.
func withWorkers(order string) map[string]string {
	return map[string]string{
		"Dockerfile": "FROM scratch",
		"compose.yml": `
x-swingbridge:
  release: {service: web, command: [migrate]}
services:
  web: {build: .}
  queue:
    build: .
    command: [queue]
    x-swingbridge: {order: ` + order + `}
  beat:
    build: .
    command: [beat]
    x-swingbridge: {single: true, order: ` + order + `}
`}
}

// inStack runs the test in a world whose app has web, a worker and a single one,
// and is live.
func inStack(t *testing.T, order string, f func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, d := stackWorld(t, order)
		f(t, w, d)
	})
}

func stackWorld(t *testing.T, order string) (*pipelinetest.World, pipeline.Deployment) {
	t.Helper()
	w := pipelinetest.New()
	w.Ledger().SetCompose("compose.yml")
	d := deploy(t, w, w.Forge().Push("main", withWorkers(order)), pipeline.Push)
	return w, wantState(t, w, d.ID, pipeline.Live)
}

// stackPushed is a world of inStack in which a push waits of which one service
// behaves so.
func stackPushed(order, service string, b pipelinetest.Behavior) begun {
	return func(t *testing.T) (*pipelinetest.World, string) {
		w, _ := stackWorld(t, order)
		w.Ledger().SetOverlay("x-swingbridge: {guard: 4s}")
		sha := w.Forge().Push("main", withWorkers(order))
		w.Engine().BehaveAs(sha, service, b)
		return w, w.Ledger().Queue(sha, pipeline.Push).ID
	}
}

// running lists the services that run, with their commits.
func running(w *pipelinetest.World) []string {
	var out []string
	for _, c := range w.Engine().Containers() {
		if c.Running {
			out = append(out, c.Owner.Service+" "+c.Owner.Commit)
		}
	}
	slices.Sort(out)
	return out
}

func wantRunning(t *testing.T, w *pipelinetest.World, commit string) {
	t.Helper()
	want := []string{"beat " + commit, "queue " + commit, "web " + commit}
	if got := running(w); !slices.Equal(got, want) {
		t.Errorf("what runs is %v, not %v", got, want)
	}
	for _, c := range w.Engine().Containers() {
		if !c.Always {
			t.Errorf("%s would not come back after a restart of the engine", c.Name)
		}
	}
}

func wantVisitors(t *testing.T, w *pipelinetest.World, id string) {
	t.Helper()
	if at := w.Proxy().Serving(w.Ledger().App().ID); at != id {
		t.Errorf("visitors are on %q, want %s", at, id)
	}
}

// neverTwo fails the test as soon as two containers of a single worker run.
func neverTwo(t *testing.T, w *pipelinetest.World) func(string, bool) {
	return func(call string, _ bool) {
		if w.Engine().Running("beat") > 1 {
			t.Errorf("at %s two of the single worker run", call)
		}
	}
}

// watched has neverTwo look at every call.
func watched(t *testing.T, w *pipelinetest.World) {
	look := neverTwo(t, w)
	w.Fail = func(call string, after bool) error { look(call, after); return nil }
}

func TestWorkers_AreHandedOverWithTheRelease(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"before", "after"} {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			inStack(t, order, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
				watched(t, w)
				sha := w.Forge().Push("main", withWorkers(order))
				d := deploy(t, w, sha, pipeline.Push)
				wantState(t, w, d.ID, pipeline.Live)
				wantVisitors(t, w, d.ID)
				wantRunning(t, w, sha)
			})
		})
	}
}

// When a worker of a release starts, visitors are on it, or are not yet.
func TestWorkers_StartBeforeOrAfterTheCutover(t *testing.T) {
	t.Parallel()
	for order, want := range map[string]bool{"before": false, "after": true} {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			inStack(t, order, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
				d := w.Ledger().Queue(w.Forge().Push("main", withWorkers(order)), pipeline.Push)
				asked := 0
				w.Fail = func(call string, after bool) error {
					for _, c := range w.Engine().Containers() {
						if c.Owner.Deployment == d.ID && c.Owner.Service == "queue" && c.Running && asked == 0 {
							asked++
							if at := w.Proxy().Serving(d.AppID); (at == d.ID) != want {
								t.Errorf("the worker runs while visitors are on %s", at)
							}
						}
					}
					return nil
				}
				if err := w.Run(t.Context(), d.ID); err != nil || asked == 0 {
					t.Errorf("%v, looked %d times", err, asked)
				}
			})
		})
	}
}

func TestWorkers_OneThatDoesNotComeUpTakesTheReleaseBack(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"before", "after"} {
		for _, service := range []string{"queue", "beat"} {
			t.Run(order+" "+service, func(t *testing.T) {
				t.Parallel()
				inStack(t, order, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
					watched(t, w)
					sha := w.Forge().Push("main", withWorkers(order))
					w.Engine().BehaveAs(sha, service, pipelinetest.Behavior{ExitAfter: time.Second, ExitCode: 3})
					d := deploy(t, w, sha, pipeline.Push)
					want := pipeline.RolledBack
					if order == "before" {
						want = pipeline.Failed
					}
					d = wantState(t, w, d.ID, want)
					if !strings.Contains(d.Reason, "service "+service) || !strings.Contains(d.Reason, "exit code 3") {
						t.Errorf("reason %q", d.Reason)
					}
					wantVisitors(t, w, old.ID)
					wantRunning(t, w, old.Commit)
				})
			})
		}
	}
}

func TestWorkers_ABadColorTakesThemBackToo(t *testing.T) {
	t.Parallel()
	inStack(t, "after", func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		sha := w.Forge().Push("main", withWorkers("after"))
		w.Engine().BehaveAs(sha, "web", pipelinetest.Behavior{ExitAfter: 9 * time.Second, ExitCode: 1})
		d := deploy(t, w, sha, pipeline.Push)
		wantState(t, w, d.ID, pipeline.RolledBack)
		wantVisitors(t, w, old.ID)
		wantRunning(t, w, old.Commit)
	})
}

func TestWorkers_ARollbackBringsTheirCommitBack(t *testing.T) {
	t.Parallel()
	inStack(t, "after", func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		wantState(t, w, deploy(t, w, w.Forge().Push("main", withWorkers("after")), pipeline.Push).ID, pipeline.Live)
		back := w.Ledger().QueueRollback(old)
		if err := w.Run(t.Context(), back.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, back.ID, pipeline.Live)
		wantRunning(t, w, old.Commit)
	})
}

func TestWorkers_AnOldOneWithALongGraceIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		files := map[string]string{"Dockerfile": "FROM scratch", "compose.yml": `
services:
  web: {build: .}
  queue: {build: ., command: [queue], stop_grace_period: 4h}
`}
		w := pipelinetest.New()
		w.Ledger().SetCompose("compose.yml")
		first := w.Forge().Push("main", files)
		w.Engine().BehaveAs(first, "queue", pipelinetest.Behavior{Lingers: 3 * time.Hour})
		wantState(t, w, deploy(t, w, first, pipeline.Push).ID, pipeline.Live)
		begun := time.Now()
		second := w.Forge().Push("main", files)
		wantState(t, w, deploy(t, w, second, pipeline.Push).ID, pipeline.Live)
		if took := time.Since(begun); took > 5*time.Minute {
			t.Errorf("the deployment took %s", took)
		}
		third := w.Forge().Push("main", files)
		wantState(t, w, deploy(t, w, third, pipeline.Push).ID, pipeline.Live)
		if got, want := running(w), []string{"queue " + first, "queue " + third, "web " + third}; !slices.Equal(got, want) {
			t.Errorf("runs %v, not %v", got, want)
		}
		signals := 0
		for _, call := range w.Calls() {
			if call == "engine.Detach" {
				signals++
			}
		}
		if signals != 2 { // the first one's and the second one's
			t.Errorf("%d signals were sent", signals)
		}
		time.Sleep(3 * time.Hour)
		if err := w.Runner().Reconcile(t.Context(), w.Ledger().Current); err != nil {
			t.Error(err)
		}
		for _, c := range w.Engine().Containers() {
			if c.Owner.Commit != third || c.Owner.Role == stack.Keep {
				t.Errorf("%s is left", c.Name)
			}
		}
	})
}
