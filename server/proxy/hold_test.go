package proxy

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

func waiting(p *Proxy, appID string) int {
	return int(p.table.Load().apps[appID].room.waiting.Load())
}

func setMode(t *testing.T, p *Proxy, m pipeline.Mode) {
	t.Helper()
	if err := p.SetMode(t.Context(), "id-a", m); err != nil {
		t.Fatal(err)
	}
}

func TestHold_RequestsWaitAndGoWhereTheTableSaysThen(t *testing.T) {
	t.Parallel()
	p := setup(t)
	swing(t, p, entryOf("a", "a.example", newBackend(t, "old")))
	swing(t, p, entryOf("b", "b.example", newBackend(t, "other")))
	setMode(t, p, pipeline.Mode{Kind: pipeline.ModeHold})
	c := visitor(t, p)
	body := make([]byte, 100_000)
	var wg sync.WaitGroup
	const many = 20
	for i := range many {
		wg.Go(func() {
			switch i % 3 {
			case 0:
				if got := get(t, c, "http://a.example/"); got.Body != "new" {
					t.Errorf("GET: %d %s", got.Status, got.Body)
				}
			case 1:
				got := send(t, c, http.MethodPost, "http://a.example/upload", body)
				if got.Body != fmt.Sprint(len(body)) || got.Header.Get("X-Release") != "new" {
					t.Errorf("POST: %d %s", got.Status, got.Body)
				}
			case 2:
				conn := dialWS(t, c, "a.example")
				if got, err := echo(t.Context(), conn, "hi"); err != nil || got != "new hi" {
					t.Errorf("WebSocket: %q %v", got, err)
				}
			}
		})
	}
	until(t, "all wait", func() bool { return waiting(p, "id-a") == many })
	if n := inflight(t, p, "old"); n != 0 {
		t.Errorf("%d in flight: a drain would wait for them", n)
	}
	if got := get(t, c, "http://b.example/"); got.Body != "other" {
		t.Errorf("another app: %d %s", got.Status, got.Body)
	}
	swing(t, p, entryOf("a", "a.example", newBackend(t, "new")))
	until(t, "all wait still", func() bool { return waiting(p, "id-a") == many })
	setMode(t, p, pipeline.Mode{})
	wg.Wait()
	if n := waiting(p, "id-a"); n != 0 {
		t.Errorf("%d places taken", n)
	}
}

func TestHold_IsNotTheAppsLatency(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	p := setup(t, func(o *Options) { o.Now = now })
	swing(t, p, entryOf("a", "a.example", newBackend(t, "d1")))
	setMode(t, p, pipeline.Mode{Kind: pipeline.ModeHold})
	var wg sync.WaitGroup
	wg.Go(func() {
		if got := get(t, visitor(t, p), "http://a.example/"); got.Body != "d1" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
	until(t, "it waits", func() bool { return waiting(p, "id-a") == 1 })
	ahead.Store(int64(time.Hour))
	setMode(t, p, pipeline.Mode{})
	wg.Wait()
	v, err := p.Visits(t.Context(), "d1", now().Add(-time.Minute), now())
	if err != nil || v.Requests != 1 || v.P95 > patience {
		t.Errorf("%+v %v, want one request that took less than an hour", v, err)
	}
}

func TestHold_EndsByItself(t *testing.T) {
	t.Parallel()
	p := setup(t)
	swing(t, p, entryOf("a", "a.example", newBackend(t, "d1")))
	setMode(t, p, pipeline.Mode{Kind: pipeline.ModeHold, Until: time.Now().Add(200 * time.Millisecond)})
	if got := get(t, visitor(t, p), "http://a.example/"); got.Body != "d1" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if m, err := p.Mode(t.Context(), "id-a"); err != nil || m != (pipeline.Mode{}) {
		t.Errorf("mode %+v %v", m, err)
	}
}

func TestHold_LastsNoLongerThanARequestIsToWait(t *testing.T) {
	t.Parallel()
	p := setup(t)
	swing(t, p, entryOf("a", "a.example", newBackend(t, "d1")))
	setMode(t, p, pipeline.Mode{Kind: pipeline.ModeHold, Wait: 50 * time.Millisecond})
	got := get(t, visitor(t, p), "http://a.example/")
	if got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
		t.Errorf("%+v", got)
	}
	s, _ := p.Stats(t.Context())
	if n := s.Traffic[0].Total.ServerErrors; n != 0 {
		t.Errorf("%d errors counted against the deployment for what an operator wanted", n)
	}
}

func TestHold_HasRoomForSoMany(t *testing.T) {
	t.Parallel()
	p := setup(t)
	swing(t, p, entryOf("a", "a.example", newBackend(t, "d1")))
	setMode(t, p, pipeline.Mode{Kind: pipeline.ModeHold})
	room := p.table.Load().apps["id-a"].room
	for range roomFor - 1 {
		room.enter()
	}
	c := visitor(t, p)
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://a.example/", nil)
		resp, err := c.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		left <- err
	}()
	until(t, "the room is full", func() bool { return waiting(p, "id-a") == roomFor })
	if got := get(t, c, "http://a.example/"); got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
		t.Errorf("one too many: %+v", got)
	}
	leave()
	until(t, "who left has freed the place", func() bool { return waiting(p, "id-a") == roomFor-1 })
	<-left
	s, _ := p.Stats(t.Context())
	if got := s.Traffic[0].Total; got.ServerErrors != 0 {
		t.Errorf("%+v", got)
	}
}

