package proxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clock is a time that tests move on.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// resetter is a target that takes a request and closes the connection.
func resetter(t *testing.T) (addr netip.AddrPort, taken *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken = new(atomic.Int64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := c.Read(make([]byte, 64<<10)); err == nil {
				taken.Add(1)
			}
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return netip.MustParseAddrPort(l.Addr().String()), taken
}

func send(t *testing.T, c *http.Client, method, url string, body []byte) answerOf {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answerOf{Status: resp.StatusCode, Body: string(text), Header: resp.Header}
}

func targetsOf(t *testing.T, p *Proxy, deployment string) map[netip.AddrPort]TargetCounts {
	t.Helper()
	s, err := p.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[netip.AddrPort]TargetCounts{}
	for _, tr := range s.Traffic {
		for _, c := range tr.Targets {
			if tr.Deployment == deployment {
				out[c.Address] = c
			}
		}
	}
	return out
}

func TestReplicas_ADialErrorReachesNoVisitorWhileAnotherLives(t *testing.T) {
	t.Parallel()
	time := new(clock)
	p := setup(t, func(o *Options) { o.Now, o.Logger = time.now, nil })
	dead, live := newBackend(t, "d1"), newBackend(t, "d1")
	dead.die(t)
	swing(t, p, entryOf("a", "a.example", dead, live))
	c := visitor(t, p)
	body := bytes.Repeat([]byte("x"), 300_000)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 25 {
				if got := get(t, c, "http://a.example/"); got.Body != "d1" {
					t.Errorf("GET: %d %s", got.Status, got.Body)
				}
				if got := send(t, c, http.MethodPost, "http://a.example/upload", body); got.Body != fmt.Sprint(len(body)) {
					t.Errorf("POST: %d %s", got.Status, got.Body)
				}
			}
		})
	}
	wg.Wait()
	out := targetsOf(t, p, "d1")[dead.addr]
	if out.Requests > 20 || out.OutUntil.IsZero() {
		t.Errorf("the dead target was not left out: %+v", out)
	}
	if s, _ := p.Stats(t.Context()); s.Traffic[0].Total.ServerErrors > 0 {
		t.Errorf("%+v", s.Traffic[0].Total)
	}
}

func TestReplicas_OneRequestOnTrialLetsATargetIn(t *testing.T) {
	t.Parallel()
	clock := new(clock)
	p := setup(t, func(o *Options) { o.Now, o.Logger = clock.now, nil })
	ill, well := newBackend(t, "d1"), newBackend(t, "d1")
	swing(t, p, entryOf("a", "a.example", ill, well))
	target := p.traffic["d1"].target(ill.addr)
	for range ejectAfter {
		target.failed(clock.now(), false)
	}
	c := visitor(t, p)
	for range 10 {
		get(t, c, "http://a.example/")
	}
	if n := target.requests.Load(); n != 0 {
		t.Errorf("%d requests to a target that is left out", n)
	}
	clock.ahead.Add(int64(2 * ejectFirst))
	if got := send(t, c, http.MethodPost, "http://a.example/upload", []byte("x")); got.Status != http.StatusOK || target.requests.Load() != 0 {
		t.Errorf("a POST was risked: %d, %d", got.Status, target.requests.Load())
	}
	for range 10 {
		get(t, c, "http://a.example/")
	}
	if n := target.requests.Load(); n < 2 || target.failing.Load() != 0 {
		t.Errorf("%d requests to a target that is well again", n)
	}
}

func TestTarget_IsLeftOutForLongerEachTime(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	x := &target{}
	for range ejectAfter - 1 {
		x.failed(now, false)
	}
	if ok, trial := x.takes(now, true); !ok || trial {
		t.Error("left out too soon")
	}
	x.failed(now, false)
	var got []time.Duration
	for range 8 {
		if ok, _ := x.takes(now, true); ok {
			t.Error("not left out")
		}
		for range 50 { // what began before does not count
			x.failed(now, false)
		}
		end := time.Unix(0, x.out.Load())
		got = append(got, end.Sub(now))
		now = end
		if ok, _ := x.takes(now, false); ok {
			t.Error("a request that cannot be repeated is on trial")
		}
		if ok, trial := x.takes(now, true); !ok || !trial {
			t.Error("no trial")
		}
		if ok, _ := x.takes(now, true); ok {
			t.Error("a second one on trial")
		}
		x.failed(now, true)
	}
	s := time.Second
	if diff := cmp.Diff([]time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s, 30 * s}, got); diff != "" {
		t.Error(diff)
	}
	x.answered()
	if ok, trial := x.takes(now, false); !ok || trial {
		t.Error("an answer does not let it in")
	}
}

