package stack

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

const fuzzSecret = "hunter2-hunter2-hunter2"

// FuzzLoad gives Load what strangers push: it answers a Stack that reaches
// nothing of the host, or a Refusal that tells no secret.
func FuzzLoad(f *testing.F) {
	names, err := filepath.Glob("testdata/*.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"settings", "files", "build", "refused-files"} {
		f.Add(composeOf(f, "testdata/"+name+".txtar"), "", []byte("A=1\n"))
	}
	samples, err := filepath.Glob("testdata/samples/*.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range slices.Concat(names, samples) {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "", []byte("A=1\n"))
	}
	f.Add([]byte("services: {web: {extends: {file: o.yml, service: a}}}"), "services: {web: {tty: !reset null}}", []byte("services: {a: {image: x}}"))
	f.Add([]byte("include: [o.yml]\nservices: {web: {image: x, volumes: ['d:/d']}}"), "volumes: {d: {driver_opts: {o: bind}}}", []byte("volumes: {d: }"))
	f.Add([]byte("services: {web: {image: x, volumes: ['./a:/a', './b.gone:/b:z', {type: bind, source: c.empty, target: /c}, /d]}}"), "", []byte{})
	f.Add([]byte("a: &a [*a]"), "x: &x {<<: *x}", []byte("\xff"))
	f.Add([]byte("services: {web: {build: ., depends_on: {db: {condition: service_healthy}, m: {condition: service_completed_successfully}}}, m: {build: ., links: ['db:d']}, db: {image: x, networks: {n: {aliases: [d]}}}, front: {image: c, ports: ['80:80']}}\nnetworks: {n: {internal: true}}"),
		"x-swingbridge: {release: {service: web, command: [a, 1], timeout: 1m}}\nservices: {w: {build: ., x-swingbridge: {role: worker, single: true, order: before}}}", []byte("FROM redis AS a\nFROM a"))
	f.Add([]byte("services: {web-blue: {build: ., environment: {C: blue}}, web-green: {build: ., profiles: [g], environment: {C: green}}}"), "", []byte{})
	f.Add([]byte("services: {web: {image: x, hostname: h, logging: {driver: fluentd}, volumes: ['d:/d:z']}, db: {image: y, hostname: h, ports: ['1:1'], ipc: private, network_mode: none}}\nvolumes: {d: {external: true}}"),
		"services: {web: {logging: {driver: local}, sysctls: {net.a: 1}, tmpfs: ['/a:exec']}}\nvolumes: {d: !override {labels: [a=b]}}", []byte{})
	f.Add([]byte("services: {web: {image: x, env_file: [a.env], label_file: b.env, secrets: [s]}}\nsecrets: {s: {file: c}}"), "", []byte("A=caf\xe9\nB='${A}'"))
	f.Add([]byte("jobs: {a: {extends: {file: /etc/x.yml, service: a}}}\nservices: {web: {extends: {file: o.yml, service: s}}}"), "jobs: !reset null", []byte("services: {s: {image: x, extends: {file: o.yml, service: s}}}"))
	f.Add([]byte("services: {web: null}"), "services: [web]", []byte("A=${A:?$$}"))
	f.Add([]byte("x-swingbridge: {guard: 15s, preview: a.example.org}\nservices: {web: {image: x, scale: 3}}"),
		"x-swingbridge: {guard: {for: 1m, errors: 1%, slower: off, least: 5}, preview: {token: '${SECRET}'}, front: {hsts: 2w, compression: off, max_body: 1g}}", []byte{})
	f.Fuzz(func(t *testing.T, compose []byte, overlay string, other []byte) {
		if len(compose)+len(overlay)+len(other) > 1<<14 {
			return
		}
		in := Input{
			App:     "shop",
			Files:   []File{{Path: "deploy/compose.yml", Content: compose}},
			Overlay: overlay,
			Env:     map[string]string{"SECRET": fuzzSecret, "A": "1"},
			Routes:  []Route{{Host: "example.org", Service: "web", Port: 80}},
			Read: func(name string) ([]byte, error) {
				if !inside(name) || path.Clean(name) != name {
					t.Errorf("asked for %q", name)
				}
				if strings.HasSuffix(name, ".gone") {
					return nil, fs.ErrNotExist
				}
				return other, nil
			},
			Find: func(name string) (Found, error) {
				if !inside(name) || path.Clean(name) != name {
					t.Errorf("looked for %q", name)
				}
				if strings.HasSuffix(name, ".gone") {
					return Found{}, fs.ErrNotExist
				}
				return Found{Folder: true, Empty: strings.HasSuffix(name, ".empty")}, nil
			},
		}
		got, err := Load(context.Background(), in)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		checkReach(t, got)
		checkNothingAllowed(t, got)
		roundTrip(t, got)
	})
}

