package github_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/github"
)

// path is a life of a deployment and what GitHub shows at its end.
type path struct {
	name       string
	states     []pipeline.State
	conclusion string   // of the check run
	status     string   // last commit status
	records    []string // states of the deployment record, each reported
	last       string   // its last one, where versions are skipped
}

func paths() []path {
	const (
		queued, running, cutting, watching   = pipeline.Queued, pipeline.Running, pipeline.CuttingOver, pipeline.Watching
		live, retired, failed, back          = pipeline.Live, pipeline.Retired, pipeline.Failed, pipeline.RolledBack
		superseded, canceled, stuck, initial = pipeline.Superseded, pipeline.Canceled, pipeline.Stuck, pipeline.Queued
	)
	type s = []pipeline.State
	return []path{
		{"live", s{queued, running, cutting, watching, live}, "success", "success", []string{"in_progress", "success"}, "success"},
		{"live, then retired", s{queued, running, cutting, watching, live, retired}, "success", "success", []string{"in_progress", "success", "inactive"}, "inactive"},
		{"failed", s{queued, running, failed}, "failure", "failure", []string{"in_progress", "failure"}, "failure"},
		{"rolled back by the guard", s{queued, running, cutting, watching, back}, "failure", "failure", []string{"in_progress", "failure"}, "failure"},
		{"rolled back at the cutover", s{queued, running, cutting, back}, "failure", "failure", []string{"in_progress", "failure"}, "failure"},
		{"superseded in the queue", s{queued, superseded}, "neutral", "error", nil, ""},
		{"superseded at fetch", s{queued, running, superseded}, "neutral", "error", []string{"in_progress", "inactive"}, "inactive"},
		{"canceled in the queue", s{queued, canceled}, "cancelled", "error", nil, ""},
		{"canceled while running", s{queued, running, canceled}, "cancelled", "error", []string{"in_progress", "error"}, "error"},
		{"run again after a crash", s{queued, running, cutting, running, cutting, watching, live}, "success", "success", []string{"in_progress", "success"}, "success"},
		{"stuck, then live", s{queued, running, cutting, stuck, live}, "success", "success", []string{"in_progress", "success"}, "success"},
		{"stuck, then rolled back", s{queued, running, cutting, watching, stuck, back}, "failure", "failure", []string{"in_progress", "failure"}, "failure"},
		{"stuck, then failed", s{queued, running, stuck, failed}, "failure", "failure", []string{"in_progress", "failure"}, "failure"},
		{"never seen before its end", s{initial, failed}, "failure", "failure", []string{"failure"}, "failure"},
	}
}

func TestSender_EveryPathEndsExactlyOnce(t *testing.T) {
	t.Parallel()
	for _, as := range identities() {
		for _, how := range []string{"each state", "only the end", "each state after a restart"} {
			for _, p := range paths() {
				t.Run(string(as)+"/"+how+"/"+p.name, func(t *testing.T) {
					t.Parallel()
					w := setup(t, as)
					s := w.sender()
					for i := range p.states {
						w.outbox.put(deployment("01a", p.states[:i+1]...))
						if how == "only the end" && i < len(p.states)-1 {
							continue
						}
						if how == "each state after a restart" {
							s = w.sender()
						}
						flush(t, s)
					}
					flush(t, s)
					w.outbox.put(deployment("01a", p.states...)) // something that GitHub does not show changed
					flush(t, w.sender())
					w.check(t, as, how, p)
				})
			}
		}
	}
}

// check compares what the hub has with how the path should look.
func (w *world) check(t *testing.T, as who, how string, p path) {
	t.Helper()
	if left := w.outbox.unsent(); len(left) > 0 {
		t.Errorf("not sent: %v", left)
	}
	if as == asApp {
		checks := w.hub.CheckRuns()
		if len(checks) != 1 {
			t.Fatalf("check runs: got %d, want 1", len(checks))
		}
		c := checks[0]
		got := []any{c.Name, c.ExternalID, c.DetailsURL, c.Status, c.Conclusion, closings(c)}
		want := []any{"swingbridge/web", "01a", publicURL + "/deployments/01a", "completed", p.conclusion, 1}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("check run (-want +got):\n%s", diff)
		}
	} else {
		w.checkStatuses(t, p)
	}
	records := w.hub.Deployments()
	if p.records == nil {
		if len(records) != 0 {
			t.Errorf("deployment records: got %d for a deployment that never started", len(records))
		}
		return
	}
	if len(records) != 1 {
		t.Fatalf("deployment records: got %d, want 1", len(records))
	}
	want := p.records
	if how == "only the end" {
		want = []string{p.last}
	}
	if diff := cmp.Diff(want, statesOf(records[0])); diff != "" {
		t.Errorf("states of the record (-want +got):\n%s", diff)
	}
	for _, s := range records[0].History {
		if url := s.EnvironmentURL; (s.State == "success") != (url == "https://djangopackages.org") {
			t.Errorf("environment URL of %s: %q", s.State, url)
		}
	}
}

