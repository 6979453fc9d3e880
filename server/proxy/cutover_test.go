package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
)

// swaps is how often visitors are moved in the cutover test.
const swaps = 1000

// watch checks what visitors see while they are moved from generation to
// generation, each of which answers with its number.
type watch struct {
	begun, done atomic.Int64 // generations whose swing was called, has returned
	answers     atomic.Int64
	kinds       sync.Map // of request to *atomic.Int64

	mu       sync.Mutex
	failures []string
}

func (w *watch) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.failures) < 20 {
		w.failures = append(w.failures, fmt.Sprintf(format, args...))
	}
}

// check takes an answer from a request that was sent when since had swung.
func (w *watch) check(kind string, since int64, release string) {
	w.answers.Add(1)
	n, _ := w.kinds.LoadOrStore(kind, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
	for g := since; g <= w.begun.Load(); g++ {
		if release == releaseOf(g) {
			return
		}
	}
	w.fail("%s: sent when %s had swung, answered by %q", kind, releaseOf(since), release)
}

// generations share this many backends.
const ring = 8

func releaseOf(generation int64) string { return fmt.Sprintf("r%d", generation%ring) }

// visit repeats one kind of request until ctx ends, as often as it succeeds.
func (w *watch) visit(ctx context.Context, wg *sync.WaitGroup, kind string, request func(context.Context) (string, error)) {
	wg.Go(func() {
		for ctx.Err() == nil {
			since := w.done.Load()
			release, err := request(ctx)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				w.fail("%s: %v", kind, err)
				return
			}
			w.check(kind, since, release)
		}
	})
}

func TestWatch_SeesAnOldAnswerAndAFailure(t *testing.T) {
	t.Parallel()
	var w watch
	w.begun.Store(5)
	w.done.Store(5)
	w.check("get", 5, releaseOf(5))
	w.check("get", 4, releaseOf(5))
	if len(w.failures) != 0 {
		t.Fatalf("good answers: %v", w.failures)
	}
	w.check("get", 5, releaseOf(4))
	w.check("get", 5, "")
	if len(w.failures) != 2 {
		t.Fatalf("an old and an empty answer: %v", w.failures)
	}
}

func TestCutover_AThousandSwapsLoseNothing(t *testing.T) {
	t.Parallel()
	p := setup(t)
	var backends [ring]*backend
	for i := range backends {
		backends[i] = newBackend(t, releaseOf(int64(i)))
	}
	var w watch
	move := func(generation int64) {
		e := entryOf("app", "app.example", backends[generation%ring])
		e.Deployment = fmt.Sprint("deployment-", generation)
		w.begun.Store(generation)
		swing(t, p, e)
		w.done.Store(generation)
	}
	move(0)
	swing(t, p, entryOf("other", "other.example", newBackend(t, "other")))
	streams := openStreams(t, p)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	at := p.http.address()
	for range 3 {
		w.visit(ctx, &wg, "keep-alive", keptConnection(t, at))
		w.visit(ctx, &wg, "fresh", func(ctx context.Context) (string, error) { return freshConnection(ctx, at) })
	}
	for range 2 {
		w.visit(ctx, &wg, "slow POST", func(ctx context.Context) (string, error) { return slowPost(ctx, at) })
		w.visit(ctx, &wg, "event stream", func(ctx context.Context) (string, error) { return shortStream(ctx, at, &w) })
		w.visit(ctx, &wg, "WebSocket", func(ctx context.Context) (string, error) { return shortSocket(ctx, visitor(t, p)) })
	}
	for g := int64(1); g <= swaps; g++ {
		before := w.answers.Load()
		until(t, "answers between swaps", func() bool { return w.answers.Load() >= before+3 || failed(&w) })
		if failed(&w) {
			break
		}
		move(g)
		if g%50 == 0 {
			streams.alive(t, &w)
		}
	}
	until(t, "an answer of the last generation", func() bool { return w.answers.Load() > 0 })
	cancel()
	wg.Wait()
	for _, b := range backends {
		close(b.hold)
	}
	streams.end(t)
	for _, f := range w.failures {
		t.Error(f)
	}
	w.kinds.Range(func(kind, n any) bool { t.Logf("%s: %d", kind, n.(*atomic.Int64).Load()); return true })
	until(t, "nothing in flight", func() bool {
		s, _ := p.StatsOf(t.Context(), "id-app")
		for _, d := range s.Traffic {
			if d.Inflight > 0 {
				return false
			}
		}
		return true
	})
}

func failed(w *watch) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.failures) > 0
}

// streams are open from before the first swap to after the last.
type streams struct {
	own, other *websocket.Conn
	events     *bufio.Reader
}

func openStreams(t *testing.T, p *Proxy) *streams {
	c := visitor(t, p)
	s := &streams{own: dialWS(t, c, "app.example"), other: dialWS(t, c, "other.example")}
	c.Timeout = 0
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://app.example/events", nil)
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	s.events = bufio.NewReader(resp.Body)
	if line, err := s.events.ReadString('\n'); err != nil || !strings.Contains(line, "r0") {
		t.Fatalf("first event %q: %v", line, err)
	}
	return s
}

func (s *streams) alive(t *testing.T, w *watch) {
	for want, c := range map[string]*websocket.Conn{"r0 hi": s.own, "other hi": s.other} {
		if got, err := echo(t.Context(), c, "hi"); err != nil || got != want {
			w.fail("WebSocket open since before the swaps: %q, want %q (%v)", got, want, err)
		}
	}
}

func (s *streams) end(t *testing.T) {
	rest, err := io.ReadAll(s.events)
	if err != nil || !strings.Contains(string(rest), "data: end") {
		t.Errorf("event stream open since before the swaps ended with %q: %v", rest, err)
	}
	for _, c := range []*websocket.Conn{s.own, s.other} {
		if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Errorf("close WebSocket: %v", err)
		}
	}
}
