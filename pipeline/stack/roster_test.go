package stack

import (
	"context"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// several is an app of several services with Dockerfiles in some folders; the
// route leads to web.
func several(t *testing.T, compose string, dockerfiles map[string]string) Input {
	t.Helper()
	in := setup(t, compose)
	in.Read = func(name string) ([]byte, error) {
		if text, ok := dockerfiles[name]; ok {
			return []byte(text), nil
		}
		if name == "Dockerfile" {
			return []byte("FROM python:3.13\n"), nil
		}
		return nil, fs.ErrNotExist
	}
	return in
}

func mustLoad(t *testing.T, in Input) Stack {
	t.Helper()
	got, err := Load(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func refusedWith(t *testing.T, in Input, words ...string) {
	t.Helper()
	_, err := Load(context.Background(), in)
	if err == nil {
		t.Fatalf("not refused")
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("does not say %q:\n%v", word, err)
		}
	}
}

func TestLoad_GivesEachServiceARoleAndSaysWhy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		compose     string
		dockerfiles map[string]string
		want        map[string]string // service to role and reason
		aside       string
	}{
		"a route": {
			"services: {web: {image: x}}", nil,
			map[string]string{"web": "web: a route names it"}, "",
		},
		"what the files say counts": {
			"services: {web: {image: x, x-swingbridge: {role: web}}, w: {image: y, x-swingbridge: {role: worker}}, p: {image: z, profiles: [x], x-swingbridge: {role: keep}}}", nil,
			map[string]string{"web": "web: ", "w": "worker: ", "p": "keep: "}, "",
		},
		"a profile": {
			"services: {web: {image: x}, shell: {image: x, profiles: [tools]}}", nil,
			map[string]string{"web": "web: a route names it", "shell": "task: it is behind the profile tools"}, "shell is a task",
		},
		"a front": {
			"services: {web: {image: x}, proxy: {image: caddy, ports: ['80:80', '443:443', '443:443/udp']}}", nil,
			map[string]string{"web": "web: a route names it"}, "proxy is not started: it publishes 80, 443",
		},
		"an end that is waited for": {
			"services: {web: {build: ., depends_on: {m: {condition: service_completed_successfully}}}, m: {build: .}}", nil,
			map[string]string{"web": "web: a route names it", "m": "task once: web waits for its end"}, "",
		},
		"the same build": {
			"services: {web: {build: .}, q: {build: {context: ./, dockerfile: ./Dockerfile}}, web2: {build: {context: ., dockerfile: Other}}}", map[string]string{"Other": ""},
			map[string]string{"web": "web: a route names it", "q": "worker: it is made from the same as web, and no route names it", "web2": "worker: it is built from the repository, and no route names it"}, "",
		},
		"the same image": {
			"services: {web: {image: 'x:1'}, q: {image: 'x:1'}, k: {image: 'x:2'}}", nil,
			map[string]string{"web": "web: a route names it", "q": "worker: it is made from the same as web, and no route names it", "k": "keep: it runs a ready image"}, "",
		},
		"an image that another service builds": {
			"services: {web: {build: ., image: app}, q: {image: app}}", nil,
			map[string]string{"web": "web: a route names it", "q": "worker: it is made from the same as web, and no route names it"}, "",
		},
		"companions": {
			"services: {web: {build: ., depends_on: [api]}, api: {build: api, depends_on: [auth]}, auth: {build: .}, other: {build: api}}", map[string]string{"api/Dockerfile": ""},
			map[string]string{
				"web": "web: a route names it", "api": "web: web depends on it", "auth": "web: api depends on it",
				"other": "worker: it is made from the same as api, and no route names it",
			}, "",
		},
		"built data stores": {
			"services: {web: {build: ., depends_on: [main-redis, b, c]}, main-redis: {build: r}, b: {build: r, expose: [5432/tcp]}, c: {build: {context: p, target: run}}, d: {build: r}}",
			map[string]string{"r/Dockerfile": "FROM alpine", "p/Dockerfile": "# it\nFROM golang AS make\nFROM --platform=linux/amd64 docker.io/library/postgres:17@sha256:0 as Run\nFROM scratch"},
			map[string]string{
				"web": "web: a route names it", "main-redis": "keep: it is called main-redis, as a data store", "b": "keep: it exposes 5432, a data store's port",
				"c": "keep: its Dockerfile begins with postgres, a data store", "d": "worker: it is built from the repository, and no route names it",
			}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := mustLoad(t, several(t, c.compose, c.dockerfiles))
			roles := map[string]string{}
			for _, svc := range got.Services {
				once := ""
				if svc.Once {
					once = " once"
				}
				roles[svc.Name] = string(svc.Role) + once + ": " + svc.Why
			}
			if diff := cmp.Diff(c.want, roles); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if !strings.Contains(strings.Join(got.Aside, "\n"), c.aside) || (c.aside == "") != (got.Aside == nil) {
				t.Errorf("aside %q", got.Aside)
			}
			if !slices.IsSortedFunc(got.Services, func(a, b Service) int { return strings.Compare(a.Name, b.Name) }) {
				t.Error("the services are not sorted")
			}
		})
	}
}

