package webhook_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/webhook"
)

func TestHandler_APushIsQueued(t *testing.T) {
	t.Parallel()
	w := setup(t, app("shop"))
	status, got, _ := w.send(t, request(push, "d1", "push"))
	want := map[string]any{
		"delivery_id": "d1", "outcome": "queued", "reason": "push", "deployment_id": "dep-shop",
		"message": "The deployment of 6113728 to shop is queued.",
	}
	if diff := cmp.Diff(want, got); status != 202 || diff != "" {
		t.Fatalf("status %d\n%s", status, diff)
	}
	stored := w.ledger.stored["d1"]
	wantQueue := &pipeline.NewDeployment{
		AppID: "id-shop", Commit: commit, Subject: "Fix it [skip ci]", Trigger: pipeline.Push, Actor: "mona", DeliveryID: "d1",
	}
	if diff := cmp.Diff(wantQueue, stored.Apps[0].Queue); diff != "" {
		t.Error(diff)
	}
	if string(stored.Body) != push {
		t.Error("the body was not stored as it came")
	}
	if w.counted["queued/push"] != 1 {
		t.Errorf("counted %v", w.counted)
	}
}

func TestHandler_ADuplicateNamesTheFirstDeployment(t *testing.T) {
	t.Parallel()
	w := setup(t, app("shop"))
	w.send(t, request(push, "d1", "push"))
	status, got, _ := w.send(t, request(push, "d1", "push"))
	if status != 202 || got["outcome"] != "duplicate" || got["reason"] != "duplicate" || got["deployment_id"] != "dep-shop" {
		t.Fatalf("%d %v", status, got)
	}
}

func TestHandler_SeveralAppsAreAnsweredInOneGo(t *testing.T) {
	t.Parallel()
	w := setup(t, app("docs", func(s *pipeline.Standing) { s.App.Branch = "gh-pages" }), app("shop"))
	_, got, _ := w.send(t, request(push, "d1", "push"))
	want := []any{
		map[string]any{"app": "docs", "outcome": "ignored", "reason": "other_branch", "message": `The branch "main" was pushed; docs follows gh-pages.`},
		map[string]any{"app": "shop", "outcome": "queued", "reason": "push", "message": "The deployment of 6113728 to shop is queued.", "deployment_id": "dep-shop"},
	}
	if diff := cmp.Diff(want, got["apps"]); diff != "" {
		t.Error(diff)
	}
	if got["outcome"] != "queued" || got["deployment_id"] != "dep-shop" {
		t.Errorf("top level is not the strongest: %v", got)
	}
}

func TestHandler_RefusesAndStoresNothing(t *testing.T) {
	t.Parallel()
	long := `{"pad":"` + strings.Repeat("x", 5000) + `"}`
	cases := map[string]struct {
		body   string
		edit   func(*http.Request)
		status int
		code   string
	}{
		"another method":          {push, func(r *http.Request) { r.Method = http.MethodPut }, 405, "method"},
		"over the limit":          {long, nil, 413, "too_large"},
		"over the limit, chunked": {long, func(r *http.Request) { r.ContentLength = -1 }, 413, "too_large"},
		"gzip":                    {push, func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 415, "encoded"},
		"a form":                  {push, func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, 415, "media_type"},
		"no media type":           {push, func(r *http.Request) { r.Header.Del("Content-Type") }, 415, "media_type"},
		"no signature":            {push, func(r *http.Request) { r.Header.Del("X-Hub-Signature-256") }, 401, "signature"},
		"an empty signature":      {push, func(r *http.Request) { r.Header.Set("X-Hub-Signature-256", "sha256=") }, 401, "signature"},
		"two signatures":          {push, func(r *http.Request) { r.Header.Add("X-Hub-Signature-256", r.Header.Get("X-Hub-Signature-256")) }, 401, "signature"},
		"SHA-1 in the old header": {push, func(r *http.Request) {
			r.Header.Del("X-Hub-Signature-256")
			r.Header.Set("X-Hub-Signature", "sha1=0123456789012345678901234567890123456789")
		}, 401, "signature"},
		"SHA-1 in the new header": {push, func(r *http.Request) {
			r.Header.Set("X-Hub-Signature-256", "sha1=0123456789012345678901234567890123456789")
		}, 401, "signature"},
		"another secret": {push, func(r *http.Request) {
			r.Header.Set("X-Hub-Signature-256", webhook.Sign([]byte("another secret of some length"), []byte(push)))
		}, 401, "signature"},
		"an empty secret": {push, func(r *http.Request) {
			r.Header.Set("X-Hub-Signature-256", webhook.Sign(nil, []byte(push)))
		}, 401, "signature"},
		"no event":       {push, func(r *http.Request) { r.Header.Del("X-GitHub-Event") }, 400, "headers"},
		"no delivery id": {push, func(r *http.Request) { r.Header.Del("X-GitHub-Delivery") }, 400, "headers"},
		"a hostile id":   {push, func(r *http.Request) { r.Header.Set("X-GitHub-Delivery", "a b") }, 400, "headers"},
		"not JSON":       {`{"ref":`, nil, 400, "not_json"},
		"a JSON list":    {`[1]`, nil, 400, "not_json"},
		"JSON null":      {`null`, nil, 400, "not_json"},
		"nothing":        {``, nil, 400, "not_json"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, app("shop"))
			r := request(c.body, "d1", "push")
			if c.edit != nil {
				c.edit(r)
			}
			status, got, _ := w.send(t, r)
			if status != c.status || got["code"] != c.code {
				t.Errorf("answered %d %v, want %d %s", status, got, c.status, c.code)
			}
			if w.ledger.count() != 0 {
				t.Error("something was stored")
			}
			if w.counted["refused/"+c.code] != 1 {
				t.Errorf("counted %v", w.counted)
			}
		})
	}
}

