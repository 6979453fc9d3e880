package stack

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLoad_HonorsDependenciesInEveryForm(t *testing.T) {
	t.Parallel()
	got := mustLoad(t, several(t, `
services:
  web:
    build: .
    depends_on:
      db: {condition: service_healthy, restart: true}
      migrate: {condition: service_completed_successfully}
      gone: {condition: service_started, required: false}
      shell: {condition: service_started, required: false}
      front: {condition: service_started}
    links: ['db:postgres', 'search:elastic']
  migrate: {build: ., depends_on: [db]}
  shell: {build: ., profiles: [tools], depends_on: [web]}
  front: {image: nginx, ports: ['80:80'], depends_on: [web]}
  db: {image: d}
  cache: {image: c, depends_on: [web, db]}
  search: {image: s}
`, nil))
	web, _ := got.Service("web")
	want := []Dependency{
		{Service: "db", Condition: Healthy},
		{Service: "migrate", Condition: Completed},
		{Service: "search", Condition: Started},
	}
	if diff := cmp.Diff(want, web.DependsOn); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for name, alias := range map[string]string{"db": "postgres", "search": "elastic", "cache": ""} {
		if svc, _ := got.Service(name); strings.Join(svc.Names, " ") != alias {
			t.Errorf("%s is called %v", name, svc.Names)
		}
	}
	if cache, _ := got.Service("cache"); len(cache.DependsOn) != 1 || cache.DependsOn[0].Service != "db" {
		t.Errorf("a kept service waits for %v", cache.DependsOn)
	}
	text := strings.Join(got.Notes, "\n")
	for _, want := range []string{"depends_on.db.restart: has no effect", "front is not started, so nothing waits for it", "service cache: depends_on: does not wait for web"} {
		if !strings.Contains(text, want) {
			t.Errorf("does not note %q:\n%s", want, text)
		}
	}
}

func TestLoad_RefusesDependenciesThatCannotBeWaitedFor(t *testing.T) {
	t.Parallel()
	for compose, want := range map[string]string{
		"services: {web: {image: x, depends_on: [gone]}}":                                                                                                                         "depends_on: the files have no service gone",
		"services: {web: {image: x, links: ['gone:x']}}":                                                                                                                          "links: the files have no service gone",
		"services: {web: {image: x, depends_on: [t]}, t: {image: y, profiles: [p]}}":                                                                                              "depends_on: the service t is a task (it is behind the profile p), which a deployment does not start",
		"services: {web: {image: x, depends_on: {k: {condition: service_completed_successfully}}}, k: {image: y, x-swingbridge: {role: keep}}}":                                   "waits for the end of k, whose role is keep",
		"services: {web: {build: ., depends_on: {m: {condition: service_completed_successfully}}}, m: {build: ., depends_on: [w]}, w: {build: ., x-swingbridge: {role: worker}}}": "service m: depends_on: it runs to its end before the new color starts",
		"services: {web: {build: ., depends_on: [w]}, w: {build: ., x-swingbridge: {role: worker}}}":                                                                              "w is a worker (the files say so)",
		"services: {web: {image: x, links: ['db:k']}, db: {image: y}, k: {image: z}}":                                                                                             "links: the alias k is the name of another service",
		"services: {web: {image: x, depends_on: [a]}, a: {image: y, depends_on: [b]}, b: {image: y, depends_on: [a]}}":                                                            "waits for itself: a → b → a",
		"services: {web: {image: x, depends_on: [web]}}":                                                                                                                          "waits for itself: web → web",
		"services: {web: {image: x, external_links: [a]}}":                                                                                                                        "external_links: it would reach containers of others",
		"services: {web: {image: x, depends_on: {a: {condition: soon}}}, a: {image: y}}":                                                                                          "depends_on",
	} {
		refusedWith(t, several(t, compose, nil), want)
	}
}

func TestLoad_ReadsNetworks(t *testing.T) {
	t.Parallel()
	got := mustLoad(t, several(t, `
services:
  web: {image: x, networks: [front, default]}
  db: {image: y, networks: {back: {aliases: [db, main], priority: 3}}}
  alone: {image: z, networks: [default]}
  named: {image: z, networks: {default: {aliases: [n]}}}
networks:
  front: {driver: bridge, name: shop_front, ipam: {config: [{subnet: 10.0.0.0/24}]}, attachable: true}
  back: {internal: true, labels: {a: b}}
  unused: {driver: overlay, external: true}
  default: {driver_opts: {com.docker.network.bridge.name: br9}}
`, nil))
	if diff := cmp.Diff([]Network{{Name: "back", Internal: true, Labels: map[string]string{"a": "b"}}, {Name: "front"}}, got.Networks); diff != "" {
		t.Errorf("networks (-want +got):\n%s", diff)
	}
	want := map[string][]Join{
		"web": {{Network: "default"}, {Network: "front"}}, "db": {{Network: "back", Aliases: []string{"main"}}},
		"alone": nil, "named": {{Network: "default", Aliases: []string{"n"}}},
	}
	for _, svc := range got.Services {
		if diff := cmp.Diff(want[svc.Name], svc.Networks); diff != "" {
			t.Errorf("%s (-want +got):\n%s", svc.Name, diff)
		}
	}
	text := strings.Join(got.Notes, "\n")
	for _, want := range []string{"networks.front.name: has no effect", "networks.front: ipam and driver_opts have no effect", "networks.default: ipam and driver_opts", "networks.back.priority: has no effect"} {
		if !strings.Contains(text, want) {
			t.Errorf("does not note %q:\n%s", want, text)
		}
	}
}