func TestHold_ProofsAndPreviewsPass(t *testing.T) {
	t.Parallel()
	for _, kind := range []pipeline.ModeKind{pipeline.ModeHold, pipeline.ModeMaintenance} {
		p := setup(t)
		e := entryOf("a", "a.example", newBackend(t, "blue"))
		e.Preview = &pipeline.Preview{Deployment: "green", Host: "green.example", Paths: entryOf("a", "a.example", newBackend(t, "green")).Paths}
		swing(t, p, e)
		setMode(t, p, pipeline.Mode{Kind: kind})
		if err := p.Prove(t.Context(), e); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if got := get(t, visitor(t, p), "http://green.example/"); got.Body != "green" {
			t.Errorf("%s: preview: %d %s", kind, got.Status, got.Body)
		}
	}
}

func TestHold_WhoWaitsIsToldWhenTheProxyEnds(t *testing.T) {
	t.Parallel()
	p := prepared(t)
	stop := run(t, p)
	swing(t, p, entryOf("a", "a.example", newBackend(t, "d1")))
	setMode(t, p, pipeline.Mode{Kind: pipeline.ModeHold})
	answer := make(chan answerOf, 1)
	go func() { answer <- get(t, visitor(t, p), "http://a.example/") }()
	until(t, "it waits", func() bool { return waiting(p, "id-a") == 1 })
	stop()
	if got := <-answer; got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
		t.Errorf("%+v", got)
	}
}

func TestHold_AContainerThatComesBackAtOnceIsMissedByNobody(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := newBackend(t, "d1")
	swing(t, p, entryOf("a", "a.example", b))
	if err := p.Lose(t.Context(), "id-a", b.addr.Addr()); err != nil {
		t.Fatal(err)
	}
	answer := make(chan answerOf, 1)
	go func() { answer <- get(t, visitor(t, p), "http://a.example/") }()
	until(t, "it waits", func() bool { return waiting(p, "id-a") == 1 })
	swing(t, p, entryOf("a", "a.example", b))
	if got := <-answer; got.Body != "d1" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
}

func TestHold_AnAppThatStaysAwayIsSaidToBe(t *testing.T) {
	t.Parallel()
	clock := new(clock)
	p := setup(t, func(o *Options) { o.Now = clock.now })
	b := newBackend(t, "d1")
	swing(t, p, entryOf("a", "a.example", b))
	if err := p.Lose(t.Context(), "id-a", b.addr.Addr()); err != nil {
		t.Fatal(err)
	}
	setMode(t, p, pipeline.Mode{}) // does not begin the time anew
	clock.ahead.Add(int64(comeBack))
	got := get(t, visitor(t, p), "http://a.example/")
	if got.Status != http.StatusServiceUnavailable || waiting(p, "id-a") != 0 {
		t.Errorf("%+v", got)
	}
}

func TestMode_IsThereAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := opened(t, dir)
	swing(t, p, entryOf("a", "a.example", newBackend(t, "d1")))
	until := time.Now().Add(time.Hour).UTC().Round(0)
	for _, want := range []pipeline.Mode{
		{Kind: pipeline.ModeHold, Wait: time.Second, Until: until}, {Kind: pipeline.ModeMaintenance, Page: "<p>&", Until: until},
	} {
		setMode(t, p, want)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		p = opened(t, dir)
		if got, err := p.Mode(t.Context(), "id-a"); err != nil || got != want {
			t.Errorf("%+v %v, want %+v", got, err, want)
		}
	}
	if err := p.Drop(t.Context(), "id-a"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Mode(t.Context(), "id-a"); err == nil {
		t.Error("an app that was dropped has a mode")
	}
}
