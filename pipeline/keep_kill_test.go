package pipeline_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

// cacheChanged is a world in which a version with a cache is live, and a push
// waits that changes the cache and behaves so itself.
func cacheChanged(web pipelinetest.Behavior) begun {
	return func(t *testing.T) (*pipelinetest.World, string) {
		w, _ := keptWorld(t)
		w.Ledger().SetOverlay(withRedis("8"))
		sha := w.Forge().Push("main", nil)
		w.Engine().Behave(sha, web)
		return w, w.Ledger().Queue(sha, pipeline.Push).ID
	}
}

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
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachDeath(t, cacheChanged(c.web), func(t *testing.T, w *pipelinetest.World, id string) {
				startAgain(t, w)
				reconcile(t, w)
				got := wantEnd(t, w, id, c.want)
				wantCache(t, w, map[bool]string{true: "8", false: "7"}[got.State == pipeline.Live])
				if t.Failed() {
					t.Log(w.Ledger().LogText(id))
				}
			})
		})
	}
}

// wantCache checks that the cache of that version runs, and no other is there,
// that it has the data of the first one, and reaches the web service.
func wantCache(t *testing.T, w *pipelinetest.World, version string) {
	t.Helper()
	now := redisAlone(t, w)
	if now.Image != "sha256:redis:"+version || !now.Always || now.Anonymous["/data"] != "volume1" {
		t.Errorf("the cache is %+v, want version %s", now, version)
	}
	if left := keptThere(w); len(left) != 1 {
		t.Errorf("left: %+v", left)
	}
	if m := w.Proxy().PeekMode("app1"); m.Kind != pipeline.ModeServe {
		t.Errorf("visitors meet %+v", m)
	}
	web := w.Engine().Answering("net-shopdefault/live", "web")
	if len(web) != 1 || web[0] != "shop-web-"+string(entryOf(t, w).Color)+"-"+w.Proxy().Serving("app1") {
		t.Errorf("to the cache, %v answer as web", web)
	}
}

func TestKeep_AnyCallMayFailAndOneStillRuns(t *testing.T) {
	t.Parallel()
	boom := errors.New("input/output error")
	eachFailure(t, boom, cacheChanged(pipelinetest.Behavior{}), func(t *testing.T, w *pipelinetest.World, failed failure) {
		if failed.said != nil {
			startAgain(t, w)
		}
		reconcile(t, w)
		visitorsAreServed(t, w)
		redisAlone(t, w)
		if m := w.Proxy().PeekMode("app1"); m.Kind != pipeline.ModeServe {
			t.Errorf("visitors meet %+v", m)
		}
		if t.Failed() {
			t.Log(w.Ledger().LogText(failed.id))
		}
	})
}

// What fails before the old cache is stopped leaves it as it was: nothing is
// done to it, and visitors do not wait for it.
func TestKeep_WhatFailsBeforeAnythingIsStoppedLeavesItUntouched(t *testing.T) {
	t.Parallel()
	begin := cacheChanged(pipelinetest.Behavior{})
	stopped := 0 // the moment
	synctest.Test(t, func(t *testing.T) {
		w, id := begin(t)
		before := len(w.Calls())
		counting(w, func(n int, call string, _ bool) error {
			if stopped > 0 || call != "engine.SetPolicy" {
				return nil
			}
			stopped = n
			for _, first := range []string{"engine.Ensure", "proxy.SetMode"} {
				if !slices.Contains(w.Calls()[before:], first) {
					t.Errorf("it is stopped before %s", first)
				}
			}
			return nil
		})
		if err := w.Run(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	})
	eachFailure(t, errors.New("input/output error"), begin, func(t *testing.T, w *pipelinetest.World, failed failure) {
		d := w.Ledger().All()[1]
		if failed.n >= stopped || d.ID == failed.id && d.State == pipeline.Live {
			return // not before, or not in vain
		}
		now := redisAlone(t, w)
		if now.Image != "sha256:redis:7" || now.Policy != "always" || time.Since(now.StartedAt) < time.Hour {
			t.Errorf("deployment is %s, the cache is %+v", d.State, now)
		}
		for _, effect := range w.Engine().Effects() {
			if call, name, _ := strings.Cut(effect, " "); name == now.Name && call != "engine.Start" && call != "engine.Join" && call != "engine.SetPolicy" {
				t.Errorf("the cache met %s", call)
			}
		}
		if told := done(w, "engine.SetPolicy", now.Name); told > 1 { // the first deployment's
			t.Errorf("its policy was set %d times", told)
		}
		if m := w.Proxy().PeekMode("app1"); m.Kind != pipeline.ModeServe {
			t.Errorf("visitors meet %+v", m)
		}
	})
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
