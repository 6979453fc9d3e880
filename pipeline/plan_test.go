package pipeline_test

import (
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

const plannedFiles = `
x-swingbridge: {release: {service: web, command: [migrate]}}
services:
  web: {build: ., command: [serve]}
  mail: {build: ., command: [mail]}
  cache: {image: "cache:1", environment: {MODE: MODE_VALUE}, stop_grace_period: 20s}
volumes: {data: {}}
`

func planned(mode string) map[string]string {
	return map[string]string{"Dockerfile": "FROM scratch", "compose.yml": strings.ReplaceAll(plannedFiles, "MODE_VALUE", mode)}
}

func TestPlan_OfAReleaseThatIsThereAndOfOneThatChangesACache(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		w.Ledger().ChangeApp(func(a *pipeline.App) { a.Compose = []string{"compose.yml"} })
		sha := w.Forge().Push("main", planned("small"))
		if got := text(planOf(t, w, sha)); !strings.Contains(got, "release: run the release command in the new image of web") ||
			!strings.Contains(got, "create: start cache and keep it") || !strings.Contains(got, "pull: pull cache:1 for cache") {
			t.Errorf("the first plan is\n%s", got)
		}
		d := deploy(t, w, sha, pipeline.Push)
		wantState(t, w, d.ID, pipeline.Live)
		again := deploy(t, w, sha, pipeline.Redeploy)
		said, _, _ := strings.Cut(w.Ledger().LogText(again.ID), "plan: ")
		if !strings.Contains(said, "  leave cache alone") || !strings.Contains(said, "  run no release command: it ran") ||
			strings.Contains(said, "  build ") || strings.Contains(said, "  pull ") || strings.Contains(said, "  blink: ") {
			t.Errorf("the same again, and the plan is\n%s", said)
		}
		got := text(planOf(t, w, w.Forge().Push("main", planned("large"))))
		if !strings.Contains(got, "replace: replace cache: its environment (MODE) changes") || !strings.Contains(got, "blink: cache is away from its stop, which may take 20s") ||
			!strings.Contains(got, "release: run the release command") {
			t.Errorf("the cache changes, and the plan is\n%s", got)
		}
	})
}

func planOf(t *testing.T, w *pipelinetest.World, sha string) pipeline.PlanSummary {
	t.Helper()
	tree, err := w.Forge().Fetch(t.Context(), "", "", sha)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := w.Runner().Plan(t.Context(), w.Ledger().App(), tree)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// text is the plan, one sentence in a line.
func text(p pipeline.PlanSummary) string {
	var b strings.Builder
	for _, g := range []struct {
		name  string
		lines []string
	}{
		{"missing", p.Missing}, {"build", p.Build}, {"pull", p.Pull}, {"create", p.Create}, {"release", p.Release}, {"replace", p.Replace},
		{"blink", p.Blink}, {"keep", p.Keep}, {"aside", p.Aside}, {"notes", p.Notes},
	} {
		for _, line := range g.lines {
			b.WriteString(g.name + ": " + line + "\n")
		}
	}
	return b.String()
}

func TestPlan_IsWhatTheDeploymentSaysInItsLog(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		sha := w.Forge().Push("main", nil)
		sum := planOf(t, w, sha)
		if len(sum.Build) != 1 || len(sum.Create) == 0 || len(sum.Replace) == 0 {
			t.Fatalf("the plan is\n%s", text(sum))
		}
		log := w.Ledger().LogText(deploy(t, w, sha, pipeline.Push).ID)
		for _, line := range strings.Split(strings.TrimSpace(text(sum)), "\n") {
			if _, said, _ := strings.Cut(line, ": "); !strings.Contains(log, "  "+said+"\n") {
				t.Errorf("the log does not say %q:\n%s", said, log)
			}
		}
		again := w.Ledger().LogText(deploy(t, w, sha, pipeline.Redeploy).ID)
		if !strings.Contains(again, "  use the image of web that is built already\n") || strings.Contains(again, "  build ") {
			t.Errorf("built already, and the plan is\n%s", again)
		}
	})
}

func TestPlan_ShowsNoValueOfAVariable(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		w.Ledger().SetEnv(map[string]string{"MODE": "hushhush", "TAG": "hidden-tag"})
		w.Ledger().SetOverlay("services: {web: {build: null, image: \"web:${TAG}\", environment: [MODE]}}")
		got := text(planOf(t, w, w.Forge().Push("main", map[string]string{"Dockerfile": "FROM scratch"})))
		if strings.Contains(got, "hushhush") || strings.Contains(got, "hidden-tag") {
			t.Errorf("the plan tells a secret:\n%s", got)
		}
	})
}

func TestPlan_ChangesNothing(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		sha, from := w.Forge().Push("main", nil), len(w.Calls())
		planOf(t, w, sha)
		for _, call := range w.Calls()[from:] {
			switch call {
			case "engine.List", "engine.Subnets", "engine.Built", "engine.Pulled", "forge.Fetch",
				"ledger.Env", "ledger.FilesAt", "ledger.LiveDeployment", "ledger.Release", "ledger.CommandDone":
			default:
				t.Errorf("it calls %s", call)
			}
		}
	})
}

func TestPlan_NamesWhatIsNotAllowedAndPlansTheRest(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		w.Ledger().SetOverlay("services: {web: {cap_add: [NET_ADMIN]}}")
		sha := w.Forge().Push("main", nil)
		sum := planOf(t, w, sha)
		if len(sum.Missing) != 1 || !strings.Contains(sum.Missing[0], "swingbridge app allow shop cap:NET_ADMIN") || len(sum.Create) == 0 {
			t.Errorf("the plan is\n%s", text(sum))
		}
		w.Ledger().ChangeApp(func(a *pipeline.App) { a.Allow = []string{"cap:NET_ADMIN"} })
		if sum := planOf(t, w, sha); len(sum.Missing) != 0 {
			t.Errorf("allowed, and still missing: %q", sum.Missing)
		}
	})
}
