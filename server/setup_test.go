package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
	"github.com/swingbridge/swingbridge/server"
	"github.com/swingbridge/swingbridge/server/api"
)

// world is a server on in-memory parts.
type world struct {
	memory *memory
	files  *files
	bus    *bus
	github error // what its check says
	server *server.Server
	log    *bytes.Buffer
}

const plainToken = "secret-of-the-new-token"

// setup makes a world with the app shop, its live deployment d1, the stuck d2
// and the queued d3, and the delivery g1.
func setup(t *testing.T, change ...func(*server.Options)) *world {
	t.Helper()
	now := func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 5e6, time.FixedZone("CET", 3600)) }
	w := &world{
		memory: &memory{now: now, env: map[string][]pipeline.EnvVar{}},
		files:  &files{texts: map[string][]byte{}, done: map[string]bool{}, grown: make(chan struct{})},
		bus:    &bus{ears: map[chan event]bool{}},
		log:    &bytes.Buffer{},
	}
	w.fill(now())
	logger := slog.New(slog.NewJSONHandler(&lockedWriter{to: w.log}, nil))
	a, err := api.New(api.Options{
		Store: w.memory, Commands: w.memory, Logs: w.files,
		Follow: api.FollowLogOf(w.files.Follow), Subscribe: api.SubscribeOf(w.bus.Subscribe),
		Doctor: func(context.Context) []api.Check {
			return []api.Check{{Name: "docker", OK: true, Message: "28.0"}, {Name: "disk", Message: "full", Fix: "prune"}}
		},
		Drift: func(appID string) []pipeline.Drift {
			if appID != "a1" {
				return nil
			}
			return []pipeline.Drift{{Service: "web", Container: "shop-web", What: "is paused", Fix: "docker unpause shop-web", Since: now()}}
		},
		Now: now, Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	o := server.Options{
		API: a, Auth: doors{}, Now: now, Listen: "127.0.0.1:0", Pages: pages(w.memory),
		Webhook: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusAccepted) }),
		Logger:  logger,
		Ready: []server.Check{
			{Name: "database", Needed: true, Check: func(context.Context) error { return nil }},
			{Name: "github", Check: func(context.Context) error { return w.github }},
		},
	}
	for _, c := range change {
		c(&o)
	}
	if w.server, err = server.New(o); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) fill(now time.Time) {
	shop := pipeline.App{
		ID: "a1", Name: "shop", Repo: "octo/shop", Branch: "main", CreatedAt: now, UpdatedAt: now,
		Routes:    []pipeline.Route{{Host: "shop.test", Service: "web", Port: 8000}},
		Redirects: []stack.Redirect{{Host: "www.shop.test", To: "shop.test", Status: 301}},
	}
	w.memory.apps = []pipeline.App{shop, {ID: "a2", Name: "blog", Repo: "octo/blog", Branch: "main", Compose: []string{"compose.yml"}}}
	live := pipeline.Deployment{
		ID: "d1", AppID: "a1", AppName: "shop", Commit: "c0ffee", Subject: "Sell tea", Trigger: pipeline.Push, DeliveryID: "g1",
		State: pipeline.Live, Color: pipeline.Blue, Attempt: 1, CreatedAt: now, StartedAt: now, LiveAt: now, EndedAt: now,
		Steps: []pipeline.StepRecord{
			{Attempt: 1, Name: "fetch", State: pipeline.StepDone, StartedAt: now, EndedAt: now.Add(1500 * time.Millisecond)},
			{Attempt: 1, Name: "build", State: pipeline.StepFailed, Error: "web: no Dockerfile", StartedAt: now, LogOffset: 9},
		},
	}
	stuck, queued := live, live
	stuck.ID, stuck.State = "d2", pipeline.Stuck
	queued.ID, queued.State, queued.StartedAt, queued.Steps = "d3", pipeline.Queued, time.Time{}, nil
	w.memory.deployments = []pipeline.Deployment{queued, stuck, live}
	w.memory.deliveries = []pipeline.Delivery{{
		ID: "g1", Event: "push", Repo: "octo/shop", ReceivedAt: now, Outcome: pipeline.OutcomeQueued, Reason: "queued",
		Message: "Deploys c0ffee.", Apps: []pipeline.Verdict{{App: "shop", Outcome: pipeline.OutcomeQueued, DeploymentID: "d1"}},
	}}
	w.memory.audit = []pipeline.AuditEntry{{ID: "u1", At: now, Actor: "kim", From: "192.0.2.1", Action: "app.create", App: "shop"}}
	w.memory.tokens = []pipeline.Token{{ID: "t1", Name: "ci", Role: pipeline.Deployer, Hash: []byte("hash"), CreatedAt: now}}
	w.files.change("d1", "fetch\nbuild äöü\nlive\n", true)
}

// pages answers every page with its name; those that change something count.
func pages(m *memory) server.Pages {
	say := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, name+" for "+api.ActorFrom(r.Context()).Name)
		}
	}
	do := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			defer m.lock()()
			m.writes++
			say(name)(w, r)
		}
	}
	return server.Pages{
		Apps: say("apps"), NewApp: say("new app"), AddApp: do("add app"), App: say("app"), RedeployApp: do("redeploy app"),
		RollBackApp: do("roll back app"), Deployment: say("deployment"), Log: say("log"), Stream: say("stream"),
		Cancel: do("cancel"), RollBack: do("roll back"), Redeploy: do("redeploy"), Resolve: do("resolve"),
		Deliveries: say("deliveries"), Replay: do("replay"), Audit: say("audit"), Doctor: say("doctor"),
		Settings: say("settings"), Login: say("login"), DoLogin: do("do login"), Logout: do("logout"), Setup: say("setup"),
		DoSetup: do("do setup"), Static: say("static"),
		NotFound: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, "<h1>No such page</h1>")
		},
	}
}

// request is one request of a test.
type request struct {
	method, path string
	token        string // as Bearer
	session      string // as cookie
	body         string
	header       map[string]string
}

func (q request) make(t *testing.T) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), q.method, q.path, strings.NewReader(q.body))
	if q.body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.token != "" {
		r.Header.Set("Authorization", "Bearer "+q.token)
	}
	if q.session != "" {
		r.AddCookie(&http.Cookie{Name: "swingbridge_session", Value: q.session})
	}
	for name, value := range q.header {
		r.Header.Set(name, value)
	}
	return r
}

// do answers the request from memory.
func (w *world) do(t *testing.T, q request) *httptest.ResponseRecorder {
	t.Helper()
	out := httptest.NewRecorder()
	w.server.Handler().ServeHTTP(out, q.make(t))
	return out
}

// serve makes the world reachable over HTTP; wrap may be nil.
func (w *world) serve(t *testing.T, wrap func(http.Handler) http.Handler) *httptest.Server {
	t.Helper()
	handler := w.server.Handler()
	if wrap != nil {
		handler = wrap(handler)
	}
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s
}

// lockedWriter keeps log lines of several requests apart.
type lockedWriter struct {
	mu sync.Mutex
	to *bytes.Buffer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(p)
}

var errDown = errors.New("down")
