package pipeline_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

// Somebody has the app's turn for long: it is removed, or an old database takes
// its time to stop. That another container died is heeded at once all the same.
func TestFollow_ADeathIsHeededWhileAnAppIsWaitedFor(t *testing.T) {
	t.Parallel()
	inStack(t, "after", func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		follow(t, w)
		done, err := w.Runner().Turn(t.Context(), "app1")
		if err != nil {
			t.Fatal(err)
		}
		var web string
		for _, c := range w.Engine().Containers() {
			switch c.Owner.Service {
			case "queue":
				w.Engine().Tell(c.ID, "destroy") // first, for then the engine still says whose it was
				if err := w.Engine().Remove(t.Context(), c.ID); err != nil {
					t.Fatal(err)
				}
			case "web":
				web = c.ID
			}
		}
		synctest.Wait()
		at := time.Now()
		if err := w.Engine().Stop(t.Context(), web); err != nil {
			t.Fatal(err)
		}
		w.Engine().Tell(web, "die")
		synctest.Wait()
		if left := targetsOf(t, w); len(left) != 0 || !time.Now().Equal(at) {
			t.Errorf("%v are left after %s", left, time.Since(at))
		}
		done()
		synctest.Wait()
		if w.Engine().Running("queue") != 1 {
			t.Error("the worker that was removed by hand was not made again")
		}
	})
}

func TestReconcile_OneAppThatTakesItsTimeKeepsNoOtherWaiting(t *testing.T) {
	t.Parallel()
	inStack(t, "after", func(t *testing.T, w *pipelinetest.World, live pipeline.Deployment) {
		done, err := w.Runner().Turn(t.Context(), "app1")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range w.Engine().Containers() {
			if c.Owner.Service == "queue" {
				if err := w.Engine().Remove(t.Context(), c.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
		slow := orphan(t, w, "slow")
		w.Engine().Linger(slow, time.Hour)
		quick := orphan(t, w, "quick")
		begun := time.Now()
		reconcile(t, w)
		reconcile(t, w)
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("two looks took %s", took)
		}
		left := there(w)
		if !left[slow] || left[quick] || w.Engine().Running("queue") != 0 {
			t.Errorf("left: %v, and %d worker(s)", left, w.Engine().Running("queue"))
		}
		done()
		time.Sleep(2 * time.Hour)
		if left := there(w); left[slow] || w.Engine().Running("queue") != 1 {
			t.Errorf("in the end: %v, and %d worker(s)", left, w.Engine().Running("queue"))
		}
	})
}

func there(w *pipelinetest.World) map[string]bool {
	out := map[string]bool{}
	for _, c := range w.Engine().Containers() {
		out[c.ID] = true
	}
	return out
}

// orphan is a container that runs for a deployment that nobody knows.
func orphan(t *testing.T, w *pipelinetest.World, service string) string {
	t.Helper()
	c, err := w.Engine().Ensure(t.Context(), pipeline.ContainerOrder{
		Owner: pipeline.Owner{App: "shop", AppID: "app1", Deployment: "gone", Service: service, Color: pipeline.Green},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Engine().Start(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	return c.ID
}

// A look reads that nothing is under way, and takes its time. What it then does
// for the old release must not meet a run that has begun since.
func TestReconcile_ASlowLookIsOverBeforeARunStopsAnything(t *testing.T) {
	t.Parallel()
	inStack(t, "after", func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		for _, c := range w.Engine().Containers() {
			if c.Owner.Service == "queue" {
				if err := w.Engine().Remove(t.Context(), c.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
		reads := 0
		slow := func(ctx context.Context) ([]pipeline.App, []pipeline.Deployment, error) {
			apps, active, err := w.Ledger().Current(ctx)
			if reads++; reads == 2 { // in the app's turn
				time.Sleep(10 * time.Minute)
			}
			return apps, active, err
		}
		watched(t, w)
		looked := make(chan error, 1)
		go func() { looked <- w.Runner().Reconcile(t.Context(), slow) }()
		time.Sleep(time.Second)
		sha := w.Forge().Push("main", withWorkers("after"))
		wantState(t, w, deploy(t, w, sha, pipeline.Push).ID, pipeline.Live)
		if err := <-looked; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		wantRunning(t, w, sha)
	})
}
