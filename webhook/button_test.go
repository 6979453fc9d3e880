package webhook_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/webhook"
)

// leave is someone pressing Roll back on the check run of the deployment here.
func leave() webhook.Event {
	return webhook.Event{
		Name: "check_run", Repo: "o/r", RepoID: 7, Commit: commit, Check: "swingbridge/shop", Deployment: "here", Button: "rollback", Sender: "ada",
	}
}

// open is a deployment of another commit in a state.
func open(id string, s pipeline.State, trigger pipeline.Trigger) pipeline.Deployment {
	return pipeline.Deployment{ID: id, Commit: strings.Repeat("b", 40), State: s, Trigger: trigger}
}

func TestDecide_RollBackDependsOnWhereVisitorsAre(t *testing.T) {
	t.Parallel()
	here := func(s pipeline.State) pipeline.Deployment { return open("here", s, pipeline.Push) }
	live := here(pipeline.Live)
	type list = []pipeline.Deployment
	cases := map[string]struct {
		deployments list // newest first
		outcome     pipeline.Outcome
		reason      string
		deployment  string
	}{
		"on it":                            {list{live}, "queued", "rollback", ""},
		"on it, another one waits":         {list{open("next", pipeline.Queued, pipeline.Push), live}, "queued", "rollback", ""},
		"on it, another one runs":          {list{open("next", pipeline.Running, pipeline.Push), live}, "queued", "rollback", ""},
		"on it, a rollback waits":          {list{open("next", pipeline.Queued, pipeline.Rollback), live}, "coalesced", "already", "next"},
		"on it, a rollback runs":           {list{open("next", pipeline.Running, pipeline.Rollback), live}, "coalesced", "already", "next"},
		"on it and watched":                {list{here(pipeline.Watching), open("before", pipeline.Live, pipeline.Push)}, "queued", "swing_back", "here"},
		"on it and watched, the first one": {list{here(pipeline.Watching)}, "queued", "swing_back", "here"},
		"on it, it is a watched rollback":  {list{open("here", pipeline.Watching, pipeline.Rollback), open("before", pipeline.Live, pipeline.Push)}, "queued", "swing_back", "here"},
		"just going there":                 {list{here(pipeline.CuttingOver), open("before", pipeline.Live, pipeline.Push)}, "ignored", "not_live", ""},
		"nobody knows":                     {list{here(pipeline.Stuck), open("before", pipeline.Live, pipeline.Push)}, "ignored", "not_live", ""},
		"on a newer one that is watched":   {list{open("next", pipeline.Watching, pipeline.Push), live}, "ignored", "not_live", ""},
		"on an older one that is watched":  {list{live, open("held", pipeline.Watching, pipeline.Push)}, "ignored", "not_live", ""},
		"on another one":                   {list{open("next", pipeline.Live, pipeline.Push)}, "ignored", "not_live", ""},
		"not there yet":                    {list{here(pipeline.Queued), open("before", pipeline.Live, pipeline.Push)}, "ignored", "not_live", ""},
		"nowhere":                          {nil, "ignored", "not_live", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good := pipeline.Deployment{ID: "good", Commit: strings.Repeat("c", 40), Subject: "Fine", ReleaseID: "r1", State: pipeline.Retired}
			s := app("shop", func(s *pipeline.Standing) { s.Deployments, s.LastGood = c.deployments, good })
			got := webhook.Decide(leave(), pipeline.Delivery{ID: "d"}, []pipeline.Standing{s})
			v := got.Apps[0]
			if v.Outcome != c.outcome || v.Reason != c.reason || v.DeploymentID != c.deployment || !strings.HasSuffix(v.Message, ".") {
				t.Errorf("got %s %s %q %q, want %s %s %q", v.Outcome, v.Reason, v.Message, v.DeploymentID, c.outcome, c.reason, c.deployment)
			}
			want := pipeline.NewDeployment{
				AppID: "id-shop", Commit: good.Commit, Subject: "Fine", Trigger: pipeline.Rollback, Actor: "ada", DeliveryID: "d", ReleaseID: "r1",
			}
			if (v.Queue != nil) != (c.reason == "rollback") || v.Queue != nil && *v.Queue != want {
				t.Errorf("queues %+v", v.Queue)
			}
			if v.SwingBack != (c.reason == "swing_back") {
				t.Errorf("swings back: %v", v.SwingBack)
			}
		})
	}
}

func TestDecide_RollBackSaysWhatHappensAndWhatCannot(t *testing.T) {
	t.Parallel()
	live := app("shop", func(s *pipeline.Standing) {
		s.Deployments = []pipeline.Deployment{open("here", pipeline.Live, pipeline.Push)}
	})
	good := live
	good.LastGood = pipeline.Deployment{ID: "good", Commit: strings.Repeat("c", 40), ReleaseID: "r1"}
	watched := app("shop", func(s *pipeline.Standing) {
		s.Deployments = []pipeline.Deployment{open("here", pipeline.Watching, pipeline.Push)}
	})
	underway := live
	underway.Deployments = append([]pipeline.Deployment{open("next", pipeline.Queued, pipeline.Rollback)}, live.Deployments...)
	for want, s := range map[string]pipeline.Standing{
		"ada asked for shop to go back from bbbbbbb to ccccccc.":           good,
		"ada asked for visitors of shop to swing back from bbbbbbb.":       watched,
		"shop is already going back to bbbbbbb.":                           underway,
		"shop has no earlier release to go back to.":                       live,
		"Visitors of shop are not on this deployment of 6113728, so there": app("shop"),
	} {
		d := webhook.Decide(leave(), pipeline.Delivery{ID: "d"}, []pipeline.Standing{s})
		if !strings.HasPrefix(d.Message, want) {
			t.Errorf("says %q, want %q", d.Message, want)
		}
	}
	if d := webhook.Decide(leave(), pipeline.Delivery{ID: "d"}, []pipeline.Standing{live}); d.Outcome != "ignored" || d.Reason != "no_earlier" {
		t.Errorf("nothing before it: %s %s", d.Outcome, d.Reason)
	}
	other := leave()
	other.Check = "swingbridge/docs"
	if d := webhook.Decide(other, pipeline.Delivery{ID: "d"}, []pipeline.Standing{good}); d.Reason != "not_our_check" {
		t.Errorf("another app's check run: %s", d.Reason)
	}
}

// What GitHub sends for a button of another App's check run becomes one of ours.
func TestRead_KnowsTheButtonInGitHubsOwnExample(t *testing.T) {
	t.Parallel()
	var body map[string]any
	if err := json.Unmarshal(examples(t)["check_run.06.json"], &body); err != nil {
		t.Fatal(err)
	}
	run := body["check_run"].(map[string]any)
	run["name"], run["external_id"], run["head_sha"] = "swingbridge/shop", "01a", commit
	for _, pressed := range []string{"rollback", "redeploy"} {
		body["requested_action"] = map[string]any{"identifier": pressed}
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		e, err := webhook.Read("check_run", raw)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(e.Check, " ", e.Deployment, " ", e.Commit, " ", e.Button)
		if diff := cmp.Diff("swingbridge/shop 01a "+commit+" "+pressed, got); diff != "" {
			t.Error(diff)
		}
		if d := e.Delivery("d", raw, someTime()); d.GoBack != (pressed == "rollback") {
			t.Errorf("%s asks to go back: %v", pressed, d.GoBack)
		}
	}
}