func TestLoad_RefusesRolesThatContradictTheFiles(t *testing.T) {
	t.Parallel()
	for compose, want := range map[string]string{
		"services: {web: {image: x, x-swingbridge: {role: keep}}}":                                             "x-swingbridge.role: a route names the service, so its role is web",
		"services: {web: {image: x, x-swingbridge: {order: before}}}":                                          "x-swingbridge.order: is for workers, and the role of this service is web (a route names it)",
		"services: {web: {image: x}, db: {image: y, x-swingbridge: {single: true}}}":                           "x-swingbridge.single: is for workers, and the role of this service is keep",
		"services: {web: {image: x}, w: {image: x, x-swingbridge: {single: true, detach: true}}}":              "x-swingbridge.detach: a single worker ends before",
		"services: {web: {image: x}, w: {image: x, x-swingbridge: {single: true, replicas: 2}}}":               "service w: one at a time",
		"services: {web: {image: x}, db: {image: y, scale: 2}}":                                                "service db: one at a time",
		"services: {web: {image: x}, w: {image: x, x-swingbridge: {order: during, single: 2, detach: maybe}}}": "must be before or after",
		"services: {web: {image: x, x-swingbridge: {role: database}}}":                                         "must be web, worker, keep or task",
	} {
		refusedWith(t, several(t, compose, nil), want)
	}
}

func TestLoad_ReadsWhatIsSaidOfWorkers(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]Service{
		"": {},
		", x-swingbridge: {order: before, single: true}":                           {Before: true, Single: true},
		", x-swingbridge: {order: after, single: false, detach: true}":             {Detach: true},
		", stop_grace_period: 2m":                                                  {Detach: true},
		", stop_grace_period: 1m":                                                  {},
		", stop_grace_period: 2m, x-swingbridge: {detach: false}":                  {},
		", stop_grace_period: 2m, x-swingbridge: {single: true}":                   {Single: true},
		", scale: 3, x-swingbridge: {probe: {within: 5m}}, stop_grace_period: 10s": {Replicas: 3},
	} {
		got, _ := mustLoad(t, several(t, "services: {web: {image: x}, w: {image: x"+said+"}}", nil)).Service("w")
		have := Service{Before: got.Before, Single: got.Single, Detach: got.Detach, Replicas: got.Replicas}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s (-want +got):\n%s", said, diff)
		}
	}
}

func TestLoad_KeptServicesHaveTheFilesRestartPolicyAndTheirOwnVariablesOnly(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"command: a":              "",
		"restart: unless-stopped": "unless-stopped",
		"restart: 'no'":           "no",
		"restart: on-failure:3":   "on-failure:3",
		"deploy: {restart_policy: {condition: none}}":                        "no",
		"deploy: {restart_policy: {condition: on-failure, max_attempts: 2}}": "on-failure:2",
		"deploy: {restart_policy: {condition: on-failure}}":                  "on-failure",
		"deploy: {restart_policy: {condition: any}}":                         "",
	} {
		in := several(t, "services: {web: {build: .}, redis: {build: ., "+said+", environment: {A: '${SECRET}'}, x-swingbridge: {role: keep}}}", nil)
		in.Env["SECRET"], in.Env["OTHER"] = "1", "2"
		got, _ := mustLoad(t, in).Service("redis")
		if got.Restart != want {
			t.Errorf("%s: %q", said, got.Restart)
		}
		if diff := cmp.Diff(map[string]string{"A": "1"}, got.Env); diff != "" {
			t.Errorf("environment (-want +got):\n%s", diff)
		}
	}
}

