package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/github/minihub"
	"github.com/swingbridge/swingbridge/server/api"
	"github.com/swingbridge/swingbridge/server/api/client"
)

func TestButtons_RollBackOnTheLiveOnesCheckGoesToTheReleaseBeforeIt(t *testing.T) {
	t.Parallel()
	s := live(t)
	crowd := s.visit(appHost)
	first := s.onlyDeployment()
	s.withButtons(first, "redeploy") // there is no release before it
	second := s.push(release{version: "version 2"}, "Regret this")
	s.mustBe(s.await(second), pipeline.Live)
	run := s.withButtons(second, "redeploy", "rollback")
	back := s.press(run, "rollback")
	s.mustAnswer(back, "queued", "rollback")
	end := s.mustBe(s.await(back.DeploymentID), pipeline.Live)
	crowd.served(time.Now(), "version 1")
	if end.Trigger != pipeline.Rollback || end.Commit == run.HeadSHA {
		t.Errorf("a %s to %s, which the button was to leave", end.Trigger, end.Commit)
	}
	s.check(end.ID, "success")
	s.withButtons(end.ID, "redeploy", "rollback")

	// The page that someone still has open shows the button as it was.
	s.mustAnswer(s.press(run, "rollback"), "ignored", "not_live")
	again := s.press(s.withButtons(second, "redeploy"), "redeploy")
	s.mustAnswer(again, "queued", "button")
	s.mustBe(s.await(again.DeploymentID), pipeline.Live)
	s.sees(appHost, "version 2")
	for _, id := range []string{first, second} {
		s.check(id, "success")
	}
}

func TestButtons_RollBackOnAWatchedOnesCheckSwingsVisitorsBackAtOnce(t *testing.T) {
	t.Parallel()
	s := live(t)
	crowd := s.visit(appHost)
	before := s.onlyDeployment()
	id := s.push(release{version: "version 2", guard: "60s"}, "Be doubted")
	s.awaitUntil(id, "watching", func(d api.Deployment) bool { return d.State == pipeline.Watching })
	run := s.withButtons(id, "rollback")
	got := s.press(run, "rollback")
	s.mustAnswer(got, "queued", "swing_back")
	if got.DeploymentID != id {
		t.Errorf("the answer names deployment %s, want %s itself", got.DeploymentID, id)
	}
	end := s.mustBe(s.await(id), pipeline.RolledBack)
	if !strings.Contains(end.Reason, pipeline.ErrRollBack.Error()) {
		t.Errorf("the reason is %q", end.Reason)
	}
	crowd.served(time.Now(), "version 1")
	s.check(id, "failure")
	s.withButtons(id, "redeploy")
	s.mustAnswer(s.press(run, "rollback"), "ignored", "not_live")
	s.mustBe(s.await(before), pipeline.Live)
	s.withButtons(before, "redeploy")
}

// onlyDeployment is the id of the app's one deployment.
func (s *site) onlyDeployment() string {
	s.t.Helper()
	all, err := s.api.Deployments(s.t.Context(), appName, client.Part{})
	if err != nil || len(all.Items) != 1 {
		s.t.Fatalf("there are %d deployments, %v; want one", len(all.Items), err)
	}
	return all.Items[0].ID
}

// withButtons waits until the check run of the deployment has these buttons and
// no other.
func (s *site) withButtons(deployment string, want ...string) minihub.CheckRun {
	s.t.Helper()
	var run minihub.CheckRun
	s.eventually("the check of "+deployment+" to have the buttons "+strings.Join(want, ", "), func() bool {
		runs := s.checksOf(deployment)
		if len(runs) != 1 {
			return false
		}
		run = runs[0]
		var have []string
		for _, a := range run.Actions {
			have = append(have, a.Identifier)
		}
		return slices.Equal(have, want)
	})
	return run
}

// press sends what GitHub sends when someone presses a button of a check run.
func (s *site) press(run minihub.CheckRun, button string) delivered {
	s.t.Helper()
	if !slices.ContainsFunc(run.Actions, func(a minihub.Action) bool { return a.Identifier == button }) {
		s.t.Fatalf("the check of %s has no button %s to press", run.ExternalID, button)
	}
	body, err := json.Marshal(map[string]any{
		"action": "requested_action", "requested_action": map[string]any{"identifier": button},
		"check_run": map[string]any{
			"id": run.ID, "name": run.Name, "head_sha": run.HeadSHA, "external_id": run.ExternalID, "status": run.Status,
		},
		"repository": map[string]any{"id": idOf(appRepo), "full_name": appRepo},
		"sender":     map[string]any{"login": "octocat"},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.deliver(delivery{event: "check_run", body: body})
}

func (s *site) mustAnswer(got delivered, outcome, reason string) {
	s.t.Helper()
	if got.status != 202 || got.Outcome != outcome || got.Reason != reason || got.Message == "" {
		s.t.Fatalf("the button was answered %+v, want %s %s", got, outcome, reason)
	}
}
