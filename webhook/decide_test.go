package webhook_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/webhook"
)

func TestDecide_EveryCaseHasItsReason(t *testing.T) {
	t.Parallel()
	other := strings.Repeat("b", 40)
	zero := strings.Repeat("0", 40)
	standing := func(states ...any) []pipeline.Standing {
		s := app("shop")
		for i := 0; i < len(states); i += 2 {
			s.Deployments = append(s.Deployments, pipeline.Deployment{
				ID: fmt.Sprint("dep", i/2), Commit: states[i].(string), State: states[i+1].(pipeline.State),
			})
		}
		return []pipeline.Standing{s}
	}
	ok := webhook.Event{Name: "push", Repo: "o/r", RepoID: 7, Ref: "refs/heads/main", Commit: commit}
	with := func(edit func(*webhook.Event)) webhook.Event { e := ok; edit(&e); return e }
	button := func(check, pressed string) webhook.Event {
		return webhook.Event{Name: "check_run", Repo: "o/r", RepoID: 7, Commit: commit, Check: check, Button: pressed, Sender: "ada"}
	}
	paused := standing()
	paused[0].App.Paused = true

	cases := map[string]struct {
		event      webhook.Event
		apps       []pipeline.Standing
		outcome    pipeline.Outcome
		reason     string
		deployment string
	}{
		"ping":                             {webhook.Event{Name: "ping"}, nil, "pong", "ping", ""},
		"a pull request":                   {webhook.Event{Name: "pull_request", Repo: "o/r"}, standing(), "ignored", "event", ""},
		"an event nobody knows":            {webhook.Event{Name: "brand_new"}, nil, "ignored", "event", ""},
		"a push to the branch":             {ok, standing(), "queued", "push", ""},
		"a push to a paused app":           {ok, paused, "queued", "paused", ""},
		"the commit is queued":             {ok, standing(commit, pipeline.Queued), "coalesced", "already", "dep0"},
		"the commit runs":                  {ok, standing(commit, pipeline.Running), "coalesced", "already", "dep0"},
		"the commit is cutting over":       {ok, standing(commit, pipeline.CuttingOver), "coalesced", "already", "dep0"},
		"the commit is watched":            {ok, standing(commit, pipeline.Watching), "coalesced", "already", "dep0"},
		"the commit is live":               {ok, standing(commit, pipeline.Live), "coalesced", "already", "dep0"},
		"the commit failed":                {ok, standing(commit, pipeline.Failed), "queued", "push", ""},
		"another one is live":              {ok, standing(other, pipeline.Live), "queued", "push", ""},
		"live, another one runs":           {ok, standing(other, pipeline.Running, commit, pipeline.Live), "coalesced", "already", "dep1"},
		"moved back, another one runs":     {with(func(e *webhook.Event) { e.Moved = true }), standing(other, pipeline.Running, commit, pipeline.Live), "queued", "push", ""},
		"moved to what is newest":          {with(func(e *webhook.Event) { e.Moved = true }), standing(commit, pipeline.Queued, other, pipeline.Live), "coalesced", "already", "dep0"},
		"the branch was deleted":           {with(func(e *webhook.Event) { e.Deleted, e.Commit = true, zero }), standing(), "ignored", "branch_deleted", ""},
		"zeros without the flag":           {with(func(e *webhook.Event) { e.Commit = zero }), standing(), "ignored", "branch_deleted", ""},
		"a tag":                            {with(func(e *webhook.Event) { e.Ref = "refs/tags/main" }), standing(), "ignored", "tag", ""},
		"a note":                           {with(func(e *webhook.Event) { e.Ref = "refs/notes/commits" }), standing(), "ignored", "ref", ""},
		"a branch that begins alike":       {with(func(e *webhook.Event) { e.Ref = "refs/heads/main-2" }), standing(), "ignored", "other_branch", ""},
		"a branch in other case":           {with(func(e *webhook.Event) { e.Ref = "refs/heads/Main" }), standing(), "ignored", "other_branch", ""},
		"a branch named like the full ref": {with(func(e *webhook.Event) { e.Ref = "refs/heads/refs/heads/main" }), standing(), "ignored", "other_branch", ""},
		"the button of a check run":        {button("swingbridge/shop", "redeploy"), standing(), "queued", "button", ""},
		"a live commit, asked for again":   {button("swingbridge/shop", "redeploy"), standing(commit, pipeline.Live), "queued", "button", ""},
		"another app's check run":          {button("swingbridge/shop2", "redeploy"), standing(), "ignored", "not_our_check", ""},
		"someone else's check run":         {button("lint", "redeploy"), standing(), "ignored", "not_our_check", ""},
		"a button that nobody has":         {button("swingbridge/shop", "drop database"), standing(), "ignored", "not_our_check", ""},
		"a check run without a button":     {button("swingbridge/shop", ""), standing(), "ignored", "event", ""},
		"an unknown repository":            {ok, nil, "ignored", "unknown_repo", ""},
		"no ref":                           {with(func(e *webhook.Event) { e.Ref = "" }), standing(), "ignored", "incomplete", ""},
		"no commit":                        {with(func(e *webhook.Event) { e.Commit = "" }), standing(), "ignored", "incomplete", ""},
		"a commit that is an option":       {with(func(e *webhook.Event) { e.Commit = "--upload-pack=x" }), standing(), "ignored", "incomplete", ""},
		"no repository":                    {with(func(e *webhook.Event) { e.Repo, e.RepoID = "", 0 }), standing(), "ignored", "incomplete", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := webhook.Decide(c.event, pipeline.Delivery{ID: "d"}, c.apps)
			if got.Outcome != c.outcome || got.Reason != c.reason || !strings.HasSuffix(got.Message, ".") {
				t.Errorf("got %s %s %q, want %s %s", got.Outcome, got.Reason, got.Message, c.outcome, c.reason)
			}
			for _, v := range got.Apps {
				if (v.Queue != nil) != (v.Outcome == pipeline.OutcomeQueued) || v.SwingBack || v.DeploymentID != c.deployment || v.AppID == "" {
					t.Errorf("verdict %+v", v)
				}
			}
		})
	}
}

