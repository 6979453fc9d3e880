package github_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/github"
)

// subject is a deployment in a state with everything around it.
func subject(states ...pipeline.State) github.Subject {
	return github.Subject{
		Deployment: deployment("01a", states...), PublicURL: publicURL, Log: []string{"one", "two"},
		App: pipeline.App{Name: "web", Routes: []pipeline.Route{{Host: "example.org", Path: "/shop"}}},
	}
}

func TestCheckRunOf_AFailure(t *testing.T) {
	t.Parallel()
	got, err := json.MarshalIndent(github.CheckRunOf(subject(pipeline.Queued, pipeline.Running, pipeline.Failed)), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "name": "swingbridge/web",
  "head_sha": "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d",
  "external_id": "01a",
  "details_url": "https://deploy.example.org/deployments/01a",
  "status": "completed",
  "conclusion": "failure",
  "started_at": "2026-11-22T12:00:10Z",
  "completed_at": "2026-11-22T12:00:20Z",
  "output": {
    "title": "Failed, what was live stays live: build of web failed: Dockerfile:3: ` + "`RUN`" + ` exit code 1",
    "summary": "build of web failed: Dockerfile:3: \\` + "`RUN\\\\`" + ` exit code 1\n\nCommit 7fd1a60 Fix \u0026#64;all the \u0026lt;b\u0026gt;things\u0026lt;/b\u0026gt; · trigger push · color green\n\n| Step | State | Took | Seen |\n| --- | --- | ---: | --- |\n| fetch source | done | 420ms |  |\n| build images | running |  |  |\n",
    "text": "Last lines of the log:\n\n` + "```" + `\none\ntwo\n` + "```" + `\n"
  },
  "actions": [
    {
      "label": "Redeploy",
      "description": "Deploy this commit again",
      "identifier": "redeploy"
    }
  ]
}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("check run (-want +got):\n%s", diff)
	}
}

func TestCheckRunOf_AReasonOfSeveralLinesKeepsThem(t *testing.T) {
	t.Parallel()
	s := subject(pipeline.Queued, pipeline.Running, pipeline.Failed)
	s.Deployment.Reason = "compose.yml:3: not @allowed\n\nPermissions:\n+ cap:NET_ADMIN (not allowed)\n  cap:CHOWN\nTo allow it: swingbridge app allow web cap:NET_ADMIN"
	out := github.CheckRunOf(s).Output
	want := "compose.yml:3: not &#64;allowed\n\n```\nPermissions:\n+ cap:NET_ADMIN (not allowed)\n  cap:CHOWN\nTo allow it: swingbridge app allow web cap:NET_ADMIN\n```\n\nCommit "
	if !strings.HasPrefix(out.Summary, want) {
		t.Errorf("the summary is\n%s", out.Summary)
	}
	if strings.Contains(out.Title, "\n") {
		t.Errorf("the title is %q", out.Title)
	}
}

func FuzzCheckRunOf_NothingInAReasonClosesItsBlock(f *testing.F) {
	f.Add("first\n```\n# title")
	f.Add("\n\n" + strings.Repeat("`", 9000) + "\n\xff")
	f.Fuzz(func(t *testing.T, reason string) {
		s := subject(pipeline.Failed)
		s.Deployment.Reason = reason
		text := github.CheckRunOf(s).Output.Summary
		if len(text) > 65535 || !utf8.ValidString(text) {
			t.Fatalf("%d bytes, valid %v", len(text), utf8.ValidString(text))
		}
		fences := 0
		for line := range strings.Lines(text) {
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				fences++
			}
		}
		before, _, _ := strings.Cut(text, "\nCommit ")
		lines := strings.Split(strings.TrimSpace(before), "\n")
		if last := lines[len(lines)-1]; fences > 0 && (strings.Trim(last, "`") != "" || strings.Count(before, last) != 2) {
			t.Fatalf("the block does not end where it should: %q", text)
		}
	})
}

func TestRecordOf_AsksForNoChecksAndNoMerge(t *testing.T) {
	t.Parallel()
	record, starts := github.RecordOf(subject(pipeline.Running))
	raw, err := json.Marshal(record)
	if err != nil || !starts {
		t.Fatal(starts, err)
	}
	want := `{"ref":"7fd1a60b01f91b314f59955a4e4d4e80d8edf11d","auto_merge":false,"required_contexts":[],"payload":{"swingbridge":"01a"},` +
		`"environment":"web","description":"Swingbridge deployment 01a (push)","production_environment":true}`
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	if got := github.RecordStatusOf(subject(pipeline.Live)).EnvironmentURL; got != "https://example.org/shop" {
		t.Errorf("environment URL %q", got)
	}
}

