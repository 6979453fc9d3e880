package pipeline_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

// byHand is an engine of which somebody has changed the containers.
type byHand struct {
	pipeline.Engine
	change func(*pipeline.Container)
}

func (e *byHand) List(ctx context.Context, f pipeline.Filter) ([]pipeline.Container, error) {
	there, err := e.Engine.List(ctx, f)
	for i := range there {
		e.change(&there[i])
	}
	return there, err
}

func TestDrift_IsFoundAndSaysWhatToDo(t *testing.T) {
	t.Parallel()
	const overlay = "services: {cache: {image: \"cache:1\", restart: unless-stopped}}"
	for name, c := range map[string]struct {
		service   string
		change    func(*pipeline.Container)
		what, fix string
	}{
		"a live container that was renamed":    {"web", func(c *pipeline.Container) { c.Name = "mine" }, "was called shop-web-", "deploy again, or docker rename mine shop-web-"},
		"a kept service that was renamed":      {"cache", func(c *pipeline.Container) { c.Name = "mine" }, "was called shop-cache-", "docker rename mine shop-cache-"},
		"a live container that was paused":     {"web", func(c *pipeline.Container) { c.Status = "paused" }, "is paused", "deploy again, or docker unpause shop-web-"},
		"less memory":                          {"cache", func(c *pipeline.Container) { c.Limits.Memory = 64 << 20 }, "has the memory limit 64 MiB, it was made with none", "set it back with docker update"},
		"fewer processors":                     {"web", func(c *pipeline.Container) { c.Limits.CPUs = 0.5 }, "has the limit of CPUs 0.5, it was made with none", "deploy again, or set it back with docker update"},
		"another restart policy":               {"cache", func(c *pipeline.Container) { c.Policy = "always" }, "has the restart policy always, its file says unless-stopped", "docker update --restart unless-stopped shop-cache-"},
		"a network that it was put on":         {"web", func(c *pipeline.Container) { c.Networks = append(slices.Clone(c.Networks), "office") }, "was put on network office", "deploy again, or docker network disconnect office shop-web-"},
		"a network that it was taken off":      {"cache", func(c *pipeline.Container) { c.Networks = nil }, "was taken off network ", "docker network connect --alias cache "},
		"a network that a color was taken off": {"web", func(c *pipeline.Container) { c.Networks = nil }, "was taken off network ", "deploy again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
				w.Ledger().SetOverlay(overlay)
				deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
				runner, app := w.Runner(), w.Ledger().App()
				runner.Engine = &byHand{w.Engine(), func(k *pipeline.Container) {
					if k.Owner.Service == c.service {
						c.change(k)
					}
				}}
				look(t, w, runner)
				found := runner.Drift(app.ID)
				ok := slices.ContainsFunc(found, func(d pipeline.Drift) bool {
					return d.Service == c.service && strings.HasPrefix(d.What, c.what) && strings.HasPrefix(d.Fix, c.fix) && d.Since.Equal(time.Now())
				})
				if !ok {
					t.Errorf("found %+v", found)
				}
			})
		})
	}
}

func look(t *testing.T, w *pipelinetest.World, r *pipeline.Runner) {
	t.Helper()
	if err := r.Reconcile(t.Context(), w.Ledger().Current); err != nil {
		t.Fatal(err)
	}
}

func TestDrift_IsKnownSinceItWasFirstSeenAndVanishesWithItsCause(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		hand := &byHand{w.Engine(), func(*pipeline.Container) {}}
		runner, app := w.Runner(), w.Ledger().App()
		runner.Engine = hand
		if look(t, w, runner); len(runner.Drift(app.ID)) != 0 {
			t.Fatalf("nothing was changed, and found is %+v", runner.Drift(app.ID))
		}
		if n, known := runner.Drifts()[app.Name]; n != 0 || !known {
			t.Errorf("nothing was changed, and counted is %v", runner.Drifts())
		}
		first := time.Now()
		hand.change = func(c *pipeline.Container) { c.Limits.Pids = 7 }
		look(t, w, runner)
		time.Sleep(time.Minute)
		hand.change = func(c *pipeline.Container) { c.Limits.Pids, c.Name = 7, "mine" }
		look(t, w, runner)
		found := runner.Drift(app.ID)
		if len(found) != 2 || !found[0].Since.Equal(time.Now()) || !found[1].Since.Equal(first) || found[1].Container != "mine" {
			t.Errorf("renamed a minute later, and found is %+v", found)
		}
		if runner.Drifts()[app.Name] != 2 {
			t.Errorf("counted is %v", runner.Drifts())
		}
		hand.change = func(*pipeline.Container) {}
		if look(t, w, runner); len(runner.Drift(app.ID)) != 0 || runner.Drifts()[app.Name] != 0 {
			t.Errorf("it was undone, and found is %+v", runner.Drift(app.ID))
		}
	})
}

func TestDrift_OfAnAppThatIsGoneIsForgotten(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		runner, app := w.Runner(), w.Ledger().App()
		runner.Engine = &byHand{w.Engine(), func(c *pipeline.Container) { c.Limits.Pids = 7 }}
		if look(t, w, runner); len(runner.Drift(app.ID)) != 1 {
			t.Fatalf("found %+v", runner.Drift(app.ID))
		}
		gone := func(ctx context.Context) ([]pipeline.App, []pipeline.Deployment, error) {
			_, active, err := w.Ledger().Current(ctx)
			return nil, active, err
		}
		if err := runner.Reconcile(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
		if len(runner.Drift(app.ID)) != 0 || len(runner.Drifts()) != 0 {
			t.Errorf("still there: %+v, counted %v", runner.Drift(app.ID), runner.Drifts())
		}
	})
}