func TestLoad_RefusesNetworksThatSwingbridgeDoesNotMake(t *testing.T) {
	t.Parallel()
	for rest, want := range map[string]string{
		"networks: {a: {ipv4_address: 10.0.0.2}}}}\nnetworks: {a: {}}": "networks.a.ipv4_address: addresses are Swingbridge's to choose",
		"networks: {a: {mac_address: '0'}}}}\nnetworks: {a: {}}":       "networks.a.mac_address: addresses are Swingbridge's",
		"networks: {a: {interface_name: e}}}}\nnetworks: {a: {}}":      "networks.a.interface_name: this version does not handle it",
		"networks: [a]}}": "networks: the network a is not declared",
		"networks: [a]}}\nnetworks: {a: {driver: macvlan}}":                "networks.a.driver: only networks of the driver bridge",
		"networks: [a]}}\nnetworks: {a: {enable_ipv6: true}}":              "networks.a.enable_ipv6: networks of an app have IPv4",
		"networks: [a]}}\nnetworks: {a: {external: true, name: b}}":        "network:b",
		"networks: [a]}}\nnetworks: {a: {labels: {dev.swingbridge.x: y}}}": "networks.a.labels: labels that begin",
		"networks: [a]}}\nnetworks: {a: {scope: swarm}}":                   "networks.a.scope: this version does not handle it",
	} {
		refusedWith(t, several(t, "services: {web: {image: x, "+rest+"\n", nil), want)
	}
}

func TestLoad_ReadsTheReleaseCommand(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]Command{
		"{service: web, command: python manage.py 'migrate all'}": {Service: "web", Args: []string{"python", "manage.py", "migrate all"}, Timeout: 10 * time.Minute},
		"{service: web, command: [sleep, 10, true], timeout: 1h}": {Service: "web", Args: []string{"sleep", "10", "true"}, Timeout: time.Hour},
		"{service: t-blue, command: '${RUN}'}":                    {Service: "t", Args: []string{"rake", "db"}, Timeout: 10 * time.Minute},
	} {
		in := several(t, "x-swingbridge: {release: "+release+"}\nservices: {web: {image: x}, t-blue: {build: .}, t-green: {build: .}}", nil)
		in.Env["RUN"] = "rake db"
		if diff := cmp.Diff(&want, mustLoad(t, in).Command); diff != "" {
			t.Errorf("%s (-want +got):\n%s", release, diff)
		}
	}
	if mustLoad(t, several(t, "services: {web: {image: x}}", nil)).Command != nil {
		t.Error("a command out of nothing")
	}
}

func TestLoad_ALaterReleaseCommandStandsAlone(t *testing.T) {
	t.Parallel()
	files := "x-swingbridge: {guard: {for: 1m, least: 5}, preview: {host: a.example.org}, release: {service: web, timeout: 2m, command: &c [migrate, all]}}\nservices: {web: {image: x, command: *c}}"
	for overlay, want := range map[string][]string{
		"{release: {command: [migrate, one]}}":                         {"migrate", "one"},
		"{release: {command: migrate one}}":                            {"migrate", "one"},
		"{release: {timeout: 2m}}":                                     {"migrate", "all"},
		"{guard: 2s, preview: b.example.org, release: {}}":             {"migrate", "all"},
		"{release: {command: !override [one]}}":                        {"one"},
		"{release: {command: [one]}}\n---\nservices: {db: {image: y}}": {"one"},
	} {
		in := several(t, files, nil)
		in.Overlay = "x-swingbridge: " + overlay
		got := mustLoad(t, in)
		if diff := cmp.Diff(&Command{Service: "web", Args: want, Timeout: 2 * time.Minute}, got.Command); diff != "" {
			t.Errorf("%s (-want +got):\n%s", overlay, diff)
		}
		if strings.Contains(overlay, "guard") && (got.Guard != 2*time.Second || got.Preview.Host != "b.example.org") {
			t.Errorf("%s: guard %s, preview %+v", overlay, got.Guard, got.Preview)
		}
	}
	in := several(t, files, nil)
	in.Overlay = "x-swingbridge: {release: {command: {a: b}}}"
	refusedWith(t, in, "overlay:1: x-swingbridge.release.command: not readable as a command")
}

func TestLoad_RefusesAReleaseCommandThatCannotRun(t *testing.T) {
	t.Parallel()
	for release, want := range map[string][]string{
		"{}":                                        {"release.service: name the service", "release.command: say what is to run"},
		"{service: gone, command: []}":              {"release.service: the files have no such service: there are db, front, web", "release.command: say what is to run"},
		"{service: db, command: a}":                 {"release.service: the command runs in the release's new image"},
		"{service: front, command: a}":              {"release.service: the command runs in the release's new image"},
		"{service: web, command: \"a 'b\"}":         {"release.command: not readable as a command"},
		"{service: web, command: [[a]]}":            {"release.command: not readable as a command"},
		"{service: web, command: {a: b}}":           {"release.command: not readable as a command"},
		"{service: web, command: a, timeout: 0s}":   {"release.timeout: must be between 1s and 24h"},
		"{service: web, command: a, order: before}": {"release.order: no such key"},
		"migrate": {"release: must be a mapping"},
		"{service: [web], command: a, timeout: soon}": {"release.service: must be a single value", "release.timeout: not a duration"},
	} {
		refusedWith(t, several(t, "x-swingbridge: {release: "+release+"}\nservices: {web: {image: x}, db: {image: y}, front: {image: caddy, ports: ['443:443']}}", nil), want...)
	}
}
