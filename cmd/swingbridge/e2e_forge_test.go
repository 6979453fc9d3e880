package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/github/minihub"
	"github.com/swingbridge/swingbridge/webhook"
)

// release is a version of the app, and what is wrong with it.
type release struct {
	version    string
	args       []string // of the app's server, see testdata/app
	dockerfile string   // instead of the usual one
	within     string   // of the probe
	guard      string
	grace      string // after SIGTERM
	replicas   int
	preview    string // host
}

// files is the app's repository at the release.
func (s *site) files(r release) map[string]string {
	s.t.Helper()
	base := baseImage(s.t)
	if r.guard == "" {
		r.guard = "1s"
	}
	if r.within == "" {
		r.within = "60s"
	}
	if r.grace == "" {
		r.grace = "5s"
	}
	if r.preview != "" {
		r.guard += ", preview: " + r.preview
	}
	if r.dockerfile == "" {
		command, err := json.Marshal(append([]string{"/app"}, r.args...))
		if err != nil {
			s.t.Fatal(err)
		}
		r.dockerfile = "FROM " + base + "\nCOPY page.txt /page.txt\nENTRYPOINT " + string(command) + "\n"
	}
	return map[string]string{
		"Dockerfile": r.dockerfile,
		"page.txt":   r.version + "\n",
		"compose.yml": "services:\n  web:\n    build: .\n    stop_grace_period: " + r.grace + "\n" +
			"    x-swingbridge: {drain: 10s, probe: {within: " + r.within + ", timeout: 2s, interval: 100ms}, replicas: " + strconv.Itoa(max(r.replicas, 1)) + "}\n" +
			"x-swingbridge: {guard: " + r.guard + "}\n",
	}
}

// commit commits the release on main, and says what main was.
func (s *site) commit(repo string, r release, message string) (before, sha string) {
	s.t.Helper()
	return s.commitFiles(repo, s.files(r), message)
}

func (s *site) commitFiles(repo string, files map[string]string, message string) (before, sha string) {
	s.t.Helper()
	before, err := s.repos[repo].Head("main")
	if errors.Is(err, fs.ErrNotExist) {
		before = strings.Repeat("0", 40)
	} else if err != nil {
		s.t.Fatal(err)
	}
	sha = s.forge.Push(s.repos[repo], "main", files, message)
	s.hub.SetHead(repo, "main", sha)
	return before, sha
}

// push commits a release of the app and sends the signed webhook. It returns
// the deployment's id.
func (s *site) push(r release, message string) string {
	s.t.Helper()
	return s.pushTo(appRepo, r, message)
}

func (s *site) pushTo(repo string, r release, message string) string {
	s.t.Helper()
	return s.pushFiles(repo, s.files(r), message)
}

// pushFiles is push with files of any kind.
func (s *site) pushFiles(repo string, files map[string]string, message string) string {
	s.t.Helper()
	before, sha := s.commitFiles(repo, files, message)
	got := s.deliver(delivery{body: pushBody(repo, "main", before, sha, message)})
	if got.status != http.StatusAccepted || got.DeploymentID == "" {
		s.t.Fatalf("the push was answered %+v", got)
	}
	return got.DeploymentID
}

// pushBody is the payload of a push.
func pushBody(repo, branch, before, after, message string) []byte {
	_, name, _ := strings.Cut(repo, "/")
	body, err := json.Marshal(map[string]any{
		"ref": "refs/heads/" + branch, "before": before, "after": after, "deleted": false, "forced": false,
		"repository":  map[string]any{"id": idOf(repo), "full_name": repo, "name": name},
		"sender":      map[string]any{"login": "octocat"},
		"head_commit": map[string]any{"id": after, "message": message},
	})
	if err != nil {
		panic(err) // strings and numbers only
	}
	return body
}

// idOf is a repository's number, the same for the same name.
func idOf(repo string) int {
	n := 7
	for _, b := range []byte(repo) {
		n = (n*31 + int(b)) % 1_000_003
	}
	return n
}

// delivery is a webhook request; what is empty is as GitHub sends it.
type delivery struct {
	id, event, signature string
	body                 []byte
}

