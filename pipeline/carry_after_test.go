package pipeline_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

// withCache are the files of an app with workers and a kept service that may
// call them.
func withCache() map[string]string {
	files := withWorkers("after")
	files["compose.yml"] += "  cache: {image: \"cache:1\"}\n"
	return files
}

func TestCarry_WhatComesAfterwardsKnowsWhoMadeTheStack(t *testing.T) {
	t.Parallel()
	inStack(t, "after", func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		old := deploy(t, w, w.Forge().Push("main", withCache()), pipeline.Push)
		was := w.Engine().Containers()
		wantAll := func(commit string) {
			t.Helper()
			want := []string{"beat " + commit, "cache ", "queue " + commit, "web " + commit}
			if got := running(w); !slices.Equal(got, want) {
				t.Errorf("what runs is %q, want %q", got, want)
			}
		}
		deploy(t, w, w.Forge().PushNothing("main"), pipeline.Push)
		second := deploy(t, w, w.Forge().PushNothing("main"), pipeline.Poll)
		wantCarried(t, w, second.ID, was)
		if second.Carries != old.ID {
			t.Errorf("the second one carries on %s", second.Carries)
		}
		from := len(w.Calls())
		reconcile(t, w)
		if did := changes(w, from); len(did) > 0 {
			t.Errorf("reconciling did %q", did)
		}
		// One that fails goes back to it, one that replaces it leaves nothing of it.
		sha := w.Forge().Push("main", withCache())
		w.Engine().BehaveAs(sha, "queue", pipelinetest.Behavior{ExitAfter: 1, ExitCode: 1})
		wantState(t, w, deploy(t, w, sha, pipeline.Push).ID, pipeline.RolledBack)
		wantCarriedOn(t, w, second, was)
		third := deploy(t, w, w.Forge().Push("main", withCache()), pipeline.Push)
		wantState(t, w, third.ID, pipeline.Live)
		wantState(t, w, second.ID, pipeline.Retired)
		wantAll(third.Commit)
		if third.Color == second.Color || w.Proxy().Serving(third.AppID) != third.ID {
			t.Errorf("visitors are on %s, %s", w.Proxy().Serving(third.AppID), third.Color)
		}
		back := w.Ledger().QueueRollback(second)
		if err := w.Run(t.Context(), back.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, back.ID, pipeline.Live)
		wantAll(second.Commit)
	})
}

// wantCarriedOn checks that visitors are on the stack, which runs as it did but
// may have been stopped meanwhile.
func wantCarriedOn(t *testing.T, w *pipelinetest.World, d pipeline.Deployment, was []pipeline.Container) {
	t.Helper()
	wantState(t, w, d.ID, pipeline.Live)
	if at := w.Proxy().Serving(d.AppID); at != d.Carries {
		t.Errorf("visitors are on %q, want %q", at, d.Carries)
	}
	names := func(all []pipeline.Container) (out []string) {
		for _, c := range all {
			out = append(out, fmt.Sprintf("%s, runs=%t, again=%t, on %q", c.Name, c.Running, c.Always, slices.Sorted(slices.Values(c.Networks))))
		}
		slices.Sort(out)
		return out
	}
	if diff := cmp.Diff(names(was), names(w.Engine().Containers())); diff != "" {
		t.Errorf("containers (-were +are):\n%s", diff)
	}
}

func TestCarry_AStackThatIsCarriedOnIsMended(t *testing.T) {
	t.Parallel()
	inStack(t, "after", func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		was := w.Engine().Containers()
		d := deploy(t, w, w.Forge().PushNothing("main"), pipeline.Push)
		for _, c := range was {
			if err := w.Engine().Remove(t.Context(), c.ID); err != nil {
				t.Fatal(err)
			}
		}
		reconcile(t, w)
		reconcile(t, w) // the proxy is pointed at what runs
		wantCarriedOn(t, w, d, was)
	})
}

// inCarried runs the test in a world whose live deployment carries on the stack of
// another one.
func inCarried(t *testing.T, f func(t *testing.T, w *pipelinetest.World, maker pipeline.Deployment)) {
	t.Helper()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, maker pipeline.Deployment) {
		if d := deploy(t, w, w.Forge().PushNothing("main"), pipeline.Push); d.StackID() != maker.ID {
			t.Fatalf("%s has the stack %s", d.ID, d.StackID())
		}
		f(t, w, maker)
	})
}

func TestCarry_WhatIsOpenOnItIsDrained(t *testing.T) {
	t.Parallel()
	inCarried(t, func(t *testing.T, w *pipelinetest.World, maker pipeline.Deployment) {
		d := drained(t, w, maker)
		wantServed(t, w, d.ID)
	})
}

func TestCarry_ReconcilingBesideARunReachesItAgain(t *testing.T) {
	t.Parallel()
	inCarried(t, func(t *testing.T, w *pipelinetest.World, maker pipeline.Deployment) {
		restartedDuringABuild(t, w, maker, false)
	})
}

func TestCarry_WhatVisitorsGotFromItIsTheMeasureOfTheNext(t *testing.T) {
	t.Parallel()
	inCarried(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		d := pushUnder(t, w, func(bool, time.Duration) pipeline.Visits { return share(10) })
		wantState(t, w, d.ID, pipeline.Live)
	})
}

func TestCarry_ThePreviewIsShownBesideIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := pipelinetest.New()
		w.Ledger().SetOverlay(shortGuard)
		deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		deploy(t, w, w.Forge().PushNothing("main"), pipeline.Push)
		d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		if text := w.Ledger().LogText(d.ID); !strings.Contains(text, "preview of green: green.example.org") {
			t.Errorf("it was not shown:\n%s", text)
		}
	})
}
