package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
	"github.com/swingbridge/swingbridge/server/api/client"
)

func TestPush_BecomesLiveUnderTrafficAndABrokenOneChangesNothing(t *testing.T) {
	t.Parallel()
	s := live(t)

	crowd := s.visit(appHost)
	id := s.push(release{version: "version 2"}, "Add a second quay")
	end := s.mustBe(s.await(id), pipeline.Live)
	cut, before := time.Now(), s.only(id)
	broken := s.pushInSlowMotion(release{version: "version 3", args: []string{"-fail", "PAYMENT_URL is not set"}}, "Charge harbor dues")
	failed := s.mustBe(s.await(broken), pipeline.Failed)
	after := s.only(id)
	crowd.served(cut, "version 2")

	run := s.check(id, "success")
	if run.Name != "swingbridge/"+appName || run.HeadSHA != end.Commit {
		t.Errorf("the check is %s of %s, want swingbridge/%s of %s", run.Name, run.HeadSHA, appName, end.Commit)
	}
	if record := s.record(id, "success"); record.SHA != end.Commit {
		t.Errorf("the record is of %s, want %s", record.SHA, end.Commit)
	}
	run = s.check(broken, "failure")
	if got, want := states(run), []string{"queued", "in_progress", "completed"}; !cmp.Equal(got, want) {
		t.Errorf("the check went through %v, want %v", got, want)
	}
	for _, line := range []string{"loading settings", "PAYMENT_URL is not set"} {
		if !strings.Contains(run.Text, line) {
			t.Errorf("the check lacks the server's line %q:\n%s", line, run.Text)
		}
	}
	if !strings.Contains(failed.Reason, "web") || !strings.Contains(failed.Reason, "exit code 3") {
		t.Errorf("the reason is %q, want service and exit code", failed.Reason)
	}
	s.record(broken, "failure")
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the live container is another one (-before +after):\n%s", diff)
	}
	if now := s.mustBe(s.await(id), pipeline.Live); now.Attempt != 1 {
		t.Errorf("the live deployment has attempt %d", now.Attempt)
	}
}

func TestPush_ThatChangesNothingButTheCommitLeavesTheContainersAlone(t *testing.T) {
	t.Parallel()
	s := live(t)
	first := s.onlyDeployment()
	before := s.only(first)

	crowd := s.visit(appHost)
	id := s.push(release{version: "version 1"}, "Say the same in other words")
	end := s.mustBe(s.await(id), pipeline.Live)
	if err := lost(crowd.leave()); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, s.only(first)); diff != "" {
		t.Errorf("the live container is another one (-before +after):\n%s", diff)
	}
	services, err := s.api.Services(t.Context(), appName)
	if err != nil {
		t.Fatal(err)
	}
	if len(services) != 1 || services[0].Commit != end.Commit || services[0].Deployment != id || !services[0].Live {
		t.Errorf("what runs is %+v, want one of commit %s", services, end.Commit)
	}
	if run := s.check(id, "success"); run.HeadSHA != end.Commit || !strings.Contains(run.Title, "nothing changed") {
		t.Errorf("the check of %s says %q", run.HeadSHA, run.Title)
	}
	if end.Carries != first || len(s.mustBe(s.await(first), pipeline.Retired).Carries) > 0 {
		t.Errorf("it carries on %q, want %s", end.Carries, first)
	}

	// What comes next replaces them, and a redeployment does so unasked of the files.
	next := s.mustBe(s.await(s.push(release{version: "version 2"}, "Add a second quay")), pipeline.Live)
	s.only(next.ID)
	again, err := s.api.Deploy(t.Context(), appName, next.Commit)
	if err != nil {
		t.Fatal(err)
	}
	s.only(s.mustBe(s.await(again.ID), pipeline.Live).ID)
}

// pushInSlowMotion pushes and holds the deployment until GitHub has been told
// that it is queued, and then that it runs: GitHub hears of the newest state
// only, and of a second at most one.
func (s *site) pushInSlowMotion(r release, message string) string {
	s.t.Helper()
	s.pauseApp(true)
	id := s.push(r, message)
	told := func(status string) bool {
		runs := s.checksOf(id)
		return len(runs) == 1 && runs[0].Status == status
	}
	s.eventually("GitHub to hear that it is queued", func() bool { return told("queued") })
	s.forge.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		for !told("in_progress") && pause(r.Context()) == nil {
		}
		return false
	})
	s.pauseApp(false)
	return id
}

func (s *site) pauseApp(paused bool) {
	s.t.Helper()
	if _, err := s.api.UpdateApp(s.t.Context(), appName, api.AppChange{Paused: &paused}); err != nil {
		s.t.Fatal(err)
	}
}

