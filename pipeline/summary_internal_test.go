package pipeline

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

//nolint:gochecknoglobals // a flag of go test
var update = flag.Bool("update", false, "write the golden files anew")

// outlookOf is the outlook of a sample's stack, as package stack loads it, for
// an app of which nothing runs.
func outlookOf(t *testing.T, sample string) outlook {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("stack", "testdata", "samples", sample+".golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var loaded struct{ Stack stack.Stack }
	if err := json.Unmarshal(raw, &loaded); err != nil {
		t.Fatal(err)
	}
	if len(loaded.Stack.Services) == 0 {
		t.Fatalf("%s is refused", sample)
	}
	o := outlook{app: App{Name: "shop"}, rel: Release{Commit: "c0ffee", Stack: loaded.Stack}, color: Blue, networks: []string{"net"}}
	for _, svc := range loaded.Stack.Services {
		one := supply{services: []string{svc.Name}, pull: PullOrder{Ref: svc.Image}}
		if svc.Role == stack.Task && !svc.Once {
			continue
		}
		if svc.Build != nil {
			one.build = &BuildOrder{Key: stack.Key(*svc.Build, "tree", ""), Spec: *svc.Build}
		}
		o.supplies = join(o.supplies, one)
	}
	for _, svc := range keptServices(loaded.Stack) {
		o.kept = append(o.kept, keptFate{service: svc})
	}
	return o
}

// text is the plan as golden files have it.
func text(p PlanSummary) string {
	var b strings.Builder
	for _, g := range []group{
		{"missing", p.Missing}, {"build", p.Build}, {"pull", p.Pull}, {"create", p.Create}, {"release", p.Release}, {"replace", p.Replace},
		{"blink", p.Blink}, {"keep", p.Keep}, {"aside", p.Aside}, {"notes", p.Notes},
	} {
		for _, line := range g.lines {
			b.WriteString(g.name + ": " + line + "\n")
		}
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "plan", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s changed (-want +got); look at it, then -update:\n%s", file, diff)
	}
}

func TestSummaryGolden_OfTheSamples(t *testing.T) {
	t.Parallel()
	for _, sample := range []string{"djangopackages-2022-prod", "djangopackages-2025-prod"} {
		t.Run(sample, func(t *testing.T) {
			t.Parallel()
			golden(t, sample, text(outlookOf(t, sample).summary()))
		})
	}
}

// The next deployment of a sample: it builds nothing, and a cache changes.
func TestSummaryGolden_OfWhatChanges(t *testing.T) {
	t.Parallel()
	o := outlookOf(t, "djangopackages-2025-prod")
	o.live, o.color, o.networks = Deployment{ID: "d1", Color: Blue, Commit: "abad1dea"}, Green, nil
	for i := range o.supplies {
		o.supplies[i].there = "sha256:1"
	}
	for i := range o.kept {
		o.kept[i].fate, o.kept[i].up, o.kept[i].why = toReplace, true, []string{"environment (MODE)", "image"}
	}
	o.left = []left{{"memcached", false}, {"queue", true}}
	o.env, o.rel.EnvVersion = 3, 5
	o.kept[0].unused = []string{"volume1 (/data)"}
	for i, svc := range o.rel.Stack.Services {
		if svc.Role == stack.Worker {
			o.rel.Stack.Services[i].Single = true
		}
	}
	golden(t, "changes", text(o.summary()))
}

func TestKeptFate_IsSaidInOneSentence(t *testing.T) {
	t.Parallel()
	svc := stack.Service{Name: "cache"}
	for want, k := range map[string]keptFate{
		"start cache and keep it":                               {fate: toMake},
		"start cache again: it stands still":                    {fate: toStart},
		"leave cache alone: nothing of it changes":              {fate: toLeave, up: true},
		"replace cache if the registry has another image of it": {fate: toReplace, pulled: true},
		"replace cache: its labels change":                      {fate: toReplace, why: []string{"labels"}},
		"replace cache: its tmpfs changes":                      {fate: toReplace, why: []string{"tmpfs"}},
		"replace cache: its image changes":                      {fate: toReplace, why: []string{"image"}},
		"replace cache: its command and volumes change":         {fate: toReplace, why: []string{"command", "volumes"}},
		"replace cache: its networks change":                    {fate: toReplace},
		"replace cache: it is not what the live release made":   {fate: toReplace, why: []string{"it is not what the live release made"}},
	} {
		k.service = svc
		var out PlanSummary
		k.say(&out)
		if _, said, _ := strings.Cut(strings.TrimSpace(text(out)), ": "); said != want {
			t.Errorf("said %q, want %q", said, want)
		}
	}
}

func TestChangesOf_NamesKeysAndNoValues(t *testing.T) {
	t.Parallel()
	was := ContainerOrder{Image: "a", Service: stack.Service{
		Env: map[string]string{"SAME": "1", "PASSWORD": "old-secret", "GONE": "x"}, Settings: stack.Settings{ShmSize: 1},
	}}
	now := ContainerOrder{Image: "b", Service: stack.Service{
		Env: map[string]string{"SAME": "1", "PASSWORD": "new-secret", "NEW": "y"}, Settings: stack.Settings{ShmSize: 2, Hostname: "h"},
		Mounts: []stack.Mount{{Volume: "data", Target: "/data"}}, Restart: "no",
	}}
	want := []string{"image", "environment (GONE, NEW and PASSWORD)", "volumes", "hostname", "shm_size"}
	if diff := cmp.Diff(want, changesOf(was, now)); diff != "" {
		t.Error(diff)
	}
	if same := changesOf(was, was); len(same) != 0 {
		t.Errorf("the same differs in %q", same)
	}
}