func TestRead_NullsAndOtherTypesInEveryFieldAreHarmless(t *testing.T) {
	t.Parallel()
	var whole map[string]any
	if err := json.Unmarshal([]byte(push), &whole); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"ref", "after", "repository", "head_commit", "sender", "deleted", "forced", "repository.id", "repository.full_name", "sender.login", "head_commit.message"} {
		for _, odd := range []any{nil, 5, -1.5, "x", true, []any{1}, map[string]any{"id": nil}} {
			body, err := json.Marshal(replaced(whole, strings.Split(path, "."), odd))
			if err != nil {
				t.Fatal(err)
			}
			e, err := webhook.Read("push", body)
			if err != nil {
				t.Errorf("%s = %v: %v", path, odd, err)
			}
			if d := webhook.Decide(e, e.Delivery("d", body, someTime()), []pipeline.Standing{app("shop")}); d.Outcome == "" || d.Message == "" {
				t.Errorf("%s = %v: decided nothing: %+v", path, odd, d)
			}
		}
	}
}

func replaced(m map[string]any, path []string, v any) map[string]any {
	out := map[string]any{}
	for k, old := range m {
		out[k] = old
	}
	if len(path) == 1 {
		out[path[0]] = v
		return out
	}
	inner, _ := out[path[0]].(map[string]any)
	out[path[0]] = replaced(inner, path[1:], v)
	return out
}

func TestRead_KeysOfOtherCaseAreNotTheKeys(t *testing.T) {
	t.Parallel()
	e, err := webhook.Read("push", []byte(`{"ref":"refs/heads/a","REF":"refs/heads/main","Repository":{"id":7}}`))
	if err != nil || e.Ref != "refs/heads/a" || e.RepoID != 0 {
		t.Errorf("%+v %v", e, err)
	}
}

func TestRead_CustomPropertiesWithListsAreNoObstacle(t *testing.T) {
	t.Parallel()
	body := strings.Replace(push, `"id":7`, `"id":7,"custom_properties":{"teams":["a","b"]}`, 1)
	e, err := webhook.Read("push", []byte(body))
	if err != nil || e.RepoID != 7 || e.Commit != commit || e.Subject != "Fix it [skip ci]" {
		t.Errorf("%+v %v", e, err)
	}
}