func TestPush_ThatIsBadNamesItsCauseAndVisitorsStayWhereTheyWere(t *testing.T) {
	t.Parallel()
	s := live(t)
	crowd := s.visit(appHost)
	for _, c := range []struct {
		name   string
		bad    release
		state  pipeline.State
		reason []string // parts of it
	}{
		{"answers 500", release{args: []string{"-status", "500"}}, pipeline.Failed, []string{"web", "500"}},
		{"listens on another port", release{args: []string{"-listen", ":9000"}}, pipeline.Failed, []string{"web", "9000", "port 8000"}},
		{"listens on the loopback address", release{args: []string{"-listen", "127.0.0.1:8000"}}, pipeline.Failed, []string{"web", "127.0.0.1:8000 only", "0.0.0.0"}},
		{"has a command that is not there", release{dockerfile: "FROM " + baseImage(t) + "\nENTRYPOINT [\"/nothing\"]\n"}, pipeline.Failed, []string{"web", "/nothing"}},
		{"has a Dockerfile that fails", release{dockerfile: "FROM " + baseImage(t) + "\nCOPY absent.txt /\n"}, pipeline.Failed, []string{"web", "absent.txt"}},
		{"has a compose file with what is not handled", release{within: "60s, retries: 5"}, pipeline.Failed, []string{"compose.yml", "retries"}},
	} {
		c.bad.version = c.name
		if c.bad.within == "" {
			c.bad.within = "2s"
		}
		id := s.push(c.bad, "A release that "+c.name)
		end := s.await(id)
		if end.State != c.state {
			t.Errorf("a release that %s ended %s: %s", c.name, end.State, end.Reason)
		}
		for _, part := range c.reason {
			if !strings.Contains(end.Reason, part) {
				t.Errorf("a release that %s has the reason %q, want it to name %q", c.name, end.Reason, part)
			}
		}
		run := s.check(id, "failure")
		if !strings.Contains(run.Summary, "web") && !strings.Contains(run.Summary, "compose.yml") {
			t.Errorf("a release that %s has a check that does not say so: %s", c.name, run.Summary)
		}
	}
	crowd.served(time.Time{}, "version 1")
}

func TestPush_ThatDiesAfterTheCutoverSwingsVisitorsBack(t *testing.T) {
	t.Parallel()
	s := live(t)
	crowd := s.visit(appHost)
	id := s.push(release{version: "version 2", args: []string{"-die", "2s"}, guard: "30s"}, "Forget the cookies")
	end := s.mustBe(s.await(id), pipeline.RolledBack)
	back := time.Now()
	// What was asked of a server that is gone is lost, but nothing before that
	// and nothing once visitors are back.
	var before, after []answer
	seen := false
	for _, a := range crowd.leave() {
		seen = seen || a.version == "version 2"
		if !seen {
			before = append(before, a)
		} else if a.begun.After(back) {
			after = append(after, a)
		}
	}
	if !seen {
		t.Error("no visitor ever saw the release that died")
	}
	if err := errors.Join(lost(before), lost(after), stale(after, back, "version 1")); err != nil {
		t.Error(err)
	}
	if !strings.Contains(end.Reason, "web") || !strings.Contains(end.Reason, "after the cutover") {
		t.Errorf("the reason is %q", end.Reason)
	}
	if run := s.check(id, "failure"); !strings.Contains(run.Text, "out of cookies") {
		t.Errorf("the check lacks the server's last line:\n%s", run.Text)
	}
	s.record(id, "failure")
	if there := s.containers(); len(there) != 1 {
		t.Errorf("containers of %d deployments are there", len(there))
	}
}

