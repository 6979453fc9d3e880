package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/swingbridge/swingbridge/pipeline"
)

func TestTakeOver_LosesNothingUnderTraffic(t *testing.T) {
	t.Parallel()
	const times = 12
	f := newFamily(t)
	b := newBackend(t, releaseOf(0))
	swing(t, f.client, entryOf("app", "app.example", b))
	var w watch
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for range 2 {
		w.visit(ctx, &wg, "keep-alive", politeConnection(t, f.address))
		w.visit(ctx, &wg, "fresh", func(ctx context.Context) (string, error) { return freshConnection(ctx, f.address) })
		w.visit(ctx, &wg, "slow GET", func(ctx context.Context) (string, error) { return slowGet(ctx, f.address) })
		w.visit(ctx, &wg, "POST of 64 kB", func(ctx context.Context) (string, error) { return bigPost(ctx, f.address) })
		w.visit(ctx, &wg, "slow POST", func(ctx context.Context) (string, error) { return slowPost(ctx, f.address) })
	}
	var old []*relative
	var lines []*lifeline
	for range times {
		lines = append(lines, openLifeline(t, f.address))
		before := w.answers.Load()
		old = append(old, f.takeOver())
		until(t, "answers between take-overs", func() bool { return w.answers.Load() > before+20 || failed(&w) })
		for _, l := range lines {
			l.alive(t, &w)
		}
		if len(lines) > 3 { // streams outlive a few take-overs; processes do not gather
			lines[0].end(t)
			lines = lines[1:]
		}
		if failed(&w) {
			break
		}
	}
	for _, l := range lines {
		l.end(t)
	}
	for i, r := range old {
		<-r.gone
		if code := r.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("process %d ended with %s", i, r.cmd.ProcessState)
		}
	}
	cancel()
	wg.Wait()
	for _, fault := range w.failures {
		t.Error(fault)
	}
	w.kinds.Range(func(kind, n any) bool { t.Logf("%s: %v", kind, n); return true })
}

func TestTakeOver_ANewProcessKilledAtAnyStepChangesNothing(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	swing(t, f.client, entryOf("app", "app.example", newBackend(t, "one")))
	for _, step := range []string{"new " + stepOffer, "new before " + stepReady, "new " + stepYours} {
		killed := f.born(step)
		<-killed.gone
		if got := killed.cmd.ProcessState.String(); got != "signal: killed" {
			t.Fatalf("the process that was to die at %s ended with: %s", step, got)
		}
		for range 20 {
			if got, err := freshConnection(t.Context(), f.address); err != nil || got != "one" {
				t.Fatalf("after a death at %s %q answers (%v)", step, got, err)
			}
		}
		f.await(f.newest)
		name := "after " + step
		swing(t, f.client, entryOf("app", "app.example", newBackend(t, "one"))) // the table can change again
		if e, err := f.client.Entry(t.Context(), "id-app"); err != nil || e.Deployment != "one" {
			t.Errorf("%s the table has %+v (%v)", name, e, err)
		}
	}
	old := f.takeOver()
	<-old.gone
	if got, err := freshConnection(t.Context(), f.address); err != nil || got != "one" {
		t.Errorf("after all %q answers (%v)", got, err)
	}
}

func TestTakeOver_GoesOnWhereTheOldProcessDies(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"old " + stepOffer, "old " + stepYours} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			f := newFamily(t)
			swing(t, f.client, entryOf("app", "app.example", newBackend(t, "one")))
			mortal := f.born(step)
			f.await(mortal)
			<-f.newest.gone
			f.newest = mortal
			old, successor := mortal, f.born("")
			<-old.gone
			if got := old.cmd.ProcessState.String(); got != "signal: killed" {
				t.Fatalf("the process that was to die at %s ended with: %s", step, got)
			}
			f.await(successor)
			if got, err := freshConnection(t.Context(), f.address); err != nil || got != "one" {
				t.Errorf("%q answers (%v)", got, err)
			}
			swing(t, f.client, entryOf("app", "app.example", newBackend(t, "two")))
			if got, err := freshConnection(t.Context(), f.address); err != nil || got != "two" {
				t.Errorf("after a cutover %q answers (%v)", got, err)
			}
			// The lock went along.
			if _, err := New(Options{HTTP: "127.0.0.1:0", DataDir: f.dir}); !errors.Is(err, ErrLocked) {
				t.Errorf("another proxy on the folder: %v", err)
			}
		})
	}
}

