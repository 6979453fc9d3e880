package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

// A changed cache, killed at any call: one cache runs in the end, that of the
// release that is live, with its data, and never were there two.
func TestKeep_KilledAtAnyCallExactlyOneRunsInTheEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		web  pipelinetest.Behavior
		want pipeline.State
	}{
		"good push":           {want: pipeline.Live},
		"push that dies late": {web: pipelinetest.Behavior{ExitAfter: 3 * time.Second, ExitCode: 1}, want: pipeline.RolledBack},
	} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after=%t", name, after), func(t *testing.T) {
				t.Parallel()
				for n, done := 1, false; !done; n++ {
					done = keptKilledAt(t, n, after, c.web, c.want)
				}
			})
		}
	}
}

// keptKilledAt is like killedAt, for a push that changes the cache.
func keptKilledAt(t *testing.T, n int, after bool, web pipelinetest.Behavior, want pipeline.State) (done bool) {
	t.Helper()
	inKeptWorld(t, func(t *testing.T, w *pipelinetest.World, live pipeline.Deployment) {
		was := redisAlone(t, w)
		w.Ledger().SetOverlay(withRedis("8"))
		sha := w.Forge().Push("main", nil)
		w.Engine().Behave(sha, web)
		d := w.Ledger().Queue(sha, pipeline.Push)
		before := len(w.Calls())
		fail, hit := at(n, after, pipelinetest.ErrKilled)
		w.Fail = fail
		if err := w.Run(context.Background(), d.ID); err != nil && hit() == "" {
			t.Fatal(err)
		}
		w.Fail = nil
		done = n > len(w.Calls())-before
		if hit() != "" {
			startAgain(t, w)
		}
		reconcile(t, w)
		got, err := w.Ledger().Deployment(t.Context(), d.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got.State != want && !(want == pipeline.RolledBack && got.State == pipeline.Failed) {
			t.Errorf("%s (%s), want %s", got.State, got.Reason, want)
		}
		now := redisAlone(t, w)
		if (now.ID != was.ID) != (got.State == pipeline.Live) || !now.Always || now.Anonymous["/data"] != was.Anonymous["/data"] {
			t.Errorf("deployment is %s, the cache was %+v, is %+v", got.State, was, now)
		}
		if left := keptThere(w); len(left) != 1 {
			t.Errorf("left: %+v", left)
		}
		if m := w.Proxy().PeekMode("app1"); m.Kind != pipeline.ModeServe {
			t.Errorf("visitors meet %+v", m)
		}
		kept := w.Engine().Answering("net-shopdefault/live", "web")
		if len(kept) != 1 || kept[0] != "shop-web-"+string(colorOf(t, w))+"-"+w.Proxy().Serving("app1") {
			t.Errorf("to the cache, %v answer as web", kept)
		}
		if t.Failed() {
			t.Fatalf("killed at call %d (%s, after=%t)\n%s", n, hit(), after, w.Ledger().LogText(d.ID))
		}
	})
	return done || t.Failed()
}

func colorOf(t *testing.T, w *pipelinetest.World) pipeline.Color {
	t.Helper()
	return entryOf(t, w).Color
}

func TestKeep_AnyCallMayFailAndOneStillRuns(t *testing.T) {
	t.Parallel()
	boom := errors.New("input/output error")
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after=%t", after), func(t *testing.T) {
			t.Parallel()
			for n, done := 1, false; !done; n++ {
				inKeptWorld(t, func(t *testing.T, w *pipelinetest.World, live pipeline.Deployment) {
					w.Ledger().SetOverlay(withRedis("8"))
					d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
					before := len(w.Calls())
					fail, hit := at(n, after, boom)
					w.Fail = fail
					err := w.Run(t.Context(), d.ID)
					done = n > len(w.Calls())-before
					w.Fail = nil
					if err != nil {
						startAgain(t, w)
					}
					reconcile(t, w)
					visitorsAreServed(t, w)
					redisAlone(t, w)
					if m := w.Proxy().PeekMode("app1"); m.Kind != pipeline.ModeServe {
						t.Errorf("visitors meet %+v", m)
					}
					if t.Failed() {
						t.Fatalf("call %d (%s)\n%s", n, hit(), w.Ledger().LogText(d.ID))
					}
				})
				done = done || t.Failed()
			}
		})
	}
}

// The control: two caches that run are found out.
func TestRedisAlone_FindsASecondOne(t *testing.T) {
	t.Parallel()
	inKeptWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		second := redisAlone(t, w).Owner
		c, err := w.Engine().Ensure(t.Context(), pipeline.ContainerOrder{Owner: second, Fingerprint: "other"})
		if err == nil {
			err = w.Engine().Start(t.Context(), c.ID)
		}
		if err != nil || len(w.Engine().Doubles()) != 1 {
			t.Errorf("a second cache went unnoticed: %v, %v", w.Engine().Doubles(), err)
		}
	})
}