func (w *world) checkStatuses(t *testing.T, p path) {
	t.Helper()
	var ends []string
	for _, s := range w.hub.Statuses() {
		if s.Context != "swingbridge/web" || s.SHA != commit || s.TargetURL != publicURL+"/deployments/01a" {
			t.Errorf("status is about something else: %+v", s)
		}
		if s.State != "pending" {
			ends = append(ends, s.State)
		}
	}
	if diff := cmp.Diff([]string{p.status}, ends); diff != "" {
		t.Errorf("final commit statuses (-want +got):\n%s", diff)
	}
}

func TestSender_StuckStaysOpenUntilAPersonDecides(t *testing.T) {
	t.Parallel()
	w := setup(t, asApp)
	w.outbox.put(deployment("01a", pipeline.Queued, pipeline.Running, pipeline.Stuck))
	flush(t, w.sender())
	c := w.hub.CheckRuns()[0]
	if c.Status != "in_progress" || c.Title == "" || len(c.Actions) != 0 {
		t.Errorf("stuck check run: status %q, title %q, actions %v", c.Status, c.Title, c.Actions)
	}
}

func TestSender_ButtonsAreThoseThatMakeSense(t *testing.T) {
	t.Parallel()
	w := setup(t, asApp)
	s := w.sender()
	life := []pipeline.State{pipeline.Queued}
	for _, c := range []struct {
		next  pipeline.State
		want  []string
		title string
	}{
		{pipeline.Running, nil, "Deploying: build images"},
		{pipeline.Watching, []string{github.ActionRollback}, "Visitors are on it, the guard watches"},
		{pipeline.Stuck, nil, "Stuck: a person has to decide: build of web failed: Dockerfile:3: `RUN` exit code 1"},
		{pipeline.Live, []string{github.ActionRedeploy, github.ActionRollback}, "Live on green after 10s"},
		{pipeline.Retired, []string{github.ActionRedeploy}, "Was live until a newer deployment took over"},
	} {
		life = append(life, c.next)
		w.outbox.put(deployment("01a", life...))
		flush(t, s)
		run := w.hub.CheckRuns()[0]
		var got []string
		for _, a := range run.Actions {
			got = append(got, a.Identifier)
		}
		if !slices.Equal(got, c.want) || run.Title != c.title {
			t.Errorf("%s: buttons %v under %q, want %v under %q", c.next, got, run.Title, c.want, c.title)
		}
	}
}

func TestSender_AnAppsFirstDeploymentHasNoButtonToGoBack(t *testing.T) {
	t.Parallel()
	w := setup(t, asApp)
	w.outbox.first = true
	w.outbox.put(deployment("01a", pipeline.Running, pipeline.Watching, pipeline.Live))
	flush(t, w.sender())
	if got := w.hub.CheckRuns()[0].Actions; len(got) != 1 || got[0].Identifier != github.ActionRedeploy {
		t.Errorf("buttons %v", got)
	}
}

func TestSender_ACheckRunIsToldOnceThatVisitorsHaveMovedOnAndKeepsItsEnd(t *testing.T) {
	t.Parallel()
	w := setup(t, asApp)
	live := []pipeline.State{pipeline.Running, pipeline.Watching, pipeline.Live}
	w.outbox.put(deployment("01a", live...))
	flush(t, w.sender())
	before := w.hub.CheckRuns()[0]
	for range 3 { // in between the sender was started anew
		w.outbox.put(deployment("01a", append(live, pipeline.Retired)...))
		flush(t, w.sender())
	}
	after := w.hub.CheckRuns()[0]
	if len(after.History) != len(before.History)+1 || closings(after) != 1 {
		t.Errorf("written %d times after it was closed, closed %d times; want once each", len(after.History)-len(before.History), closings(after))
	}
	if after.Status != before.Status || after.Conclusion != before.Conclusion || !after.CompletedAt.Equal(before.CompletedAt) || !after.StartedAt.Equal(before.StartedAt) {
		t.Errorf("its end was %+v and is %+v", before, after)
	}
}

func TestSender_DeploymentWithoutCommitWaitsForFetch(t *testing.T) {
	t.Parallel()
	w := setup(t, asApp)
	d := deployment("01a", pipeline.Queued)
	d.Commit = ""
	w.outbox.put(d)
	s := w.sender()
	flush(t, s)
	if n := len(w.hub.CheckRuns()); n != 0 {
		t.Fatalf("check runs without a commit: %d", n)
	}
	w.outbox.put(deployment("01a", pipeline.Queued, pipeline.Running))
	flush(t, s)
	if n := len(w.hub.CheckRuns()); n != 1 {
		t.Fatalf("check runs once the commit is known: %d", n)
	}
}

func TestSender_OlderDeploymentOfACommitLeavesTheNewerOnesStatus(t *testing.T) {
	t.Parallel()
	w := setup(t, asToken)
	w.outbox.put(deployment("01b", pipeline.Running, pipeline.Live))
	flush(t, w.sender())
	w.outbox.put(deployment("01a", pipeline.Queued, pipeline.Canceled))
	flush(t, w.sender())
	statuses := w.hub.Statuses()
	if last := statuses[len(statuses)-1]; last.State != "success" || last.TargetURL != publicURL+"/deployments/01b" {
		t.Errorf("newest status is %+v", last)
	}
	if left := w.outbox.unsent(); len(left) > 0 {
		t.Errorf("not sent: %v", left)
	}
}