func TestTakeOver_CountsWhatTheOldProcessHasOpen(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	b := newBackend(t, "one")
	swing(t, f.client, entryOf("app", "app.example", b))
	held := make(chan error, 1)
	go func() {
		c, err := dial(t.Context(), f.address)
		if err == nil {
			defer c.Close()
			_, err = io.WriteString(c, "GET /held HTTP/1.1\r\nHost: app.example\r\n\r\n")
		}
		if err == nil {
			_, err = readRelease(bufio.NewReader(c))
		}
		held <- err
	}()
	<-b.got
	first := f.takeOver()
	second := f.takeOver() // also what is open two processes ago
	swing(t, f.client, entryOf("app", "app.example", newBackend(t, "two")))
	if n := inflight(t, f.client, "one"); n != 1 {
		t.Errorf("%d requests in flight on the deployment that drains, want 1", n)
	}
	if got, err := freshConnection(t.Context(), f.address); err != nil || got != "two" {
		t.Errorf("%q answers (%v)", got, err)
	}
	for _, r := range []*relative{first, second} {
		select {
		case <-r.gone:
			t.Error("a process left though something is open")
		default:
		}
	}
	close(b.hold)
	if err := <-held; err != nil {
		t.Errorf("the request that was open: %v", err)
	}
	until(t, "nothing in flight", func() bool { return inflight(t, f.client, "one") == 0 })
	<-first.gone
	<-second.gone
}

func TestTakeOver_StartsWhereNoProxyRuns(t *testing.T) {
	t.Parallel()
	p, err := TakeOver(t.Context(), socketPath(t), Options{HTTP: "127.0.0.1:0", DataDir: t.TempDir(), Logger: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	run(t, p)
	swing(t, p, entryOf("app", "app.example", newBackend(t, "one")))
	if got := get(t, visitor(t, p), "http://app.example/"); got.Body != "one" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
}

func TestTakeOver_SaysWhyItCannot(t *testing.T) {
	t.Parallel()
	p := setup(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := TakeOver(ctx, socketPath(t), Options{HTTP: p.o.HTTP, DataDir: p.o.DataDir})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "a serve with its data plane in process cannot be taken over") {
		t.Errorf("from a proxy without a control socket: %v", err)
	}

	c, socket := serveControl(t, p)
	_, err = TakeOver(t.Context(), socket, Options{HTTP: "127.0.0.1:0", DataDir: opened(t, t.TempDir()).o.DataDir})
	if err == nil || !strings.Contains(err.Error(), "another data folder") {
		t.Errorf("with another data folder: %v", err)
	}
	until(t, "the proxy to be free again", func() bool {
		_, err := c.Swing(t.Context(), entryOf("app", "app.example", newBackend(t, "one")), 0)
		return err == nil || errors.Is(err, pipeline.ErrConflict)
	})
}

func TestTakeOver_HTTP3ComesAfterwards(t *testing.T) {
	t.Parallel()
	before := setup(t, withTLS)
	_, socket := serveControl(t, before)
	swing(t, before, entryOf("app", "late.example", newBackend(t, "one")))
	c := overQUIC(t, before)
	if got := get(t, c, "https://late.example/"); got.Body != "one" {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	p, err := TakeOver(t.Context(), socket, before.o)
	if err != nil {
		t.Fatal(err)
	}
	run(t, p)
	if got := get(t, visitor(t, p), "https://late.example/"); got.Body != "one" {
		t.Errorf("over TCP %d %s", got.Status, got.Body)
	}
	address := before.https.address()
	until(t, "HTTP/3 to be served by the new proxy", func() bool {
		tr := &http3.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
			Dial: func(ctx context.Context, _ string, secure *tls.Config, conf *quic.Config) (*quic.Conn, error) {
				return quic.DialAddr(ctx, address, secure, conf)
			},
		}
		defer tr.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://late.example/", nil)
		resp, err := tr.RoundTrip(req)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		s, err := p.StatsOf(t.Context(), "id-app")
		return err == nil && len(s.Traffic) == 1 && s.Traffic[0].Total.Requests > 1
	})
}

func TestTakeOver_EndsStreamsOfTheOldProcessToo(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	swing(t, f.client, entryOf("app", "app.example", newBackend(t, releaseOf(0))))
	l := openLifeline(t, f.address)
	old := f.takeOver()
	swing(t, f.client, entryOf("app", "app.example", newBackend(t, releaseOf(1))))
	if _, err := f.client.EndStreams(t.Context(), releaseOf(0), time.Now()); err != nil {
		t.Fatal(err)
	}
	_, _, err := l.ws.Read(t.Context())
	if closed := websocket.CloseStatus(err); closed != websocket.StatusGoingAway {
		t.Errorf("the WebSocket ended with %v", err)
	}
	if _, err := io.Copy(io.Discard, l.events); err != nil {
		t.Errorf("the event stream ended with %v", err)
	}
	<-old.gone
}