func TestPush_TwentyAtOnceEndWithTheLastOneLive(t *testing.T) {
	t.Parallel()
	s := live(t)
	crowd := s.visit(appHost)
	begun := time.Now()
	var ids []string
	for i := range 20 {
		ids = append(ids, s.push(release{version: fmt.Sprintf("push %d", i)}, fmt.Sprintf("Push %d", i)))
	}
	t.Logf("20 pushes in %s", time.Since(begun))
	if distinct := slices.Compact(slices.Sorted(slices.Values(ids))); len(distinct) != len(ids) {
		t.Fatalf("20 pushes made %d deployments", len(distinct))
	}
	last := s.mustBe(s.await(ids[19]), pipeline.Live)
	cut := time.Now()
	conclusions := map[pipeline.State]string{
		pipeline.Live: "success", pipeline.Retired: "success", pipeline.Superseded: "neutral",
	}
	for _, id := range ids {
		end := s.await(id)
		conclusion, ok := conclusions[end.State]
		if !ok || end.State == pipeline.Live && id != last.ID {
			t.Errorf("push %s ended %s: %s", id, end.State, end.Reason)
			continue
		}
		s.check(id, conclusion)
	}
	crowd.served(cut, "push 19")
	all, err := s.api.Deployments(t.Context(), appName, client.Part{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	if len(all.Items) != 21 {
		t.Errorf("there are %d deployments, want 21", len(all.Items))
	}
	if err := overlap(all.Items); err != nil {
		t.Error(err)
	}
	s.only(last.ID)
}

// overlap is an error if steps of two deployments went on at the same time.
func overlap(all []api.Deployment) error {
	type span struct {
		id       string
		from, to time.Time
	}
	var spans []span
	for _, d := range all {
		if len(d.Steps) == 0 {
			continue
		}
		x := span{id: d.ID, from: d.Steps[0].StartedAt}
		for _, step := range d.Steps {
			if end := step.StartedAt.Add(time.Duration(step.MS) * time.Millisecond); end.After(x.to) {
				x.to = end
			}
		}
		spans = append(spans, x)
	}
	slices.SortFunc(spans, func(a, b span) int { return a.from.Compare(b.from) })
	for i := 1; i < len(spans); i++ {
		if spans[i].from.Before(spans[i-1].to) {
			return fmt.Errorf("deployment %s began %s before %s was done", spans[i].id, spans[i-1].to.Sub(spans[i].from), spans[i-1].id)
		}
	}
	if len(spans) == 0 {
		return fmt.Errorf("none of %d deployments did anything", len(all))
	}
	return nil
}

func TestOverlap_IsFound(t *testing.T) {
	t.Parallel()
	at := time.Now()
	one := api.Deployment{ID: "1", Steps: []api.Step{{StartedAt: at, MS: 100}, {StartedAt: at.Add(100 * time.Millisecond), MS: 900}}}
	two := api.Deployment{ID: "2", Steps: []api.Step{{StartedAt: at.Add(time.Second), MS: 5}}}
	if err := overlap([]api.Deployment{two, one, {ID: "3"}}); err != nil {
		t.Error(err)
	}
	two.Steps[0].StartedAt = at.Add(999 * time.Millisecond)
	if overlap([]api.Deployment{two, one}) == nil {
		t.Error("an overlap went unnoticed")
	}
	if overlap(nil) == nil {
		t.Error("nothing to compare went unnoticed")
	}
}

func TestDelivery_IsAnsweredAsTheContractSays(t *testing.T) {
	t.Parallel()
	s := running(t)
	before, sha := s.commit(appRepo, release{version: "version 1"}, "Open the harbor")
	body := pushBody(appRepo, "main", before, sha, "Open the harbor")
	first := s.deliver(delivery{id: "delivery-1", body: body})
	if first.status != 202 || first.Outcome != "queued" && first.Outcome != "coalesced" || first.DeploymentID == "" || first.DeliveryID != "delivery-1" {
		t.Fatalf("the first delivery was answered %+v", first)
	}
	s.mustBe(s.await(first.DeploymentID), pipeline.Live)
	other := pushBody(appRepo, "topic", before, sha, "Not for visitors")
	stranger := pushBody("octocat/elsewhere", "main", before, sha, "Not ours")
	for _, c := range []struct {
		name             string
		d                delivery
		status           int
		outcome, reason  string
		sameDeploymentAs string
	}{
		{"the same delivery again", delivery{id: "delivery-1", body: body}, 202, "duplicate", "duplicate", first.DeploymentID},
		{"the same commit in another delivery", delivery{body: body}, 202, "coalesced", "already", first.DeploymentID},
		{"a ping", delivery{event: "ping", body: []byte(`{"zen":"Keep it logically awesome.","hook_id":1}`)}, 202, "pong", "ping", ""},
		{"an event of another kind", delivery{event: "star", body: []byte(`{"action":"created"}`)}, 202, "ignored", "event", ""},
		{"a push to another branch", delivery{body: other}, 202, "ignored", "other_branch", ""},
		{"a push to a repository that no app follows", delivery{body: stranger}, 202, "ignored", "unknown_repo", ""},
		{"a signature of another secret", delivery{body: body, signature: "sha256=" + strings.Repeat("0", 64)}, 401, "", "", ""},
		{"no signature that deserves the name", delivery{body: body, signature: "sha256="}, 401, "", "", ""},
		{"no JSON", delivery{body: []byte("payload=%7B%7D")}, 400, "", "", ""},
	} {
		got := s.deliver(c.d)
		want := delivered{status: c.status, Outcome: c.outcome, Reason: c.reason, DeploymentID: c.sameDeploymentAs}
		if got.Message == "" && c.status == 202 {
			t.Errorf("%s has no message for people", c.name)
		}
		got.DeliveryID, got.Message = "", ""
		if got != want {
			t.Errorf("%s: answered %+v, want %+v", c.name, got, want)
		}
	}
	all, err := s.api.Deployments(t.Context(), appName, client.Part{})
	if err != nil || len(all.Items) != 1 {
		t.Errorf("there are %d deployments, %v; want the one", len(all.Items), err)
	}
}