func checkRefusal(t *testing.T, err error) {
	t.Helper()
	var refusal *Refusal
	if !errors.As(err, &refusal) || len(refusal.Problems) == 0 {
		t.Fatalf("neither a stack nor a refusal: %v", err)
	}
	if strings.Contains(err.Error(), fuzzSecret) {
		t.Errorf("tells a secret: %v", err)
	}
}

// checkReach says what must hold of every stack, in its own words.
func checkReach(t *testing.T, s Stack) {
	t.Helper()
	if web, ok := s.Service("web"); !ok || web.Role != Web || !web.Routed() {
		t.Fatalf("services: %+v", s.Services)
	}
	declared := map[string]bool{}
	for _, v := range s.Volumes {
		declared[v.Name] = true
		if strings.ContainsAny(v.External, "/\\") {
			t.Errorf("the external volume %q is a path", v.External)
		}
		for key, value := range v.Options {
			if strings.HasPrefix(value, "/") && !strings.HasPrefix(value, "//") || key == "o" && strings.Contains(value, "bind") && slices.Contains(strings.Split(value, ","), "bind") {
				t.Errorf("volume %s reaches the host: %s=%s", v.Name, key, value)
			}
		}
	}
	for _, svc := range s.Services {
		checkServiceReach(t, s, svc, declared)
	}
	if s.Guard < 0 || s.GuardLimits.Errors < 0 || s.GuardLimits.Errors > 1 || s.GuardLimits.Least < 0 || s.Front.MaxBody < 0 || s.Front.HSTS < 0 {
		t.Errorf("impossible limits: %v %+v %+v", s.Guard, s.GuardLimits, s.Front)
	}
	if p := s.Preview; p != nil && (p.Host == "" && p.Token == "" || p.Token != "" && len(p.Token) < minToken) {
		t.Errorf("a preview for anybody or nobody: %q", p.Host)
	}
}

func checkServiceReach(t *testing.T, s Stack, svc Service, declared map[string]bool) {
	t.Helper()
	for _, m := range svc.Mounts {
		checkMount(t, m, declared)
	}
	if b := svc.Build; b != nil {
		checkBuildReach(t, *b)
	}
	checkSettingsReach(t, svc)
	if svc.Build == nil && svc.Image == "" {
		t.Error("made from nothing")
	}
	if p := svc.Probe; svc.Role != Task && (p.Interval <= 0 || p.Timeout <= 0 || p.Within <= 0 || p.Successes < 1) || svc.Drain < 0 || svc.StopGrace < 0 {
		t.Errorf("impossible times: %+v %v %v", p, svc.Drain, svc.StopGrace)
	}
	if svc.Routed() != (svc.Probe.Port != 0) || svc.Routed() && svc.Role != Web {
		t.Errorf("a %s with ports %v and a probe of port %d", svc.Role, svc.Ports, svc.Probe.Port)
	}
	if svc.Replicas < 0 || svc.Replicas > maxReplicas || svc.Replicas > 1 && (svc.Role == Keep || svc.Single) {
		t.Errorf("%d replicas of a %s", svc.Replicas, svc.Role)
	}
	for _, d := range svc.DependsOn {
		on, ok := s.Service(d.Service)
		if !ok || on.Name == svc.Name || on.Role == Task && !on.Once || svc.Role == Keep && on.Role.Colored() || svc.Role == Web && on.Role == Worker {
			t.Errorf("%s cannot wait for %s", svc.Name, d.Service)
		}
	}
}