func TestHandler_NothingPassesWithoutASecret(t *testing.T) {
	t.Parallel()
	for _, weak := range []string{"", "fifteen bytes!!"} {
		w := setup(t, app("shop"))
		h := webhook.New(webhook.Options{Secret: []byte(weak), Ledger: w.ledger})
		r := request(push, "d1", "push")
		r.Header.Set("X-Hub-Signature-256", webhook.Sign([]byte(weak), []byte(push)))
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code != 503 || !strings.Contains(rec.Body.String(), `"no_secret"`) || w.ledger.count() != 0 {
			t.Errorf("secret %q: %d %s", weak, rec.Code, rec.Body)
		}
	}
}

func TestHandler_AFailingLedgerAsksForAnotherTry(t *testing.T) {
	t.Parallel()
	w := setup(t, app("shop"))
	w.ledger.err = errors.New("disk full at a path nobody shall see")
	status, got, header := w.send(t, request(push, "d1", "push"))
	if status != 503 || header.Get("Retry-After") == "" || got["code"] != "not_stored" {
		t.Fatalf("%d %v %v", status, got, header)
	}
	if strings.Contains(got["detail"].(string), "disk") {
		t.Error("the answer tells strangers about our disk")
	}
	w.ledger.err = nil
	if status, got, _ = w.send(t, request(push, "d1", "push")); status != 202 || got["outcome"] != "queued" {
		t.Fatalf("the second try: %d %v", status, got)
	}
}

func TestHandler_LargeBodiesShareABudgetAndSmallOnesPass(t *testing.T) {
	t.Parallel()
	w := setup(t, app("shop"))
	const limit = 3 << 20
	h := webhook.New(webhook.Options{Secret: []byte(secret), Ledger: w.ledger, Limit: limit})
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	body := `{"pad":"` + strings.Repeat("x", 2<<20) + `"}`

	// Strangers send 2 MiB of the 3 they announced and then hold on. The budget
	// is that of 8 bodies of the limit and takes what is beyond the first MiB,
	// so that 12 of them fit.
	var slow sync.WaitGroup
	held := make(chan struct{}, 12)
	stop := make(chan struct{})
	for range 12 {
		slow.Go(func() {
			pr, pw := io.Pipe()
			r, _ := http.NewRequest(http.MethodPost, server.URL, pr)
			r.ContentLength = limit
			r.Header = request("", "slow", "push").Header
			go func() {
				_, _ = pw.Write(bytes.Repeat([]byte("x"), 2<<20))
				held <- struct{}{}
				<-stop
				pw.CloseWithError(io.ErrUnexpectedEOF)
			}()
			if resp, err := http.DefaultClient.Do(r); err == nil {
				resp.Body.Close()
			}
		})
	}
	for range 12 {
		<-held
	}
	post := func(body string) int {
		r, _ := http.NewRequest(http.MethodPost, server.URL, strings.NewReader(body))
		r.Header = request(body, "d", "push").Header
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := post(push); got != 202 {
		t.Errorf("a small delivery among large ones was answered %d", got)
	}
	close(stop)
	slow.Wait()
	if got := post(body); got != 202 {
		t.Errorf("after the strangers left a large delivery was answered %d", got)
	}
}
