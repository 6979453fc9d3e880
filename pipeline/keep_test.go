package pipeline_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

// withRedis is a stack of the web service and a cache with an anonymous volume.
func withRedis(version string) string {
	return shortGuard + `
services:
  redis:
    image: redis:` + version + `
    volumes: [/data]
`
}

// redisAlone fails unless exactly one container of the cache runs, and one at
// most is there besides.
func redisAlone(t *testing.T, w *pipelinetest.World) pipeline.Container {
	t.Helper()
	var up []pipeline.Container
	for _, c := range keptThere(w) {
		if c.Running {
			up = append(up, c)
		}
	}
	if doubles := w.Engine().Doubles(); len(up) != 1 || len(doubles) > 0 {
		t.Fatalf("running: %+v, started beside another one: %v", up, doubles)
	}
	return up[0]
}

func keptThere(w *pipelinetest.World) []pipeline.Container {
	return slices.DeleteFunc(w.Engine().Containers(), func(c pipeline.Container) bool { return c.Owner.Deployment != "" })
}

// inKeptWorld begins where a version with a cache is live.
func inKeptWorld(t *testing.T, f func(*testing.T, *pipelinetest.World, pipeline.Deployment)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, live := keptWorld(t)
		f(t, w, live)
	})
}

func keptWorld(t *testing.T) (*pipelinetest.World, pipeline.Deployment) {
	t.Helper()
	w := pipelinetest.New()
	w.Ledger().SetOverlay(withRedis("7"))
	live := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
	wantState(t, w, live.ID, pipeline.Live)
	time.Sleep(time.Hour) // bubble time
	return w, live
}

func TestKeep_AnUnchangedServiceIsNotTouched(t *testing.T) {
	t.Parallel()
	inKeptWorld(t, func(t *testing.T, w *pipelinetest.World, live pipeline.Deployment) {
		was := redisAlone(t, w)
		if !was.Always || was.Owner.Color != "" || was.Owner.Role != "keep" {
			t.Errorf("kept container: %+v", was)
		}
		d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		wantState(t, w, d.ID, pipeline.Live)
		if now := redisAlone(t, w); now.ID != was.ID || !now.StartedAt.Equal(was.StartedAt) {
			t.Errorf("the cache was %s since %s, is %s since %s", was.ID, was.StartedAt, now.ID, now.StartedAt)
		}
	})
}

func TestKeep_AChangedServiceIsReplacedWithItsVolumeWhileVisitorsAreHeld(t *testing.T) {
	t.Parallel()
	inKeptWorld(t, func(t *testing.T, w *pipelinetest.World, live pipeline.Deployment) {
		was := redisAlone(t, w)
		w.Ledger().SetOverlay(withRedis("8"))
		var held []string
		w.Fail = func(call string, after bool) error {
			if (call == "engine.Stop" || call == "engine.Start") && w.Proxy().Serving("app1") == live.ID && !after {
				if m := w.Proxy().PeekMode("app1"); m.Kind == pipeline.ModeHold && !m.Until.IsZero() {
					held = append(held, call)
				}
			}
			return nil
		}
		d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		w.Fail = nil
		wantState(t, w, d.ID, pipeline.Live)
		now := redisAlone(t, w)
		if now.ID == was.ID || now.Image != "sha256:redis:8" || now.Anonymous["/data"] == "" || now.Anonymous["/data"] != was.Anonymous["/data"] {
			t.Errorf("was %+v, is %+v", was, now)
		}
		if !slices.Equal(held, []string{"engine.Stop", "engine.Start"}) {
			t.Errorf("visitors were held during %v", held)
		}
		if m := w.Proxy().PeekMode("app1"); m.Kind != pipeline.ModeServe {
			t.Errorf("visitors meet %+v", m)
		}
		if left := keptThere(w); len(left) != 1 {
			t.Errorf("left: %+v", left)
		}
	})
}

func TestKeep_AnOperatorsModeStaysAsItIs(t *testing.T) {
	t.Parallel()
	inKeptWorld(t, func(t *testing.T, w *pipelinetest.World, live pipeline.Deployment) {
		w.Ledger().SetMode(pipeline.Mode{Kind: pipeline.ModeMaintenance})
		reconcile(t, w)
		w.Ledger().SetOverlay(withRedis("8"))
		calls := len(w.Calls())
		d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		wantState(t, w, d.ID, pipeline.Live)
		if slices.Contains(w.Calls()[calls:], "proxy.SetMode") || w.Proxy().PeekMode("app1").Kind != pipeline.ModeMaintenance {
			t.Errorf("the mode was changed to %+v", w.Proxy().PeekMode("app1"))
		}
	})
}

