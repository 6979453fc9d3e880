package stack

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"
)

// setup is an app of one built service, as its compose file has it.
func setup(t *testing.T, compose string) Input {
	t.Helper()
	return Input{
		App:    "shop",
		Files:  []File{{Path: "compose.yml", Content: []byte(compose)}},
		Env:    map[string]string{},
		Routes: []Route{{Host: "example.org", Service: "web", Port: 8000}},
		Read: func(name string) ([]byte, error) {
			if name == "Dockerfile" {
				return nil, nil
			}
			return nil, fs.ErrNotExist
		},
	}
}

func load1(t *testing.T, in Input) Service {
	t.Helper()
	got, err := Load(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return got.Services[0]
}

func TestStack_ComesBackFromJSONAsItWas(t *testing.T) {
	t.Parallel()
	yes := true
	for _, s := range []Stack{
		{Services: []Service{{Name: "nil"}, {Name: "empty", Command: []string{}, Entrypoint: []string{}}}},
		{
			Services: []Service{{
				Name: "web", Role: Web, Build: &Build{Context: ".", Args: map[string]string{"A": ""}, Secrets: []string{"S"}},
				Command: []string{""}, Env: map[string]string{"A": "\x00\u2028<&>", "B": ""},
				Health: &Health{Test: []string{"NONE"}, Interval: time.Nanosecond}, Init: &yes, Expose: []int{1},
				Tmpfs: map[string]string{"/t": ""}, Mounts: []Mount{{Volume: "v", Target: "/v", NoCopy: true}},
				Log: &Log{}, Limits: Limits{Memory: 1 << 50, CPUs: 0.123, Pids: -1}, Ports: []int{80},
				Probe: Probe{StatusMin: 200, Within: time.Hour}, Drain: 1<<62 + 1,
			}},
			Volumes: []Volume{{Name: "v", External: "w"}}, Guard: 15 * time.Second, Keep: 5, Notes: []string{"n"},
		},
	} {
		roundTrip(t, s)
	}
}

func TestKey_IsTheSameForTheSameContentOnly(t *testing.T) {
	t.Parallel()
	base := Build{Context: ".", Dockerfile: "Dockerfile", Target: "a", Args: map[string]string{"A": "1", "B": "2"}, Secrets: []string{"X", "Y"}}
	key := Key(base, "tree", "fp")
	if len(key) < 16 || strings.Trim(key, "0123456789abcdef") != "" {
		t.Fatalf("key %q", key)
	}
	same := base
	same.Secrets, same.Context = []string{"Y", "X"}, "elsewhere/with/the/same/tree"
	same.NoCache, same.Pull, same.ShmSize = true, true, 1<<20
	same.Renamed, same.Held = map[string]string{"X": "OTHER"}, map[string][]byte{"Y": []byte("in the fingerprint")}
	if got := Key(same, "tree", "fp"); got != key {
		t.Errorf("what does not change the image changes the key")
	}
	seen := map[string]string{key: "base"}
	change := func(name string, f func(*Build), tree, fp string) {
		b := base
		f(&b)
		got := Key(b, tree, fp)
		if other, twice := seen[got]; twice {
			t.Errorf("%s has the key of %s", name, other)
		}
		seen[got] = name
	}
	keep := func(*Build) {}
	change("tree", keep, "tree2", "fp")
	change("secrets' values", keep, "tree", "fp2")
	change("dockerfile", func(b *Build) { b.Dockerfile = "Other" }, "tree", "fp")
	change("target", func(b *Build) { b.Target = "" }, "tree", "fp")
	change("argument", func(b *Build) { b.Args = map[string]string{"A": "1", "B": "3"} }, "tree", "fp")
	change("moved boundary", func(b *Build) { b.Args = map[string]string{"A": "1B", "": "2"} }, "tree", "fp")
	change("no arguments", func(b *Build) { b.Args = nil }, "tree", "fp")
	change("Dockerfile in the compose file", func(b *Build) { b.Inline = "FROM scratch" }, "tree", "fp")
	change("label", func(b *Build) { b.Labels = map[string]string{"A": "1"} }, "tree", "fp")
	change("platform", func(b *Build) { b.Platform = "linux/arm64" }, "tree", "fp")
	change("network", func(b *Build) { b.Network = "none" }, "tree", "fp")
	change("host", func(b *Build) { b.ExtraHosts = []string{"a:10.0.0.1"} }, "tree", "fp")
	change("context", func(b *Build) { b.Contexts = map[string]string{"a": "x"} }, "tree", "fp")
	change("secret", func(b *Build) { b.Secrets = []string{"X"} }, "tree", "fp")
}

func TestLoad_TakesNothingFromTheProcess(t *testing.T) {
	t.Parallel()
	in := setup(t, `services: {web: {build: ., env_file: [{path: /etc/hostname, required: false}], environment: {P: "${PATH:-unset}", HOME: }}}`)
	_, err := Load(context.Background(), in)
	if err == nil || !strings.Contains(err.Error(), "must be a file of the repository") {
		t.Errorf("an env_file of the host: %v", err)
	}
	in = setup(t, `services: {web: {build: ., environment: {P: "${PATH:-unset}", HOME: }}}`)
	web := load1(t, in)
	if web.Env["P"] != "unset" || len(web.Env) != 1 {
		t.Errorf("environment %v", web.Env)
	}
}

func TestLoad_AppEnvironmentReachesBuiltServicesOnly(t *testing.T) {
	t.Parallel()
	for build, want := range map[string]string{"build: .": "app", "image: x": ""} {
		in := setup(t, `services: {web: {`+build+`, environment: {MINE: file}}}`)
		in.Env["MINE"], in.Env["OTHER"] = "app", "app"
		web := load1(t, in)
		if web.Env["MINE"] != "file" || web.Env["OTHER"] != want {
			t.Errorf("%s: environment %v", build, web.Env)
		}
	}
}

func TestLoad_MissingDotEnvIsTheAppsEnvironment(t *testing.T) {
	t.Parallel()
	in := setup(t, `services: {web: {image: x, env_file: .env}}`)
	in.Env["KEY"] = "value"
	if web := load1(t, in); web.Env["KEY"] != "value" {
		t.Errorf("environment %v", web.Env)
	}
}

func TestLoad_CommittedDotEnvFillsInVariablesBelowTheApps(t *testing.T) {
	t.Parallel()
	in := setup(t, `services: {web: {image: "x:${TAG}-${ARCH}"}}`)
	in.Env["TAG"] = "app"
	in.Read = func(name string) ([]byte, error) {
		if name == ".env" {
			return []byte("TAG=file\nARCH=amd64\n"), nil
		}
		return nil, fs.ErrNotExist
	}
	if web := load1(t, in); web.Image != "x:app-amd64" || web.Env != nil {
		t.Errorf("image %q, environment %v", web.Image, web.Env)
	}
}

func TestLoad_NotesWhatIsEmptyForWantOfAValue(t *testing.T) {
	t.Parallel()
	got, err := Load(context.Background(), setup(t, "services:\n  web:\n    image: x$TAG${ALSO}${FINE-}\n"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(got.Notes, "\n")
	if got.Services[0].Image != "x" || !strings.Contains(text, "compose.yml:3: the variable TAG") || !strings.Contains(text, "ALSO") || strings.Contains(text, "FINE") {
		t.Errorf("image %q, notes:\n%s", got.Services[0].Image, text)
	}
}

func TestLoad_RefusalTellsNoSecret(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-hunter2"
	for _, compose := range []string{
		`services: {web: {build: "${S}"}}`,
		`services: {web: {image: x, env_file: "${S}"}}`,
		`services: {web: {image: x, init: "${S}"}}`,
		`services: {web: {image: x, mem_limit: "${S}"}}`,
		`services: {web: {image: x, volumes: ["${S}:/x", "/${S}:/y"]}}`,
		`services: {web: {image: x, command: "'${S}"}}`,
		`services: {web: {image: x, expose: ["${S}"], stop_signal: "${S}"}}`,
		`services: {web: {image: x, command: "${OTHER:?${S}}"}}`,
		`services: {web: {image: x, x-swingbridge: {role: "${S}", probe: {path: "${S}"}}}}`,
	} {
		in := setup(t, compose)
		in.Env["S"] = secret
		_, err := Load(context.Background(), in)
		var refusal *Refusal
		if !errors.As(err, &refusal) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", compose, err)
		}
	}
}

func TestLoad_AliasBombIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("x-0: &a0 [a, a, a, a, a, a, a, a, a, a]\n")
	for i := 1; i < 9; i++ {
		before := strings.Repeat("*a"+string(rune('0'+i-1))+", ", 10)
		b.WriteString("x-" + string(rune('0'+i)) + ": &a" + string(rune('0'+i)) + " [" + before + "]\n")
	}
	_, err := Load(context.Background(), setup(t, b.String()))
	if err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("answer %v", err)
	}
}

