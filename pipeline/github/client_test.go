package github_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/github"
	"github.com/swingbridge/swingbridge/pipeline/github/minihub"
)

func TestClient_ReadsBranchHeads(t *testing.T) {
	t.Parallel()
	for _, as := range []who{asApp, asToken, nobody} {
		w := setup(t, as)
		w.hub.SetHead(repo, "release/2026", strings.Repeat("a", 40))
		for branch, want := range map[string]string{"main": commit, "release/2026": strings.Repeat("a", 40)} {
			got, err := w.client.Head(t.Context(), repo, branch)
			if err != nil || got != want {
				t.Errorf("%s: Head(%s) = %q, %v, want %q", as, branch, got, err, want)
			}
		}
		if _, err := w.client.Head(t.Context(), repo, "gone"); !errors.Is(err, pipeline.ErrNoBranch) {
			t.Errorf("%s: head of a missing branch: %v", as, err)
		}
		if _, err := w.client.Head(t.Context(), "no/where", "main"); !errors.Is(err, pipeline.ErrNotFound) || errors.Is(err, pipeline.ErrNoBranch) {
			t.Errorf("%s: head of a missing repository: %v", as, err)
		}
		w.hub.FailNext(1, http.StatusBadGateway)
		if _, err := w.client.Head(t.Context(), repo, "main"); !errors.Is(err, pipeline.ErrUnreachable) {
			t.Errorf("%s: head while GitHub is down: %v", as, err)
		}
	}
}

func TestClient_RefusesNamesThatAreNoRepository(t *testing.T) {
	t.Parallel()
	w := setup(t, asToken)
	for _, name := range []string{"", "owner", "a/b/c", "/x", "x/", "x/..", "x/."} {
		if _, err := w.client.Head(t.Context(), name, "main"); !errors.Is(err, pipeline.ErrInvalid) {
			t.Errorf("Head(%q): %v", name, err)
		}
	}
	if _, err := w.client.Head(t.Context(), "x/y?z#", "../../app"); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("hostile names: %v", err)
	}
	for _, r := range w.hub.Requests() {
		if !strings.HasPrefix(r.Path, "/repos/x/y?z#/branches/") {
			t.Errorf("a name changed the call: %s", r.Path)
		}
	}
}

func TestClient_ReportsWhereItsIdentityMay(t *testing.T) {
	t.Parallel()
	for as, want := range map[who][]pipeline.ReportTarget{
		asApp:   {pipeline.ReportCheck, pipeline.ReportDeployment},
		asToken: {pipeline.ReportStatus, pipeline.ReportDeployment},
		nobody:  nil,
	} {
		if diff := cmp.Diff(want, setup(t, as).client.Targets()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", as, diff)
		}
	}
}

func TestClient_SaysWhoItIs(t *testing.T) {
	t.Parallel()
	for as, want := range map[who]string{asApp: `the GitHub App "Swingbridge"`, asToken: "a token with 4999 of 5000", nobody: "nobody"} {
		w := setup(t, as)
		got, err := w.client.Identity(t.Context())
		if err != nil || !strings.Contains(got, want) {
			t.Errorf("%s: Identity = %q, %v", as, got, err)
		}
	}
	w := setup(t, asToken)
	w.hub.RevokeToken(token)
	var refused *github.APIError
	if _, err := w.client.Identity(t.Context()); !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
		t.Errorf("revoked token: %v", err)
	}
	w = setup(t, asApp)
	w.hub.RemoveApp(appID)
	if _, err := w.client.Identity(t.Context()); !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
		t.Errorf("removed App: %v", err)
	}
}

func TestClient_GitTokensReachOneRepositoryAndLiveAnHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, asApp)
		w.hub.SetHead("djangopackages/other", "main", commit)
		first, err := w.client.GitToken(t.Context(), repo)
		if err != nil {
			t.Fatal(err)
		}
		again, err := w.client.GitToken(t.Context(), repo)
		if err != nil || again != first {
			t.Errorf("a second token was made at once: %v", err)
		}
		if status := w.get(t, first, "/repos/"+repo+"/branches/main"); status != http.StatusOK {
			t.Errorf("own repository: %d", status)
		}
		for _, path := range []string{"/repos/djangopackages/other/branches/main", "/repos/" + repo + "/commits/" + commit + "/check-runs"} {
			if status := w.get(t, first, path); status != http.StatusForbidden {
				t.Errorf("the token of one repository's code reaches %s: %d", path, status)
			}
		}
		pass(59*time.Minute + 30*time.Second)
		if renewed, err := w.client.GitToken(t.Context(), repo); err != nil || renewed == first {
			t.Errorf("no new token in the last minute of the old one: %v", err)
		}
	})
}

func (w *world) get(t *testing.T, secret, path string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.github.test"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	resp, err := direct{w.handler}.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func TestClient_OtherGitTokens(t *testing.T) {
	t.Parallel()
	for as, want := range map[who]string{asToken: token, nobody: ""} {
		if got, err := setup(t, as).client.GitToken(t.Context(), repo); err != nil || got != want {
			t.Errorf("%s: GitToken = %q, %v", as, got, err)
		}
	}
	w := setup(t, asApp)
	if _, err := w.client.GitToken(t.Context(), "not/installed"); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("App that is not installed: %v", err)
	}
}

