package pipeline_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

// wantCarried checks that the deployment is live with the very containers that
// there were, and that visitors were not moved.
func wantCarried(t *testing.T, w *pipelinetest.World, id string, was []pipeline.Container) {
	t.Helper()
	d := wantState(t, w, id, pipeline.Live)
	if d.Carries == "" || d.ReleaseID == "" || d.LiveAt.IsZero() || d.EndedAt.IsZero() {
		t.Errorf("it carries on %q with release %q, live at %s, ended at %s", d.Carries, d.ReleaseID, d.LiveAt, d.EndedAt)
	}
	if at := w.Proxy().Serving(w.Ledger().App().ID); at != d.Carries {
		t.Errorf("visitors are on %q, want %q", at, d.Carries)
	}
	if diff := diffContainers(was, w.Engine().Containers()); diff != "" {
		t.Errorf("containers (-were +are):\n%s", diff)
	}
	for _, other := range w.Ledger().All() {
		if other.ID != id && !other.State.Ended() || other.ID != id && other.State == pipeline.Live {
			t.Errorf("deployment %s is %s", other.ID, other.State)
		}
	}
}

func diffContainers(was, are []pipeline.Container) string {
	return cmp.Diff(was, are, cmpopts.EquateComparable(netip.Addr{}))
}

// changes are the calls since then that change something outside of the ledger.
func changes(w *pipelinetest.World, from int) []string {
	var out []string
	for _, call := range w.Calls()[from:] {
		name, _, _ := strings.Cut(call, " ")
		switch name {
		case "engine.List", "engine.Subnets", "engine.Built", "engine.Pulled", "engine.Inspect",
			"proxy.Entry", "proxy.Prove", "proxy.Visits", "proxy.Mode":
		default:
			if !strings.HasPrefix(call, "ledger.") && !strings.HasPrefix(call, "forge.") {
				out = append(out, call)
			}
		}
	}
	return out
}

func TestCarry_APushThatChangesNothingTouchesNothing(t *testing.T) {
	t.Parallel()
	inStack(t, "after", func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		was, from := w.Engine().Containers(), len(w.Calls())
		d := deploy(t, w, w.Forge().PushNothing("main"), pipeline.Push)
		wantCarried(t, w, d.ID, was)
		if did := changes(w, from); len(did) > 0 {
			t.Errorf("it did %q", did)
		}
		if d.Carries != old.ID || d.Color != old.Color || wantState(t, w, old.ID, pipeline.Retired).Carries != "" {
			t.Errorf("%s carries on %q on %s, want %q on %s", d.ID, d.Carries, d.Color, old.ID, old.Color)
		}
		for _, s := range d.Steps {
			if did := s.Name == "fetch" || s.Name == "plan"; did != (s.State == pipeline.StepDone) || s.EndedAt.IsZero() {
				t.Errorf("step %s is %s (%s)", s.Name, s.State, s.Detail)
			}
		}
		if text := w.Ledger().LogText(d.ID); !strings.Contains(text, "plan: nothing changes") {
			t.Errorf("the log does not say so:\n%s", text)
		}
	})
}

