package server_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
	"github.com/swingbridge/swingbridge/server/api/client"
)

func newClient(t *testing.T, url, token string) *client.Client {
	t.Helper()
	c, err := client.New(url, token)
	if err != nil {
		t.Fatal(err)
	}
	c.Pause = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	return c
}

func TestClient_MakesEveryCall(t *testing.T) {
	t.Parallel()
	w := setup(t)
	c, ctx := newClient(t, w.serve(t, nil).URL+"/", "admin"), t.Context()
	name, repo, branch := "wiki", "octo/wiki", "main"
	paused := true
	for _, call := range []struct {
		name string
		do   func() (any, error)
		good func(any) bool
	}{
		{"apps", func() (any, error) { return c.AllApps(ctx) }, func(v any) bool { return len(v.([]api.App)) == 2 }},
		{"create app", func() (any, error) {
			return c.CreateApp(ctx, api.AppChange{Name: &name, Repo: &repo, Branch: &branch})
		}, func(v any) bool { return v.(api.App).Name == "wiki" }},
		{"update app", func() (any, error) { return c.UpdateApp(ctx, "wiki", api.AppChange{Paused: &paused}) }, func(v any) bool { return v.(api.App).Paused }},
		{"app", func() (any, error) { return c.App(ctx, "wiki") }, func(v any) bool { return v.(api.App).Repo == repo }},
		{"remove app", func() (any, error) { return nil, c.RemoveApp(ctx, "wiki") }, nil},
		{"deploy", func() (any, error) { return c.Deploy(ctx, "shop", "c0ffee") }, func(v any) bool { return v.(api.Deployment).State == pipeline.Queued }},
		{"rollback", func() (any, error) { return c.Rollback(ctx, "shop", "") }, func(v any) bool { return v.(api.Deployment).Trigger == pipeline.Rollback }},
		{"deployments", func() (any, error) {
			return c.Deployments(ctx, "shop", client.Part{Limit: 1, States: []pipeline.State{pipeline.Live}})
		}, func(v any) bool { return v.(api.List[api.Deployment]).Items[0].ID == "d1" }},
		{"deployment", func() (any, error) { return c.Deployment(ctx, "d1") }, func(v any) bool { return len(v.(api.Deployment).Steps) == 2 }},
		{"cancel", func() (any, error) { return c.Cancel(ctx, "d3") }, func(v any) bool { return v.(api.Deployment).State == pipeline.Canceled }},
		{"resolve", func() (any, error) { return c.Resolve(ctx, "d2", pipeline.Failed) }, func(v any) bool { return v.(api.Deployment).State == pipeline.Failed }},
		{"await", func() (any, error) { return c.Await(ctx, "d1", nil) }, func(v any) bool { return v.(api.Deployment).State == pipeline.Live }},
		{"log", func() (any, error) { return read(c.Log(ctx, "d1", 6)) }, func(v any) bool { return v == "build äöü\nlive\n" }},
		{"service log", func() (any, error) {
			return read(c.ServiceLog(ctx, "shop", "web", client.LogPart{Tail: -1, Since: time.Unix(0, 0)}))
		}, func(v any) bool { return v == "web tail=-1 since=true" }},
		{"services", func() (any, error) { return c.Services(ctx, "shop") }, func(v any) bool { return v.([]api.Service)[0].Live }},
		{"plan", func() (any, error) { return c.Plan(ctx, "shop", "c0ffee") }, func(v any) bool { return v.(api.Plan).Commit == "c0ffee" }},
		{"set env", func() (any, error) { return c.SetEnv(ctx, "shop", "KEY", "a\nb") }, func(v any) bool { return v == int64(1) }},
		{"env", func() (any, error) { return c.Env(ctx, "shop") }, func(v any) bool { return v.([]api.EnvVar)[0].Name == "KEY" }},
		{"unset env", func() (any, error) { return c.UnsetEnv(ctx, "shop", "KEY") }, func(v any) bool { return v == int64(2) }},
		{"deliveries", func() (any, error) { return c.Deliveries(ctx, client.Part{}) }, func(v any) bool { return v.(api.List[api.Delivery]).Items[0].ID == "g1" }},
		{"replay", func() (any, error) { return c.Replay(ctx, "g1") }, func(v any) bool { return v.(api.Delivery).DeploymentID == "d1" }},
		{"audit", func() (any, error) { return c.Audit(ctx, client.Part{}) }, func(v any) bool { return len(v.(api.List[api.AuditEntry]).Items) == 1 }},
		{"create token", func() (any, error) { return c.CreateToken(ctx, "phone", pipeline.Viewer) }, func(v any) bool { return v.(api.Token).Token == plainToken }},
		{"tokens", func() (any, error) { return c.Tokens(ctx) }, func(v any) bool { return len(v.([]api.Token)) == 2 }},
		{"revoke token", func() (any, error) { return nil, c.RevokeToken(ctx, "phone") }, nil},
		{"doctor", func() (any, error) { return c.Doctor(ctx) }, func(v any) bool { return v.([]api.Check)[1].Fix == "prune" }},
	} {
		got, err := call.do()
		if err != nil || call.good != nil && !call.good(got) {
			t.Errorf("%s: %+v, %v", call.name, got, err)
		}
	}
}

