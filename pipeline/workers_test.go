package pipeline_test

import (
	"fmt"
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
		w := pipelinetest.New()
		w.Ledger().SetCompose("compose.yml")
		d := deploy(t, w, w.Forge().Push("main", withWorkers(order)), pipeline.Push)
		wantState(t, w, d.ID, pipeline.Live)
		f(t, w, d)
	})
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
		n := 0
		for _, c := range w.Engine().Containers() {
			if c.Running && c.Owner.Service == "beat" {
				n++
			}
		}
		if n > 1 {
			t.Errorf("at %s two of the single worker run", call)
		}
	}
}

func TestWorkers_AreHandedOverWithTheRelease(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"before", "after"} {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			inStack(t, order, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
				look := neverTwo(t, w)
				w.Fail = func(call string, after bool) error { look(call, after); return nil }
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
					look := neverTwo(t, w)
					w.Fail = func(call string, after bool) error { look(call, after); return nil }
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

// Wherever the server dies: in the end web and workers are of one commit, and
// there were never two schedulers.
func TestWorkers_AKillAtAnyCallLeavesOneCommit(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"before", "after"} {
		for _, at := range momentsOf(t, order) {
			t.Run(order+" "+at, func(t *testing.T) {
				t.Parallel()
				inStack(t, order, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
					sha := w.Forge().Push("main", withWorkers(order))
					d := w.Ledger().Queue(sha, pipeline.Push)
					look, name := neverTwo(t, w), naming()
					w.Fail = func(call string, after bool) error {
						look(call, after)
						if name(call, after) == at {
							return pipelinetest.ErrKilled
						}
						return nil
					}
					_ = w.Run(t.Context(), d.ID) // killed: what it says does not count
					w.Revive()
					w.Fail = func(call string, after bool) error { look(call, after); return nil }
					if err := w.Run(t.Context(), d.ID); err != nil {
						t.Fatal(err)
					}
					wantState(t, w, d.ID, pipeline.Live)
					wantVisitors(t, w, d.ID)
					wantRunning(t, w, sha)
				})
			})
		}
	}
}

// naming names moments of a run: the first few calls of each kind, before and
// after their effect. All others have no name.
func naming() func(call string, after bool) string {
	seen := map[string]int{}
	return func(call string, after bool) string {
		at := fmt.Sprintf("%s %t", call, after)
		if seen[at]++; seen[at] > 6 {
			return ""
		}
		return fmt.Sprintf("%s %d", at, seen[at])
	}
}

// momentsOf lists the moments of a good deployment.
func momentsOf(t *testing.T, order string) (out []string) {
	t.Helper()
	inStack(t, order, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		name := naming()
		w.Fail = func(call string, after bool) error {
			if at := name(call, after); at != "" {
				out = append(out, at)
			}
			return nil
		}
		deploy(t, w, w.Forge().Push("main", withWorkers(order)), pipeline.Push)
	})
	return out
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