func TestKeep_ReconcilingDoesNotEndTheHoldOfARun(t *testing.T) {
	t.Parallel()
	inKeptWorld(t, func(t *testing.T, w *pipelinetest.World, live pipeline.Deployment) {
		w.Ledger().SetOverlay(withRedis("8"))
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		ended := make(chan error, 1)
		go func() { ended <- w.Run(t.Context(), d.ID) }()
		for held := false; !held; time.Sleep(10 * time.Millisecond) {
			m := w.Proxy().PeekMode("app1")
			held = m.Kind == pipeline.ModeHold
		}
		reconcile(t, w)
		if m := w.Proxy().PeekMode("app1"); m.Kind != pipeline.ModeHold {
			t.Errorf("visitors meet %+v while the cache is replaced", m)
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if m := w.Proxy().PeekMode("app1"); m.Kind != pipeline.ModeServe {
			t.Errorf("visitors meet %+v", m)
		}
		redisAlone(t, w)
	})
}

func TestKeep_TheOldOneRunsAgainWhereTheDeploymentFails(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(w *pipelinetest.World, sha string){
		"new one ends": func(w *pipelinetest.World, _ string) {
			w.Engine().Behave("sha256:redis:8", pipelinetest.Behavior{ExitAfter: time.Millisecond, ExitCode: 1})
		},
		"web ends": func(w *pipelinetest.World, sha string) {
			w.Engine().Behave(sha, pipelinetest.Behavior{ExitAfter: time.Millisecond, ExitCode: 1})
		},
		"web dies watched": func(w *pipelinetest.World, sha string) {
			w.Engine().Behave(sha, pipelinetest.Behavior{ExitAfter: 3 * time.Second, ExitCode: 1})
		},
		"it cannot be made": func(w *pipelinetest.World, _ string) {
			w.Fail = func(call string, _ bool) error {
				if call == "engine.Ensure" {
					return errors.New("no space left on device")
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inKeptWorld(t, func(t *testing.T, w *pipelinetest.World, live pipeline.Deployment) {
				was := redisAlone(t, w)
				w.Ledger().SetOverlay(withRedis("8"))
				sha := w.Forge().Push("main", nil)
				breaks(w, sha)
				d := deploy(t, w, sha, pipeline.Push)
				w.Fail = nil
				if d.State != pipeline.Failed && d.State != pipeline.RolledBack {
					t.Fatalf("deployment is %s\n%s", d.State, w.Ledger().LogText(d.ID))
				}
				if now := redisAlone(t, w); now.ID != was.ID || !now.Always || now.Anonymous["/data"] != was.Anonymous["/data"] {
					t.Errorf("was %+v, is %+v", was, now)
				}
				if left := keptThere(w); len(left) != 1 {
					t.Errorf("left: %+v", left)
				}
				if m := w.Proxy().PeekMode("app1"); m.Kind != pipeline.ModeServe {
					t.Errorf("visitors meet %+v", m)
				}
				if at := w.Proxy().Serving("app1"); at != live.ID {
					t.Errorf("visitors are on %s", at)
				}
			})
		})
	}
}

func TestKeep_OfAFirstDeploymentThatFailsItsDataStaysInReach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := pipelinetest.New()
		w.Ledger().SetOverlay(withRedis("7"))
		sha := w.Forge().Push("main", nil)
		w.Engine().Behave(sha, pipelinetest.Behavior{ExitAfter: time.Millisecond, ExitCode: 1})
		d := deploy(t, w, sha, pipeline.Push)
		wantState(t, w, d.ID, pipeline.Failed)
		reconcile(t, w)
		left := keptThere(w)
		if len(left) != 1 || left[0].Running || left[0].Policy != "no" {
			t.Fatalf("left: %+v", left)
		}
		w.Ledger().SetOverlay(withRedis("8"))
		d = deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		wantState(t, w, d.ID, pipeline.Live)
		if now := redisAlone(t, w); now.Anonymous["/data"] != left[0].Anonymous["/data"] {
			t.Errorf("was %+v, is %+v", left[0], now)
		}
	})
}

