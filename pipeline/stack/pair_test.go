package stack

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func loadText(t *testing.T, compose string) (Stack, error) {
	t.Helper()
	return Load(context.Background(), several(t, compose, nil))
}

func TestLoad_FoldsAPairIntoOneWebService(t *testing.T) {
	t.Parallel()
	const pair = `services:
  web-A: {build: ., image: app-1, ports: ['8001:80'], labels: {color: A}, environment: {KIND: x, COLOR: 'it is A', SELF: web-A:80}, x-swingbridge: {drain: 5s}, depends_on: [web-B, db]}
  web-B: {build: ., image: app-2, ports: ['8002:80'], profiles: [second], environment: {KIND: x, COLOR: 'it is B', SELF: web-B:80}, depends_on: {db: {condition: service_started}}}
  other: {build: ., depends_on: [web-B], links: ['web-A:friend']}
  db: {image: d}
`
	for _, words := range suffixes() {
		for _, route := range []string{"web", "web-" + words[0], "web-" + words[1]} {
			compose := strings.NewReplacer("web-A", "web-"+words[0], "web-B", "web-"+words[1], "is A", "is "+words[0], "is B", "is "+words[1]).Replace(pair)
			in := several(t, compose, nil)
			in.Routes[0].Service = route
			got := mustLoad(t, in)
			web, ok := got.Service("web")
			if !ok || web.Role != Web || len(got.Services) != 3 {
				t.Fatalf("%s: services %+v", route, got.Services)
			}
			if diff := cmp.Diff([]string{"web-" + words[0], "web-" + words[1], "friend"}, web.Names); diff != "" {
				t.Errorf("%s: names (-want +got):\n%s", route, diff)
			}
			if got.Routes[0].Service != "web" || in.Routes[0].Service != route {
				t.Errorf("routes %v, the app's own %v", got.Routes, in.Routes)
			}
			if web.Env["COLOR"] != "it is "+words[0] || web.Drain.Seconds() != 5 || web.Ports[0] != 8000 {
				t.Errorf("%s: %+v", route, web)
			}
			if text := strings.Join(got.Notes, "\n"); !strings.Contains(text, "environment.COLOR: differs between the two colors") || strings.Contains(text, "KIND") {
				t.Errorf("notes:\n%s", text)
			}
			if diff := cmp.Diff([]Dependency{{Service: "db", Condition: Started}}, web.DependsOn); diff != "" {
				t.Errorf("depends on (-want +got):\n%s", diff)
			}
			other, _ := got.Service("other")
			if diff := cmp.Diff([]Dependency{{Service: "web", Condition: Started}}, other.DependsOn); diff != "" {
				t.Errorf("the other depends on (-want +got):\n%s", diff)
			}
		}
	}
}

func TestLoad_RefusesARoutedPairThatIsNone(t *testing.T) {
	t.Parallel()
	for second, key := range map[string]string{
		"build: ., environment: {A: '1'}, command: a": "command",
		"build: ., environment: {A: '2'}":             "environment.A",
		"build: ., environment: {A: '1', B: '1'}":     "environment.B",
		"build: ., environment: {A: '1'}, user: me":   "user",
		"image: x, environment: {A: '1'}":             "build, image",
		"build: ., x-swingbridge: {drain: 1s}":        "environment.A, x-swingbridge",
	} {
		in := several(t, "services:\n  web-a: {build: ., environment: {A: '1'}, x-swingbridge: {drain: 2s}}\n  web-b: {"+second+"}\n", nil)
		in.Routes[0].Service = "web-a"
		refusedWith(t, in, "compose.yml:3: service web-b looks like the other color of web-a, but differs in "+key+":")
	}
}

// A route must lead somewhere, also where one of the two would be no part of a
// deployment.
func TestLoad_RefusesARouteToAPairThatIsNone(t *testing.T) {
	t.Parallel()
	for second, want := range map[string]string{
		"build: ., profiles: [g], command: a":        "compose.yml:3: service web-b looks like the other color of web-a, but differs in command",
		"build: ., x-swingbridge: {role: worker}":    "compose.yml:3: a route names web, and x-swingbridge.role says that web-a or web-b is no color of it",
		"image: x, x-swingbridge: {role: keep}":      "is no color of it",
		"build: ., profiles: [g], user: me, init: 1": "looks like the other color",
	} {
		refusedWith(t, several(t, "services:\n  web-a: {build: .}\n  web-b: {"+second+"}\n", nil), want)
	}
	in := several(t, "services:\n  web-a: {build: .}\n  web-b: {build: ., command: a}\n", nil)
	in.Routes = append(in.Routes, Route{Host: "b.example.org", Service: "web-b", Port: 80})
	refusedWith(t, in, "differs in command")
}

func TestLoad_LeavesServicesApartThatAreNoPair(t *testing.T) {
	t.Parallel()
	for name, compose := range map[string]string{
		"letters without a route": "services: {web: {image: x}, w-a: {build: .}, w-b: {build: .}}",
		"ready images":            "services: {web: {image: x}, w-blue: {image: y}, w-green: {image: y}}",
		"a name that is taken":    "services: {web: {build: .}, web-a: {build: .}, web-b: {build: .}}",
		"a role of its own":       "services: {web: {image: x}, w-blue: {build: .}, w-green: {build: ., x-swingbridge: {role: worker}}}",
		"one alone":               "services: {web: {image: x}, w-blue: {build: .}, w: {build: .}}",
		"unequal":                 "services: {web: {image: x}, w-blue: {build: .}, w-green: {build: ., command: a}}",
	} {
		if got := mustLoad(t, several(t, compose, nil)); len(got.Services) != 3 {
			t.Errorf("%s: %d services", name, len(got.Services))
		}
	}
	in := several(t, "services: {web-a: {image: x}, web-b: {image: y}}", nil)
	in.Routes = []Route{{Host: "a.example.org", Service: "web-a", Port: 80}, {Host: "b.example.org", Service: "web-b", Port: 80}}
	if got := mustLoad(t, in); len(got.Web()) != 2 {
		t.Errorf("two routed services that differ: %+v", got.Services)
	}
	folded := mustLoad(t, several(t, "services: {web: {image: x}, w-blue: {build: ., profiles: [blue]}, w-green: {build: ., profiles: [green]}}", nil))
	if w, ok := folded.Service("w"); !ok || w.Role != Worker {
		t.Errorf("a pair of built workers: %+v", folded.Services)
	}
}
