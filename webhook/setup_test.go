package webhook_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/webhook"
)

const (
	secret = "It's a Secret to Everybody"
	commit = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
	push   = `{"ref":"refs/heads/main","after":"` + commit + `","repository":{"id":7,"full_name":"o/r"},` +
		`"head_commit":{"id":"` + commit + `","message":"Fix it [skip ci]\n\nlong"},"sender":{"login":"mona"}}`
)

// ledger is a webhook.Ledger in memory.
type ledger struct {
	mu     sync.Mutex
	apps   []pipeline.Standing
	stored map[string]pipeline.Delivery
	err    error
}

func (l *ledger) Deliver(_ context.Context, d pipeline.Delivery, decide func([]pipeline.Standing) pipeline.Delivery) (pipeline.Delivery, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return pipeline.Delivery{}, l.err
	}
	if before, ok := l.stored[d.ID]; ok {
		before.Outcome = pipeline.OutcomeDuplicate
		return before, nil
	}
	var standing []pipeline.Standing
	for _, s := range l.apps {
		if s.App.RepoID == d.RepoID || s.App.RepoID == 0 && strings.EqualFold(s.App.Repo, d.Repo) {
			standing = append(standing, s)
		}
	}
	d = decide(standing)
	for i := range d.Apps {
		if d.Apps[i].Queue != nil {
			d.Apps[i].DeploymentID = "dep-" + d.Apps[i].App
		}
	}
	l.stored[d.ID] = d
	return d, nil
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.stored)
}

type world struct {
	ledger  *ledger
	handler http.Handler
	counted map[string]int
}

func setup(t *testing.T, apps ...pipeline.Standing) *world {
	t.Helper()
	w := &world{ledger: &ledger{apps: apps, stored: map[string]pipeline.Delivery{}}, counted: map[string]int{}}
	w.handler = webhook.New(webhook.Options{
		Secret: []byte(secret), Ledger: w.ledger, Limit: 4096,
		Now:   func() time.Time { return time.Unix(1, 0) },
		Count: func(outcome, reason string) { w.counted[outcome+"/"+reason]++ },
	})
	return w
}

func request(body, id, event string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/webhooks/github", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-GitHub-Event", event)
	r.Header.Set("X-GitHub-Delivery", id)
	r.Header.Set("X-Hub-Signature-256", webhook.Sign([]byte(secret), []byte(body)))
	return r
}

func (w *world) send(t *testing.T, r *http.Request) (int, map[string]any, http.Header) {
	t.Helper()
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	var got map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
		t.Fatalf("answer is not JSON: %q", rec.Body)
	}
	return rec.Code, got, rec.Header()
}

func app(name string, edit ...func(*pipeline.Standing)) pipeline.Standing {
	s := pipeline.Standing{App: pipeline.App{ID: "id-" + name, Name: name, Repo: "o/r", Branch: "main"}}
	for _, e := range edit {
		e(&s)
	}
	return s
}
