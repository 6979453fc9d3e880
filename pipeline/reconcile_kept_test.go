package pipeline_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// However a kept service is missed, it runs again as its file wants it: with its
// policy, on its networks, and beside no other one.
func TestReconcile_BringsAKeptServiceBack(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(t *testing.T, w *pipelinetest.World, id string) error{
		"removed": func(t *testing.T, w *pipelinetest.World, id string) error { return w.Engine().Remove(t.Context(), id) },
		"stopped": func(t *testing.T, w *pipelinetest.World, id string) error { return w.Engine().Stop(t.Context(), id) },
		"not to start again": func(t *testing.T, w *pipelinetest.World, id string) error {
			return w.Engine().SetPolicy(t.Context(), id, "no")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inKeptWorld(t, func(t *testing.T, w *pipelinetest.World, live pipeline.Deployment) {
				was := redisAlone(t, w)
				if err := lose(t, w, was.ID); err != nil {
					t.Fatal(err)
				}
				reconcile(t, w)
				now := redisAlone(t, w)
				if now.Name != was.Name || now.Image != was.Image || now.Policy != "always" || !slices.Equal(now.Networks, was.Networks) {
					t.Errorf("was %+v, is %+v", was, now)
				}
				if len(keptThere(w)) != 1 {
					t.Errorf("there: %+v", keptThere(w))
				}
			})
		})
	}
}

func TestReconcile_SaysThatAKeptServiceCannotBeMadeWithoutItsImage(t *testing.T) {
	t.Parallel()
	inKeptWorld(t, func(t *testing.T, w *pipelinetest.World, live pipeline.Deployment) {
		if err := w.Engine().Remove(t.Context(), redisAlone(t, w).ID); err != nil {
			t.Fatal(err)
		}
		w.Engine().LoseImages()
		err := w.Runner().Reconcile(t.Context(), w.Ledger().Current)
		if err == nil || !strings.Contains(err.Error(), "its image is no longer on the engine: deploy commit 0000000 again") {
			t.Errorf("reconciled: %v", err)
		}
	})
}

func TestReconcile_EndsKeptServicesOfNoReleaseAndOfNoApp(t *testing.T) {
	t.Parallel()
	nobody := func(context.Context) ([]pipeline.App, []pipeline.Deployment, error) { return nil, nil, nil }
	for name, c := range map[string]struct {
		owner   pipeline.Owner
		volume  bool // that no name leads to
		current pipeline.Current
		left    int
	}{
		"of no release": {owner: pipeline.Owner{AppID: "app1", Service: "mail", Role: stack.Keep}},
		"of no release, with an anonymous volume": {owner: pipeline.Owner{AppID: "app1", Service: "mail", Role: stack.Keep}, volume: true, left: 1},
		"of no app":                           {owner: pipeline.Owner{AppID: "gone", Service: "mail", Role: stack.Keep}, current: nobody},
		"of no app, with an anonymous volume": {owner: pipeline.Owner{AppID: "gone", Service: "mail", Role: stack.Keep}, volume: true, current: nobody, left: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, live pipeline.Deployment) {
				o := pipeline.ContainerOrder{Owner: c.owner, Image: "sha256:mail", Fingerprint: "f1"}
				if c.volume {
					o.Service.Mounts = []stack.Mount{{Target: "/data"}}
				}
				mail, err := w.Engine().Ensure(t.Context(), o)
				if err == nil {
					err = w.Engine().Start(t.Context(), mail.ID)
				}
				if err != nil {
					t.Fatal(err)
				}
				current := c.current
				if current == nil {
					current = w.Ledger().Current
				}
				for range 2 { // the second time there is nothing to do
					if err := w.Runner().Reconcile(t.Context(), current); err != nil && c.current == nil {
						t.Fatal(err)
					}
				}
				left := keptThere(w)
				if len(left) != c.left || w.Engine().Running("mail") > 0 || done(w, "engine.Stop", mail.Name) != 1 {
					t.Errorf("left: %+v after %v", left, w.Engine().Effects())
				}
			})
		})
	}
}

// What somebody changed by hand is told once, and left as it is.
func TestReconcile_TellsOnceWhatWasChangedByHand(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(c *pipeline.Container){
		"is paused":                         func(c *pipeline.Container) { c.Status = "paused" },
		"memory limit 1024 bytes, it was ":  func(c *pipeline.Container) { c.Limits.Memory = 1024 },
		"limit of CPUs 0.5, it was made wi": func(c *pipeline.Container) { c.Limits.CPUs = 0.5 },
		"restart policy unless-stopped, it": func(c *pipeline.Container) { c.Policy = "unless-stopped" },
		"was put on network bridge":         func(c *pipeline.Container) { c.Networks = append(c.Networks, "bridge") },
		"was taken off network net-shop":    func(c *pipeline.Container) { c.Networks = nil },
		"was called shop-redis-":            func(c *pipeline.Container) { c.Name = "cache" },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			inKeptWorld(t, func(t *testing.T, w *pipelinetest.World, live pipeline.Deployment) {
				was := redisAlone(t, w)
				var said bytes.Buffer
				runner := w.Runner()
				runner.Logger = slog.New(slog.NewTextHandler(&said, nil))
				reconcile := func(times int) {
					t.Helper()
					if err := runner.Reconcile(t.Context(), w.Ledger().Current); err != nil {
						t.Fatal(err)
					}
					if n := strings.Count(said.String(), "something was changed by hand"); n != times || times > 0 && !strings.Contains(said.String(), want) {
						t.Errorf("told %d times, want %d: %s", n, times, said.String())
					}
				}
				reconcile(0)
				w.Engine().Change(was.ID, change)
				before := len(w.Engine().Effects())
				reconcile(1)
				reconcile(1)
				for _, effect := range w.Engine().Effects()[before:] {
					if strings.HasPrefix(effect, "engine.Stop") || strings.HasPrefix(effect, "engine.Remove") {
						t.Errorf("it was met with %s", effect)
					}
				}
				w.Engine().Change(was.ID, func(c *pipeline.Container) { *c = was })
				reconcile(1)
				w.Engine().Change(was.ID, change)
				reconcile(2)
			})
		})
	}
}