func TestClient_ManyCallersShareOneToken(t *testing.T) {
	t.Parallel()
	w := setup(t, asApp)
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			if _, err := w.client.Head(t.Context(), repo, "main"); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	tokens := 0
	for _, r := range w.hub.Requests() {
		if strings.HasSuffix(r.Path, "/access_tokens") {
			tokens++
		}
	}
	if tokens != 1 {
		t.Errorf("%d tokens were made, want 1", tokens)
	}
}

func TestClient_KeyOfAnotherAppIsRefused(t *testing.T) {
	t.Parallel()
	w := setup(t, asApp)
	w.hub.RemoveApp(appID)
	w.hub.AddApp(minihub.App{ID: appID + 1, Key: &appKey().PublicKey})
	var refused *github.APIError
	if _, err := w.client.GitToken(t.Context(), repo); !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
		t.Errorf("GitToken: %v", err)
	}
}

// hosts is a transport that notes which host was shown a credential.
type hosts struct {
	mu     sync.Mutex
	seen   []string
	answer func(req *http.Request) (int, string) // status and Location
	next   http.RoundTripper
}

func (h *hosts) RoundTrip(req *http.Request) (*http.Response, error) {
	h.mu.Lock()
	h.seen = append(h.seen, req.Method+" "+req.URL.Host+req.URL.Path)
	h.mu.Unlock()
	status, location := h.answer(req)
	if status == 0 {
		return h.next.RoundTrip(req)
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Location": {location}}, Body: http.NoBody, Request: req,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

func TestClient_FollowsNoRedirectThatWouldCarryTheTokenAway(t *testing.T) {
	t.Parallel()
	for _, location := range []string{
		"https://evil.test/x", "http://api.github.test/x", "https://api.github.test:8443/x", "//evil.test/x", "https://api.github.test@evil.test/x",
	} {
		h := &hosts{answer: func(*http.Request) (int, string) { return http.StatusFound, location }}
		c, err := github.New(github.Options{BaseURL: "https://api.github.test/", Token: token, HTTP: &http.Client{Transport: h}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Head(t.Context(), repo, "main"); !errors.Is(err, github.ErrRedirect) {
			t.Errorf("%s: %v", location, err)
		}
		if len(h.seen) != 1 {
			t.Errorf("%s: requests went out: %v", location, h.seen)
		}
	}
}

func TestClient_FollowsARepositoryThatMoved(t *testing.T) {
	t.Parallel()
	w := setup(t, asToken)
	h := &hosts{next: direct{w.handler}, answer: func(req *http.Request) (int, string) {
		if rest, old := strings.CutPrefix(req.URL.Path, "/repos/old/name/"); old {
			return http.StatusTemporaryRedirect, "https://api.github.test/repos/" + repo + "/" + rest
		}
		return 0, ""
	}}
	c, err := github.New(github.Options{BaseURL: "https://api.github.test/", Token: token, HTTP: &http.Client{Transport: h}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Head(t.Context(), "old/name", "main"); err != nil || got != commit {
		t.Errorf("Head = %q, %v", got, err)
	}
	w.outbox.apps["app-1"] = pipeline.App{ID: "app-1", Name: "web", Repo: "old/name"}
	w.outbox.put(deployment("01a", pipeline.Failed))
	flush(t, w.sender(func(o *github.SenderOptions) { o.Client = c }))
	if s := w.hub.Statuses(); len(s) != 1 || s[0].State != "failure" {
		t.Errorf("statuses: %+v", s)
	}
}

func TestNew_RefusesHalfAnIdentity(t *testing.T) {
	t.Parallel()
	const secret = "not-a-pem-but-still-secret"
	for name, o := range map[string]github.Options{
		"App without key":      {AppID: 1},
		"key without App":      {AppKey: []byte(secret)},
		"key that is none":     {AppID: 1, AppKey: []byte(secret)},
		"token with a newline": {Token: secret + "\nX-Evil: 1"},
		"URL without host":     {BaseURL: "api.github.com"},
		"URL with credentials": {BaseURL: "https://" + secret + "@api.github.com"},
		"URL of another kind":  {BaseURL: "file:///etc/passwd"},
	} {
		_, err := github.New(o)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error shows the secret", name)
		}
	}
}

func TestSender_RowsOfAnotherIdentityWaitForAPerson(t *testing.T) {
	t.Parallel()
	w := setup(t, asToken)
	w.outbox.targets = []pipeline.ReportTarget{pipeline.ReportCheck}
	w.outbox.put(deployment("01a", pipeline.Running))
	if err := w.sender().Flush(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	if left := w.outbox.unsent(); !slices.ContainsFunc(left, func(s string) bool { return strings.Contains(s, "only a GitHub App") }) {
		t.Errorf("outbox: %v", left)
	}
}