func TestKeep_AServiceThatLeftTheFilesEndsOnceTheDeploymentIsLive(t *testing.T) {
	t.Parallel()
	inKeptWorld(t, func(t *testing.T, w *pipelinetest.World, live pipeline.Deployment) {
		w.Ledger().SetOverlay(shortGuard)
		w.Fail = func(call string, _ bool) error {
			if call == "ledger.Record guard done, to live" {
				redisAlone(t, w)
			}
			return nil
		}
		d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		w.Fail = nil
		wantState(t, w, d.ID, pipeline.Live)
		if log := w.Ledger().LogText(d.ID); !strings.Contains(log, "stop redis, which the files no longer have, and keep its container: volumes of it have no name") {
			t.Errorf("the log:\n%s", log)
		}
		// Nothing else leads to its volume: it stands still, and says so to nobody.
		left := keptThere(w)
		if len(left) != 1 || left[0].Running || left[0].Policy != "no" || left[0].Anonymous["/data"] == "" {
			t.Fatalf("left: %+v", left)
		}
		reconcile(t, w)
		if again := deploy(t, w, w.Forge().PushNothing("main"), pipeline.Push); again.Carries != d.ID {
			t.Errorf("a push that changes nothing carries on %q:\n%s", again.Carries, w.Ledger().LogText(again.ID))
		}
		w.Ledger().SetOverlay(withRedis("7"))
		wantState(t, w, deploy(t, w, w.Forge().Push("main", nil), pipeline.Push).ID, pipeline.Live)
		if now := redisAlone(t, w); now.Anonymous["/data"] != left[0].Anonymous["/data"] {
			t.Errorf("was %+v, is %+v", left[0], now)
		}
	})
}

func TestKeep_TheVolumeThatAServiceHadInAnothersPlaceIsNamed(t *testing.T) {
	t.Parallel()
	inKeptWorld(t, func(t *testing.T, w *pipelinetest.World, live pipeline.Deployment) {
		volume := redisAlone(t, w).Anonymous["/data"]
		w.Ledger().SetOverlay(strings.Replace(withRedis("7"), "[/data]", "[\"cache:/data\"]", 1) + "volumes: {cache: {}}\n")
		d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		wantState(t, w, d.ID, pipeline.Live)
		if now := redisAlone(t, w); len(now.Anonymous) > 0 {
			t.Errorf("it has %v", now.Anonymous)
		}
		want := "leave volume " + volume + " (/data) alone, which redis has had until now: its new container has something else there"
		if log := w.Ledger().LogText(d.ID); !strings.Contains(log, want) {
			t.Errorf("the log does not say %q:\n%s", want, log)
		}
	})
}

func TestKeep_AServiceWithoutVolumesThatLeftTheFilesIsRemoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := pipelinetest.New()
		w.Ledger().SetOverlay("services: {mail: {image: \"mail:1\"}}")
		wantState(t, w, deploy(t, w, w.Forge().Push("main", nil), pipeline.Push).ID, pipeline.Live)
		w.Ledger().SetOverlay("")
		wantState(t, w, deploy(t, w, w.Forge().Push("main", nil), pipeline.Push).ID, pipeline.Live)
		if left := keptThere(w); len(left) != 0 {
			t.Errorf("left: %+v", left)
		}
	})
}

func TestKeep_ARollbackLeavesWhatIsThereAlone(t *testing.T) {
	t.Parallel()
	inKeptWorld(t, func(t *testing.T, w *pipelinetest.World, first pipeline.Deployment) {
		w.Ledger().SetOverlay(withRedis("8") + "  mail:\n    image: mail:1\n")
		d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		wantState(t, w, d.ID, pipeline.Live)
		was := keptThere(w)
		first, err := w.Ledger().Deployment(t.Context(), first.ID)
		if err != nil {
			t.Fatal(err)
		}
		back := w.Ledger().QueueRollback(first)
		if err := w.Run(t.Context(), back.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, back.ID, pipeline.Live)
		reconcile(t, w)
		if now := keptThere(w); fmt.Sprint(now) != fmt.Sprint(was) {
			t.Errorf("was %+v, is %+v", was, now)
		}
		// A push takes the cache back and ends what no file names any more.
		w.Ledger().SetOverlay(withRedis("7"))
		d = deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		wantState(t, w, d.ID, pipeline.Live)
		if now := keptThere(w); len(now) != 1 || now[0].Image != "sha256:redis:7" {
			t.Errorf("left: %+v", now)
		}
	})
}