func TestCarry_OnlyWhatChangesNothingIsCarriedOn(t *testing.T) {
	t.Parallel()
	down := func(t *testing.T, w *pipelinetest.World) {
		t.Helper()
		if err := w.Engine().Stop(t.Context(), w.Engine().Containers()[0].ID); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		trigger pipeline.Trigger
		before  func(*testing.T, *pipelinetest.World)
		fail    string
	}{
		"asked for by hand":   {trigger: pipeline.Manual},
		"a redeploy":          {trigger: pipeline.Redeploy},
		"another environment": {before: func(_ *testing.T, w *pipelinetest.World) { w.Ledger().SetEnv(map[string]string{"A": "1"}) }},
		"another overlay": {before: func(_ *testing.T, w *pipelinetest.World) {
			w.Ledger().SetOverlay("services: {web: {stop_grace_period: 11s}}")
		}},
		"another route": {before: func(_ *testing.T, w *pipelinetest.World) {
			w.Ledger().ChangeApp(func(a *pipeline.App) { a.Routes[0].Path = "/shop" })
		}},
		"other files":            {before: func(_ *testing.T, w *pipelinetest.World) { w.Forge().Push("main", withWorkers("after")) }},
		"a container is down":    {before: down},
		"the engine has no list": {fail: "engine.List"},
		"the proxy forgot it": {before: func(t *testing.T, w *pipelinetest.World) {
			t.Helper()
			if err := w.Proxy().Drop(t.Context(), w.Ledger().App().ID); err != nil {
				t.Fatal(err)
			}
		}},
		"it does not answer": {fail: "proxy.Prove"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inStack(t, "after", func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
				if c.before != nil {
					c.before(t, w)
				}
				if c.trigger == "" {
					c.trigger = pipeline.Push
				}
				skip := 0
				if c.fail == "engine.List" {
					skip = 1 // that of the plan
				}
				w.Fail = func(call string, after bool) error {
					if call != c.fail || after {
						return nil
					}
					if skip--; skip == -1 {
						return errors.New("input/output error")
					}
					return nil
				}
				d := deploy(t, w, w.Forge().PushNothing("main"), c.trigger)
				w.Fail = nil
				wantState(t, w, d.ID, pipeline.Live)
				wantRunning(t, w, d.Commit)
				if d.Carries != "" || w.Proxy().Serving(d.AppID) != d.ID {
					t.Errorf("it carries on %q, visitors are on %q", d.Carries, w.Proxy().Serving(d.AppID))
				}
			})
		})
	}
}

func TestCarry_KilledAtAnyCallNothingIsTouched(t *testing.T) {
	t.Parallel()
	var was []pipeline.Container
	begin := func(t *testing.T) (*pipelinetest.World, string) {
		t.Helper()
		w := pipelinetest.New()
		w.Ledger().SetCompose("compose.yml")
		deploy(t, w, w.Forge().Push("main", withWorkers("after")), pipeline.Push)
		was = w.Engine().Containers()
		return w, w.Ledger().Queue(w.Forge().PushNothing("main"), pipeline.Push).ID
	}
	eachDeath(t, begin, func(t *testing.T, w *pipelinetest.World, id string) {
		t.Helper()
		startAgain(t, w)
		wantCarried(t, w, id, was)
	})
}

func TestCarry_WhoWasToldThatItEndsIsRight(t *testing.T) {
	t.Parallel()
	inStack(t, "after", func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		was := w.Engine().Containers()
		told := w.Ledger().Queue(w.Forge().PushNothing("main"), pipeline.Push)
		w.Ledger().Wish(told.ID, pipeline.ErrCanceled)
		if err := w.Run(t.Context(), told.ID); err != nil {
			t.Fatal(err)
		}
		d := wantState(t, w, told.ID, pipeline.Canceled)
		wantState(t, w, old.ID, pipeline.Live)
		if diff := diffContainers(was, w.Engine().Containers()); diff != "" || d.Carries != "" {
			t.Errorf("it carries on %q; containers:\n%s", d.Carries, diff)
		}

		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		heard := w.Ledger().Queue(w.Forge().PushNothing("main"), pipeline.Push)
		w.Fail = func(call string, _ bool) error {
			if call == "proxy.Prove" {
				cancel(pipeline.ErrCanceled)
			}
			return nil
		}
		if err := w.Run(ctx, heard.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, heard.ID, pipeline.Canceled)
		wantState(t, w, old.ID, pipeline.Live)
	})
}

func TestCarry_ThePlanSaysSo(t *testing.T) {
	t.Parallel()
	inStack(t, "after", func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		sum := planOf(t, w, w.Forge().PushNothing("main"))
		if !sum.Unchanged || len(sum.Create)+len(sum.Replace)+len(sum.Build)+len(sum.Release) > 0 || len(sum.Keep) != 1 {
			t.Errorf("unchanged=%t, the plan is\n%s", sum.Unchanged, text(sum))
		}
		if sum := planOf(t, w, w.Forge().Push("main", withWorkers("after"))); sum.Unchanged {
			t.Errorf("other files, and the plan is\n%s", text(sum))
		}
	})
}