func read(from io.ReadCloser, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = from.Close() }()
	text, err := io.ReadAll(from)
	return string(text), err
}

func TestClient_TellsRefusalsApart(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s := w.serve(t, nil)
	for _, test := range []struct {
		token, code string
		status      int
		do          func(c *client.Client) error
	}{
		{"wrong", api.CodeUnauthorized, 401, func(c *client.Client) error { _, err := c.App(t.Context(), "shop"); return err }},
		{"viewer", api.CodeForbidden, 403, func(c *client.Client) error { _, err := c.Deploy(t.Context(), "shop", ""); return err }},
		{"viewer", api.CodeNotFound, 404, func(c *client.Client) error { _, err := c.App(t.Context(), "../apps"); return err }},
		{"admin", api.CodeConflict, 409, func(c *client.Client) error { _, err := c.Cancel(t.Context(), "d1"); return err }},
	} {
		err := test.do(newClient(t, s.URL, test.token))
		var refused *client.Error
		if !errors.As(err, &refused) || refused.Status != test.status || refused.Code != test.code || refused.Detail == "" {
			t.Errorf("%s: %#v, want %d %s", test.token, err, test.status, test.code)
		}
	}
	s.Close()
	_, err := newClient(t, s.URL, "admin").App(t.Context(), "shop")
	if !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("without a server: %v", err)
	}
	for _, bad := range []string{"", "localhost:8080", "ftp://x", "http://user:pass@x"} {
		if _, err := client.New(bad, "t"); err == nil || strings.Contains(err.Error(), "pass") {
			t.Errorf("address %q: %v", bad, err)
		}
	}
}

// cutting breaks connections after a random number of bytes.
type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		_, _ = c.ResponseWriter.Write(p[:max(0, len(p)+c.left)])
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return c.ResponseWriter.Write(p)
}

func (c *cutting) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func TestClient_FollowsOverBrokenConnections(t *testing.T) {
	t.Parallel()
	w := setup(t)
	r := rand.New(rand.NewPCG(7, 7))
	text := strings.Repeat("line of a build, äöü 🎈\n\n", 400)
	w.files.change("d2", text, true)
	var mu sync.Mutex
	sizes := rand.New(rand.NewPCG(8, 8))
	w.files.piece = func(n int) int { return min(n, 1+sizes.IntN(300)) }
	s := w.serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, q *http.Request) {
			mu.Lock()
			left := 200 + r.IntN(3000)
			mu.Unlock()
			next.ServeHTTP(&cutting{rw, left}, q)
		})
	})
	c := newClient(t, s.URL, "viewer")
	c.Patience = time.Hour
	var got strings.Builder
	for chunk, err := range c.Follow(t.Context(), "d2", 5) {
		if err != nil {
			t.Fatal(err)
		}
		got.Write(chunk.Data)
		if chunk.Offset != int64(5+got.Len()) {
			t.Fatalf("offset %d after %d bytes", chunk.Offset, got.Len())
		}
	}
	if got.String() != text[5:] {
		t.Errorf("the text changed: %d bytes, want %d", got.Len(), len(text)-5)
	}
}

func TestClient_GivesUpFollowingWhenPatienceEnds(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s := w.serve(t, nil)
	c := newClient(t, s.URL, "viewer")
	clock := time.Unix(0, 0)
	c.Now = func() time.Time { return clock }
	pauses := 0
	c.Pause = func(_ context.Context, d time.Duration) error {
		pauses++
		clock = clock.Add(d)
		return nil
	}
	s.Close()
	var last error
	for _, err := range c.Follow(t.Context(), "d1", 0) {
		last = err
	}
	if !errors.Is(last, client.ErrUnreachable) || pauses < 10 {
		t.Errorf("after %d tries: %v", pauses, last)
	}
	if _, err := c.Await(t.Context(), "d1", nil); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("await: %v", err)
	}
	open := newClient(t, setup(t).serve(t, nil).URL, "wrong")
	for _, err := range open.Follow(t.Context(), "d1", 0) {
		var refused *client.Error
		if !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
			t.Errorf("with a wrong token: %v", err)
		}
	}
}

func TestClient_HearsEvents(t *testing.T) {
	t.Parallel()
	w := setup(t)
	connected := make(chan struct{})
	s := w.serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, q *http.Request) {
			next.ServeHTTP(&flushed{ResponseWriter: rw, first: connected}, q)
		})
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-connected
		w.bus.publish(event{Kind: "deployment", Deployment: "d1", State: "live"})
	}()
	for change, err := range newClient(t, s.URL, "viewer").Events(ctx) {
		if err != nil || change.State != "live" {
			t.Fatalf("%+v, %v", change, err)
		}
		break
	}
}

// flushed says when the head of an answer went out.
type flushed struct {
	http.ResponseWriter
	first chan struct{}
	once  sync.Once
}

func (f *flushed) FlushError() error {
	f.once.Do(func() { close(f.first) })
	return http.NewResponseController(f.ResponseWriter).Flush()
}

func (f *flushed) Unwrap() http.ResponseWriter { return f.ResponseWriter }