func TestLoad_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Load(ctx, setup(t, "")); !errors.Is(err, context.Canceled) {
		t.Errorf("answer %v", err)
	}
}

func TestLoad_CommandAndEntrypointKeepNilAndEmptyApart(t *testing.T) {
	t.Parallel()
	web := load1(t, setup(t, `services: {web: {image: x}}`))
	if web.Command != nil || web.Entrypoint != nil {
		t.Errorf("left alone: %#v %#v", web.Command, web.Entrypoint)
	}
	web = load1(t, setup(t, `services: {web: {image: x, command: [], entrypoint: ""}}`))
	if web.Command == nil || web.Entrypoint == nil || len(web.Command)+len(web.Entrypoint) != 0 {
		t.Errorf("cleared: %#v %#v", web.Command, web.Entrypoint)
	}
}

func TestRefusal_SaysASharedLineOnce(t *testing.T) {
	t.Parallel()
	r := &Refusal{Problems: []Problem{
		{File: "c.yml", Line: 3, Service: "a", Key: "tty", Message: "no"},
		{File: "c.yml", Line: 3, Service: "b", Key: "tty", Message: "no"},
		{Message: "no route"},
	}}
	const want = "2 problems in the app's files:\n- c.yml:3: services a, b: tty: no\n- no route"
	if r.Error() != want {
		t.Errorf("got %s", r.Error())
	}
}