// delivered is the answer to a delivery.
type delivered struct {
	status       int
	DeliveryID   string `json:"delivery_id"`
	Outcome      string `json:"outcome"`
	Reason       string `json:"reason"`
	Message      string `json:"message"`
	DeploymentID string `json:"deployment_id"`
}

// deliver sends a webhook request.
func (s *site) deliver(d delivery) delivered {
	s.t.Helper()
	if d.id == "" {
		d.id = pipeline.NewID(time.Now())
	}
	if d.event == "" {
		d.event = "push"
	}
	if d.signature == "" {
		d.signature = webhook.Sign([]byte(s.secret), d.body)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+"/webhooks/github", bytes.NewReader(d.body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", d.event)
	req.Header.Set("X-GitHub-Delivery", d.id)
	req.Header.Set("X-Hub-Signature-256", d.signature)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatalf("deliver: %v", err)
	}
	defer resp.Body.Close()
	out := delivered{status: resp.StatusCode}
	body, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(body, &out)
	}
	if err != nil {
		s.t.Fatalf("answer to the delivery: %v\n%s", err, body)
	}
	return out
}

// check waits until GitHub has the deployment's check run closed, and fails the
// test unless it is the only one and was closed once.
func (s *site) check(deployment, conclusion string) minihub.CheckRun {
	s.t.Helper()
	var run minihub.CheckRun
	s.eventually("the check of "+deployment+" to be closed", func() bool {
		runs := s.checksOf(deployment)
		if len(runs) > 1 {
			s.t.Fatalf("deployment %s has %d check runs", deployment, len(runs))
		}
		if len(runs) == 1 {
			run = runs[0]
		}
		return run.Status == "completed"
	})
	if run.Conclusion != conclusion {
		s.t.Errorf("the check of %s is %s, want %s: %s", deployment, run.Conclusion, conclusion, run.Title)
	}
	if err := closedOnce(run); err != nil {
		s.t.Errorf("the check of %s %v", deployment, err)
	}
	return run
}

func (s *site) checksOf(deployment string) []minihub.CheckRun {
	var out []minihub.CheckRun
	for _, run := range s.hub.CheckRuns() {
		if run.ExternalID == deployment {
			out = append(out, run)
		}
	}
	return out
}

// closedOnce says whether a check run was closed and stayed as it was then.
func closedOnce(run minihub.CheckRun) error {
	conclusion := ""
	for _, h := range run.History {
		switch {
		case conclusion == "":
			conclusion = h.Conclusion
		case h.State != "completed" || h.Conclusion != conclusion:
			return fmt.Errorf("was closed as %s and became %s %s", conclusion, h.State, h.Conclusion)
		}
	}
	if conclusion == "" {
		return errors.New("was never closed")
	}
	return nil
}

// states are the states that a check run went through.
func states(run minihub.CheckRun) []string {
	var out []string
	for _, h := range run.History {
		if len(out) == 0 || out[len(out)-1] != h.State {
			out = append(out, h.State)
		}
	}
	return out
}

// record waits until the deployment's record on GitHub has the state.
func (s *site) record(deployment, state string) minihub.Deployment {
	s.t.Helper()
	var found []minihub.Deployment
	s.eventually("the record of "+deployment+" to be "+state, func() bool {
		found = nil
		for _, d := range s.hub.Deployments() {
			if strings.Contains(d.Payload, deployment) {
				found = append(found, d)
			}
		}
		return len(found) > 0 && found[0].State() == state
	})
	if len(found) != 1 {
		s.t.Errorf("deployment %s has %d records", deployment, len(found))
	}
	return found[0]
}

// logOf is the deployment's log so far.
func (s *site) logOf(deployment string) string {
	s.t.Helper()
	out, err := s.api.Log(s.t.Context(), deployment, 0)
	if err != nil {
		return "cannot be read: " + err.Error()
	}
	defer out.Close()
	text, err := io.ReadAll(out)
	if err != nil {
		return "cannot be read: " + err.Error()
	}
	return string(text)
}
