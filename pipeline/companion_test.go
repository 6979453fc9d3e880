package pipeline_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// withCompanions is a web service and two that it needs, without routes.
const withCompanions = "services: {web: {depends_on: {api: {condition: service_healthy}}}, api: {build: ., depends_on: {zone: {condition: service_healthy}}}, zone: {build: .}}"

func TestRun_CompanionsStartFirstAndAreReachedByNoVisitor(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		w.Ledger().SetOverlay(withCompanions)
		d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		d = wantState(t, w, d.ID, pipeline.Live)
		var order []string
		there := w.Engine().Containers()
		started := slices.SortedFunc(slices.Values(there), func(a, b pipeline.Container) int { return a.StartedAt.Compare(b.StartedAt) })
		for _, c := range started {
			order = append(order, c.Owner.Service)
			if !c.Running || !c.Always || c.Edge.IsValid() != (c.Owner.Service == "web") {
				t.Errorf("container %+v", c)
			}
		}
		if diff := cmp.Diff([]string{"zone", "api", "web"}, order); diff != "" {
			t.Errorf("started (-want +got):\n%s", diff)
		}
		if e := entryOf(t, w); len(e.Paths) != 1 || len(e.Paths[0].Targets) != 1 {
			t.Errorf("entry %+v", e)
		}
		for _, s := range d.Steps {
			if s.Name == "probe" && !strings.Contains(s.Detail, "api: runs, 2 of 2 in a row") {
				t.Errorf("probe: %s", s.Detail)
			}
		}
	})
}

func TestRun_AWebServiceStartsWhenTheCompanionThatItNeedsIsHealthy(t *testing.T) {
	t.Parallel()
	const overlay = "services: {web: {depends_on: {api: {condition: service_healthy}}}, api: {build: ., healthcheck: {test: [CMD, ok]}}}"
	for name, c := range map[string]struct {
		api  pipelinetest.Behavior
		want string // of the reason
	}{
		"after a while": {api: pipelinetest.Behavior{UpAfter: 20 * time.Second}},
		"never":         {api: pipelinetest.Behavior{Health: "unhealthy"}, want: "service web: it waits for service api to be healthy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
				w.Ledger().SetOverlay(overlay)
				sha := w.Forge().Push("main", nil)
				w.Engine().BehaveAs(sha, "api", c.api)
				d := deploy(t, w, sha, pipeline.Push)
				if c.want != "" {
					if d.State != pipeline.Failed || !strings.Contains(d.Reason, c.want) || done(w, "engine.Start", "web-green-"+d.ID) > 0 {
						t.Errorf("%s: %s; started %d times", d.State, d.Reason, done(w, "engine.Start", "web-green-"+d.ID))
					}
					wantServed(t, w, old.ID)
					return
				}
				wantState(t, w, d.ID, pipeline.Live)
				started := map[string]time.Time{}
				for _, one := range w.Engine().Containers() {
					started[one.Owner.Service] = one.StartedAt
				}
				if waited := started["web"].Sub(started["api"]); waited < c.api.UpAfter || len(started) != 2 {
					t.Errorf("web was started %s after api: %v", waited, started)
				}
			})
		})
	}
}

func TestRun_ACompanionThatEndsFailsTheDeployment(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		w.Ledger().SetOverlay(withCompanions)
		sha := w.Forge().Push("main", nil)
		w.Engine().Behave(sha, pipelinetest.Behavior{ExitAfter: time.Millisecond, ExitCode: 3, Output: "no such table"})
		d := deploy(t, w, sha, pipeline.Push)
		if d = wantState(t, w, d.ID, pipeline.Failed); !strings.Contains(d.Reason, "service api: it waits for service zone to be healthy") {
			t.Errorf("reason: %s", d.Reason)
		}
		wantServed(t, w, old.ID)
	})
}

func TestRender_TakesOverRedirectsOfHostsForWhichTheAppHasNone(t *testing.T) {
	t.Parallel()
	w := pipelinetest.New()
	sha := w.Forge().Push("main", map[string]string{
		"Dockerfile": "FROM scratch",
		"compose.yml": "services:\n  web-a: {build: .}\n  web-b: {build: .}\n  front: {image: caddy, ports: ['80:80'], " +
			"volumes: ['./Caddyfile:/etc/caddy/Caddyfile']}\n",
		"Caddyfile": "www.example.org, old.example.org {\n\tredir https://example.org{uri}\n}\n",
	})
	tree, err := w.Forge().Fetch(t.Context(), "acme/shop", "main", sha)
	if err != nil {
		t.Fatal(err)
	}
	app := pipeline.App{
		Name: "shop", Compose: []string{"compose.yml"}, Routes: []pipeline.Route{{Host: "example.org", Service: "web-b", Port: 80}},
		Redirects: []stack.Redirect{{Host: "www.example.org", To: "example.com"}},
	}
	got, err := pipeline.Render(context.Background(), app, tree, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []stack.Redirect{{Host: "www.example.org", To: "example.com"}, {Host: "old.example.org", To: "example.org", Status: 302}}
	if diff := cmp.Diff(want, got.Redirects); diff != "" {
		t.Errorf("redirects (-want +got):\n%s", diff)
	}
	if len(app.Redirects) != 1 || got.Routes[0].Service != "web" {
		t.Errorf("the app's redirects %v, routes of the stack %v", app.Redirects, got.Routes)
	}
	app.Overlay = "x-swingbridge: {preview: old.example.org}"
	if _, err := pipeline.Render(context.Background(), app, tree, nil); err == nil || !strings.Contains(err.Error(), "x-swingbridge.preview: the host old.example.org") {
		t.Errorf("a preview on the host of a redirect: %v", err)
	}
}