func TestReplicas_TheLastOneIsNeverLeftOut(t *testing.T) {
	t.Parallel()
	p := setup(t)
	a, b := newBackend(t, "d1"), newBackend(t, "d1")
	swing(t, p, entryOf("a", "a.example", a, b))
	for _, x := range []*backend{a, b} {
		for range ejectAfter {
			p.traffic["d1"].target(x.addr).failed(time.Now(), false)
		}
	}
	if got := get(t, visitor(t, p), "http://a.example/"); got.Body != "d1" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
}

func TestReplicas_OnlyWhatIsSafeIsSentTwice(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodOptions, http.MethodPost, http.MethodDelete} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			p := setup(t, func(o *Options) { o.Logger = nil })
			live := newBackend(t, "d1")
			bad, taken := resetter(t)
			e := entryOf("a", "a.example", live)
			e.Paths[0].Targets = append(e.Paths[0].Targets, bad)
			swing(t, p, e)
			safe := method == http.MethodGet || method == http.MethodOptions
			failed := 0
			for range 10 {
				if got := send(t, visitor(t, p), method, "http://a.example/", nil); got.Status != http.StatusOK {
					failed++
				}
			}
			switch {
			case taken.Load() == 0:
				t.Error("the target that resets had no request")
			case safe && failed > 0:
				t.Errorf("%d failed", failed)
			case !safe && failed != int(taken.Load()):
				t.Errorf("%d failed, %d reached the target that resets", failed, taken.Load())
			}
		})
	}
}

func TestReplicas_WhereAllFailVisitorsWaitOnceAndNotForLong(t *testing.T) {
	t.Parallel()
	clock := new(clock)
	p := setup(t, func(o *Options) { o.Now, o.Logger = clock.now, nil })
	dead := newBackend(t, "d1")
	dead.die(t)
	swing(t, p, entryOf("a", "a.example", dead))
	c := visitor(t, p)
	answer := make(chan answerOf, 1)
	go func() { answer <- get(t, c, "http://a.example/") }()
	until(t, "the request waits", func() bool { return p.table.Load().apps["id-a"].room.waiting.Load() == 1 })
	if n := inflight(t, p, "d1"); n > 1 {
		t.Errorf("%d in flight", n)
	}
	clock.ahead.Add(int64(downPatience))
	if got := <-answer; got.Status != http.StatusBadGateway || got.Header.Get("Retry-After") == "" {
		t.Errorf("%+v", got)
	}
	if got := get(t, c, "http://a.example/"); got.Status != http.StatusBadGateway {
		t.Errorf("the next one: %+v", got)
	}
	s, _ := p.Stats(t.Context())
	if diff := cmp.Diff(Counts{Requests: 2, ServerErrors: 2, DialErrors: 2}, s.Traffic[0].Total); diff != "" {
		t.Error(diff)
	}
}

func TestReplicas_AVisitorWhoStopsSendingIsNoErrorOfTheApp(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := newBackend(t, "d1")
	swing(t, p, entryOf("a", "a.example", b))
	for range ejectAfter + 1 {
		conn, err := dial(t.Context(), p.http.address())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "POST /upload HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000\r\n\r\nsome")
		until(t, "the request is in flight", func() bool { return targetsOf(t, p, "d1")[b.addr].Inflight == 1 })
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		until(t, "it is over", func() bool { return inflight(t, p, "d1") == 0 })
	}
	s, err := p.Stats(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Traffic[0].Total; got.ServerErrors != 0 || got.DialErrors != 0 {
		t.Errorf("%+v", got)
	}
}