func checkMount(t *testing.T, m Mount, declared map[string]bool) {
	t.Helper()
	switch b := m.Bind; {
	case !path.IsAbs(m.Target) || m.Target == "/":
		t.Errorf("mounted at %q", m.Target)
	case b != nil && (m.Volume != "" || b.Host != "" || b.Placed != "" || (b.Repo == "") == (b.Data == "")):
		t.Errorf("neither of the commit nor of the app's data: %+v, %+v", m, b)
	case b != nil && (!inside(b.Repo+b.Data) || path.Clean(b.Repo+b.Data) != b.Repo+b.Data || b.Data == "."):
		t.Errorf("leads elsewhere: %+v", b)
	case b == nil && m.Volume != "" && (!declared[m.Volume] || strings.ContainsAny(m.Volume, "/\\")):
		t.Errorf("not the mount of a declared volume: %+v", m)
	}
}

func mounted(m Mount) Stack {
	return Stack{Services: []Service{{Name: "web", Role: Web, Image: "x", Mounts: []Mount{m}}}}
}

func TestCheckReach_SeesWhatReachesTheHost(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]Stack{
		"path as volume":   mounted(Mount{Volume: "/etc", Target: "/x"}),
		"path of the host": mounted(Mount{Bind: &Bind{Host: "/etc"}, Target: "/x"}),
		"data outside":     mounted(Mount{Bind: &Bind{Data: "../x"}, Target: "/x"}),
		"commit outside":   mounted(Mount{Bind: &Bind{Repo: "a/../../x"}, Target: "/x"}),
		"all data":         mounted(Mount{Bind: &Bind{Data: "."}, Target: "/x"}),
		"placed before":    mounted(Mount{Bind: &Bind{Data: "x", Placed: "/etc"}, Target: "/x"}),
		"both":             mounted(Mount{Bind: &Bind{Data: "x", Repo: "x"}, Target: "/x"}),
		"neither":          mounted(Mount{Bind: &Bind{}, Target: "/x"}),
		"host's sysctl":    {Services: []Service{{Name: "web", Role: Web, Image: "x", Settings: Settings{Sysctls: map[string]string{"kernel.core_pattern": "|/x"}}}}},
		"build outside":    {Services: []Service{{Name: "web", Role: Web, Build: &Build{Context: ".", Contexts: map[string]string{"a": "../b"}}}}},
		"file at /":        {Services: []Service{{Name: "web", Role: Web, Image: "x", Files: []Content{{Target: "/"}}}}},
		"bind option":      {Services: []Service{{Name: "web", Role: Web, Image: "x"}}, Volumes: []Volume{{Name: "a", Options: map[string]string{"o": "ro,bind"}}}},
	} {
		s.Services[0].Ports, s.Services[0].Probe = []int{80}, Probe{Port: 80, Interval: 1, Timeout: 1, Within: 1, Successes: 1}
		probe := &testing.T{}
		checkReach(probe, s)
		if !probe.Failed() {
			t.Errorf("%s: not seen", name)
		}
	}
}

// FuzzEncode checks that a document that is written back for compose-go says
// what it said before.
func FuzzEncode(f *testing.F) {
	names, err := filepath.Glob("testdata/*.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("a: {b: , c: '', d: ~, e: \"\\n x\", f: |-\n  y\n  z\n}"))
	f.Add([]byte("a: &x [1, 0o17, 1e3, yes, 'yes', 2020-01-01]\nb: {<<: {c: 1}, d: *x}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := newLoading(Input{})
		s, ok := l.parse("compose.yml", data)
		var before any
		if !ok || len(s.docs) != 1 || s.docs[0].Decode(&before) != nil {
			return
		}
		s.changed = true
		text, err := s.encode()
		if err != nil {
			return
		}
		var after any
		if err := yaml.Unmarshal(text, &after); err != nil {
			t.Fatalf("not readable any more: %v\n%s", err, text)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("says something else (-before +after):\n%s\n%s", diff, text)
		}
	})
}