func TestLoad_LeavesATaskWithProblemsOutAndSaysWhy(t *testing.T) {
	t.Parallel()
	in := several(t, "services:\n  web: {image: x}\n  shell:\n    profiles: [tools]\n    build: nowhere\n    privileged: true\n    env_file: gone\n  fine: {image: x, profiles: [tools]}\n", nil)
	got := mustLoad(t, in)
	if _, there := got.Service("shell"); there {
		t.Error("the task is in the stack")
	}
	if _, there := got.Service("fine"); !there {
		t.Error("the other task is not in the stack")
	}
	text := strings.Join(got.Aside, "\n")
	for _, want := range []string{"compose.yml:5: service shell: build", "compose.yml:6: service shell: privileged", "compose.yml:7: service shell: env_file"} {
		if !strings.Contains(text, want) {
			t.Errorf("does not say %s:\n%s", want, text)
		}
	}
	in.Files[0].Content = []byte(strings.ReplaceAll(string(in.Files[0].Content), "profiles: [tools]", "restart: always"))
	refusedWith(t, in, "service shell: privileged", "service shell: env_file")
}

func TestLoad_SaysAllMissingVariablesAndFilesOfAllServicesAtOnce(t *testing.T) {
	t.Parallel()
	refusedWith(t, several(t, "services:\n  web: {image: 'x:${TAG:?which}', env_file: a.env}\n  w: {image: '${W:?}'}\n  db: {image: y, environment: {P: '${PW:?}'}}\n", nil),
		"compose.yml:2", "TAG has no value (which)", "compose.yml:3", "W has no value", "compose.yml:4", "PW has no value")
	refusedWith(t, several(t, "services:\n  web: {image: x, env_file: a.env}\n  w: {image: x, env_file: b.env}\n  db: {image: y, env_file: [c.env]}\n", nil),
		"service web: env_file: the commit has no file a.env", "service w: env_file: the commit has no file b.env", "service db: env_file: the commit has no file c.env")
}

func TestLevels_StartEachServiceAfterThoseItDependsOn(t *testing.T) {
	t.Parallel()
	services := []Service{
		{Name: "a", DependsOn: []Dependency{{Service: "b"}, {Service: "c"}}},
		{Name: "b", DependsOn: []Dependency{{Service: "c"}, {Service: "elsewhere"}}},
		{Name: "c"},
		{Name: "d"},
	}
	var got []string
	for _, level := range Levels(services) {
		var names []string
		for _, svc := range level {
			names = append(names, svc.Name)
		}
		got = append(got, strings.Join(names, " "))
	}
	if diff := cmp.Diff([]string{"c d", "b", "a"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	circle := []Service{{Name: "a", DependsOn: []Dependency{{Service: "b"}}}, {Name: "b", DependsOn: []Dependency{{Service: "a"}}}}
	if levels := Levels(circle); len(levels) != 1 || len(levels[0]) != 2 {
		t.Errorf("a circle: %v", levels)
	}
	if Levels(nil) != nil {
		t.Error("levels of nothing")
	}
}

func TestStack_ListsServicesByWhatADeploymentDoesWithThem(t *testing.T) {
	t.Parallel()
	s := Stack{Services: []Service{
		{Name: "a", Role: Web, Ports: []int{80}}, {Name: "b", Role: Worker}, {Name: "c", Role: Keep},
		{Name: "d", Role: Task}, {Name: "e", Role: Task, Once: true}, {Name: "f", Role: Web},
	}}
	names := func(services []Service) (out string) {
		for _, svc := range services {
			out += svc.Name
		}
		return out
	}
	got := map[string]string{"web": names(s.Web()), "worker": names(s.ByRole(Worker)), "task": names(s.ByRole(Task)), "colored": names(s.Colored()), "once": names(s.Once())}
	want := map[string]string{"web": "af", "worker": "b", "task": "de", "colored": "abf", "once": "e"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !s.Services[0].Routed() || s.Services[5].Routed() {
		t.Error("routed")
	}
}

func TestLoad_GivesAServiceThatBeginsSlowlyItsTime(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]time.Duration{
		"": 2 * time.Minute,
		", healthcheck: {test: [CMD, a], start_period: 30s}":                                       2 * time.Minute,
		", healthcheck: {test: [CMD, a], start_period: 10m}":                                       11 * time.Minute,
		", healthcheck: {test: [CMD, a], start_period: 10m}, x-swingbridge: {probe: {within: 3m}}": 3 * time.Minute,
	} {
		loaded := mustLoad(t, several(t, "services: {web: {image: x"+said+"}, w: {image: x"+said+"}}", nil))
		for _, svc := range loaded.Services {
			if svc.Probe.Within != want {
				t.Errorf("%s of %q may take %s, want %s", svc.Name, said, svc.Probe.Within, want)
			}
		}
	}
}
