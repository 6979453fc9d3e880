package github_test

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/github"
	"github.com/swingbridge/swingbridge/pipeline/github/githubtest"
	"github.com/swingbridge/swingbridge/pipeline/github/minihub"
)

const (
	repo      = "djangopackages/djangopackages"
	commit    = "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d"
	token     = "github_pat_canary0123456789"
	appID     = 4711
	publicURL = "https://deploy.example.org"
)

// appKey is the App's private key, made once: that takes a while.
//
//nolint:gochecknoglobals // written once, by sync.OnceValue
var appKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// who is the identity that a test uses.
type who string

const (
	asApp   who = "app"
	asToken who = "token"
	nobody  who = "nobody"
)

func identities() []who { return []who{asApp, asToken} }

// world is a hub, a client that speaks to it, and an outbox. Everything that is
// said is held against GitHub's description.
type world struct {
	hub     *minihub.Hub
	handler http.Handler // the hub, validated
	client  *github.Client
	outbox  *outbox
	log     io.Writer
	key     []byte // PEM
}

func setup(t *testing.T, as who) *world {
	t.Helper()
	w := &world{hub: minihub.New(), outbox: newOutbox(), log: io.Discard}
	w.handler = githubtest.Validate(t, w.hub)
	w.hub.SetHead(repo, "main", commit)
	w.hub.AddToken(token)
	private := appKey()
	w.hub.AddApp(minihub.App{ID: appID, Key: &private.PublicKey})
	w.key = pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})
	w.client = w.dial(t, as)
	w.outbox.targets = w.client.Targets()
	return w
}

func (w *world) dial(t *testing.T, as who) *github.Client {
	t.Helper()
	o := github.Options{
		BaseURL: "https://api.github.test", PublicURL: publicURL + "/",
		HTTP:   &http.Client{Transport: direct{w.handler}, Timeout: 10 * time.Second},
		Logger: slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	switch as {
	case asApp:
		o.AppID, o.AppKey = appID, w.key
	case asToken:
		o.Token = token + "\n"
	}
	client, err := github.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// Write lets a test look at the log.
func (w *world) Write(p []byte) (int, error) { return w.log.Write(p) }

// sender makes a sender without pauses, with changes to its options.
func (w *world) sender(change ...func(*github.SenderOptions)) *github.Sender {
	o := github.SenderOptions{
		Client: w.client, Outbox: w.outbox, Pace: -1, Progress: -1,
		Logs:   func(string, int) []string { return []string{"Step 3/7", "\x1b[31mE: no such package ```\x1b[0m"} },
		Logger: slog.New(slog.NewTextHandler(w, nil)),
	}
	for _, f := range change {
		f(&o)
	}
	return github.NewSender(o)
}

func flush(t *testing.T, s *github.Sender) {
	t.Helper()
	if err := s.Flush(t.Context()); err != nil {
		t.Fatalf("Flush: %v", err)
	}
}

// direct is a transport that calls a handler, without a network: virtual time
// goes on while it waits.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(req *http.Request) (*http.Response, error) {
	in := req.Clone(req.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	answer := httptest.NewRecorder()
	done := make(chan any, 1)
	go func() {
		defer func() { done <- recover() }()
		d.handler.ServeHTTP(answer, in)
	}()
	select {
	case cut := <-done:
		if cut != nil {
			return nil, io.ErrUnexpectedEOF
		}
		resp := answer.Result()
		resp.Request = req
		return resp, nil
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}

// began is when the deployments of tests begin.
func began() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

// deployment is one in a state, with the fields that a real one has there.
func deployment(id string, states ...pipeline.State) pipeline.Deployment {
	d := pipeline.Deployment{
		ID: id, AppID: "app-1", AppName: "web", Commit: commit, Subject: "Fix @all the <b>things</b>", Trigger: pipeline.Push,
		CreatedAt: began(), State: cmp.Or(states[len(states)-1], pipeline.Queued),
	}
	for i, state := range states {
		at := began().Add(time.Duration(i) * 10 * time.Second)
		switch state {
		case pipeline.Running:
			d.Attempt++
			d.StartedAt, d.Color = at, pipeline.Green
			d.Steps = append(d.Steps,
				pipeline.StepRecord{Attempt: d.Attempt, Name: "fetch source", State: pipeline.StepDone, StartedAt: at, EndedAt: at.Add(420 * time.Millisecond)},
				pipeline.StepRecord{Attempt: d.Attempt, Name: "build images", State: pipeline.StepRunning, StartedAt: at.Add(time.Second)})
		case pipeline.Watching:
			d.LiveAt = at
		case pipeline.Failed, pipeline.RolledBack, pipeline.Superseded, pipeline.Canceled, pipeline.Stuck:
			d.Reason = "build of web failed: Dockerfile:3: `RUN` exit code 1"
		}
		if state.Ended() && d.EndedAt.IsZero() {
			d.EndedAt = at
		}
	}
	return d
}

// closings counts how often a check run was completed.
func closings(c minihub.CheckRun) int {
	n := 0
	for _, h := range c.History {
		if h.Closes {
			n++
		}
	}
	return n
}

func statesOf(d minihub.Deployment) []string {
	var out []string
	for _, h := range d.History {
		out = append(out, h.State)
	}
	return slices.Compact(out)
}