func TestReports_KeepGitHubsLimitsWhateverIsInThem(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ÄÖ|`*<script>@team #1 \x1b[31m\x00", 3000)
	for _, state := range pipeline.States() {
		s := subject(pipeline.Running, state)
		s.Deployment.Reason, s.Deployment.Subject = long, long
		s.Deployment.Steps = nil
		for range 250 {
			s.Deployment.Steps = append(s.Deployment.Steps, pipeline.StepRecord{Name: pipeline.NewID(time.Now()), State: pipeline.StepFailed, Detail: long, Error: long})
		}
		for range 200 {
			s.Log = append(s.Log, long)
		}
		c := github.CheckRunOf(s)
		for what, n := range map[string][2]int{
			"title": {utf8.RuneCountInString(c.Output.Title), 255}, "summary": {len(c.Output.Summary), 65535}, "text": {len(c.Output.Text), 65535},
			"status": {utf8.RuneCountInString(github.CommitStatusOf(s).Description), 140},
			"record": {utf8.RuneCountInString(github.RecordStatusOf(s).Description), 140},
		} {
			if n[0] > n[1] {
				t.Errorf("%s: %s has %d characters, at most %d are allowed", state, what, n[0], n[1])
			}
		}
		if strings.Contains(c.Output.Summary, "<script") || strings.Contains(c.Output.Summary, "@team") || strings.Contains(c.Output.Summary, "\x1b") {
			t.Errorf("%s: markup went through", state)
		}
		for _, a := range c.Actions {
			if len(a.Label) > 20 || len(a.Description) > 40 || len(a.Identifier) > 20 {
				t.Errorf("%s: button %+v is too long", state, a)
			}
		}
		w := setup(t, asApp)
		w.outbox.put(s.Deployment)
		flush(t, w.sender(func(o *github.SenderOptions) { o.Logs = func(string, int) []string { return s.Log } }))
		if left := w.outbox.unsent(); len(left) > 0 {
			t.Errorf("%s: GitHub refused it: %v", state, left)
		}
	}
}

func TestCheckRunOf_ShowsTheNewestAttemptOnly(t *testing.T) {
	t.Parallel()
	s := subject(pipeline.Running)
	at := began()
	s.Deployment.Attempt = 2
	s.Deployment.Steps = []pipeline.StepRecord{
		{Attempt: 1, Name: "cut over", State: pipeline.StepUndone, StartedAt: at, EndedAt: at},
		{Attempt: 2, Name: "probe", State: pipeline.StepRunning, StartedAt: at},
		{Attempt: 2, Name: "probe", State: pipeline.StepDone, Detail: "3 of 3", StartedAt: at, EndedAt: at.Add(95 * time.Second)},
		{Attempt: 2, Name: "drain", State: pipeline.StepSkipped, Detail: "nothing was live", StartedAt: at, EndedAt: at},
	}
	summary := github.CheckRunOf(s).Output.Summary
	want := "| probe | done | 1m35s | 3 of 3 |\n| drain | skipped |  | nothing was live |\n"
	if !strings.HasSuffix(summary, want) || strings.Contains(summary, "cut over") || !strings.Contains(summary, "attempt 2") {
		t.Errorf("summary:\n%s", summary)
	}
}

func TestReports_WithoutPublicURLHaveNoLinks(t *testing.T) {
	t.Parallel()
	s := subject(pipeline.Running, pipeline.Live)
	s.PublicURL = ""
	if c := github.CheckRunOf(s); c.DetailsURL != "" {
		t.Errorf("details %q", c.DetailsURL)
	}
	if r := github.RecordStatusOf(s); r.LogURL != "" || r.EnvironmentURL == "" {
		t.Errorf("record status %+v", r)
	}
}

func FuzzCheckRunOf_NothingInALogClosesItsBlock(f *testing.F) {
	f.Add("plain", "```", "~~~\n\n# title")
	f.Add("````", "\x1b]8;;https://evil\x07link", strings.Repeat("`", 3000))
	f.Fuzz(func(t *testing.T, a, b, c string) {
		s := subject(pipeline.Failed)
		s.Log = []string{a, b, c}
		text := github.CheckRunOf(s).Output.Text
		if len(text) > 65535 || !utf8.ValidString(text) {
			t.Fatalf("%d bytes, valid %v", len(text), utf8.ValidString(text))
		}
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		fence := lines[2]
		if strings.Trim(fence, "`") != "" || lines[len(lines)-1] != fence {
			t.Fatalf("no fence: %q", text)
		}
		for _, line := range lines[3 : len(lines)-1] {
			if strings.Contains(line, fence) || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Fatalf("line closes the block or holds a control character: %q", line)
			}
		}
	})
}

func TestMinihub_RefusesWhatGitHubRefuses(t *testing.T) {
	t.Parallel()
	w := setup(t, asToken)
	for name, c := range map[string]struct {
		path, body string
		want       int
	}{
		"check run by a person":        {"check-runs", `{"name":"x","head_sha":"y"}`, http.StatusForbidden},
		"deployment with all contexts": {"deployments", `{"ref":"main","auto_merge":false}`, http.StatusConflict},
		"deployment with a merge":      {"deployments", `{"ref":"main","required_contexts":[]}`, http.StatusAccepted},
		"status without state":         {"statuses/" + commit, `{"state":"fine"}`, http.StatusUnprocessableEntity},
		"status with a long text":      {"statuses/" + commit, `{"state":"error","description":"` + strings.Repeat("x", 141) + `"}`, http.StatusUnprocessableEntity},
		"what is no JSON":              {"deployments", `{`, http.StatusBadRequest},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.github.test/repos/"+repo+"/"+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "token "+token)
		resp, err := direct{w.hub}.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, c.want)
		}
	}
}
