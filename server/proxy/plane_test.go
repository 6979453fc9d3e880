package proxy

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/swingbridge/swingbridge/pipeline"
)

// plane is what the control plane has of a proxy, in process and over the socket.
type plane interface {
	pipeline.Proxy
	pipeline.Targets
	pipeline.Gauge
	pipeline.Modes
}

// planes runs the test with a proxy in process and with one over the socket.
func planes(t *testing.T, test func(t *testing.T, p *Proxy, plane plane)) {
	t.Helper()
	t.Run("in process", func(t *testing.T) {
		t.Parallel()
		p := setup(t)
		test(t, p, p)
	})
	t.Run("over the socket", func(t *testing.T) {
		t.Parallel()
		p := setup(t)
		c, _ := serveControl(t, p)
		test(t, p, c)
	})
}

func TestLose_ADeadTargetIsDroppedAtOnce(t *testing.T) {
	t.Parallel()
	planes(t, func(t *testing.T, p *Proxy, plane plane) {
		b := newBackend(t, "d1")
		first := swing(t, plane, entryOf("a", "a.example", b))
		other := entryOf("b", "b.example", b)
		swing(t, plane, other)
		if err := plane.Lose(t.Context(), "id-a", b.addr.Addr()); err != nil {
			t.Fatal(err)
		}
		e, err := plane.Entry(t.Context(), "id-a")
		if err != nil || len(e.Paths[0].Targets) != 0 || e.Version <= first.Version {
			t.Errorf("entry: %+v %v", e, err)
		}
		if got := get(t, visitor(t, p), "http://b.example/"); got.Body != "d1" {
			t.Errorf("another app's target at the address: %d %s", got.Status, got.Body)
		}
		if err := plane.Lose(t.Context(), "id-a", b.addr.Addr()); err != nil {
			t.Errorf("gone is well: %v", err)
		}
		if err := plane.Lose(t.Context(), "id-nobody", b.addr.Addr()); err != nil {
			t.Errorf("an app that is not there: %v", err)
		}
	})
}

func TestLose_TakesEffectAlsoWhereItCannotBeWritten(t *testing.T) {
	t.Parallel()
	p := opened(t, t.TempDir())
	b := newBackend(t, "d1")
	swing(t, p, entryOf("a", "a.example", b))
	write, full := p.save, errors.New("no space left on device")
	p.save = func(*table) error { return full }
	if err := p.Lose(t.Context(), "id-a", b.addr.Addr()); !errors.Is(err, full) {
		t.Errorf("lose: %v", err)
	}
	if e, _ := p.Entry(t.Context(), "id-a"); len(e.Paths[0].Targets) != 0 {
		t.Error("visitors are still sent there")
	}
	p.save = write
	if err := p.Lose(t.Context(), "id-a", b.addr.Addr()); err != nil {
		t.Errorf("once more: %v", err)
	}
	dir := p.o.DataDir
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if e, _ := opened(t, dir).Entry(t.Context(), "id-a"); len(e.Paths[0].Targets) != 0 {
		t.Error("it comes back with the next start")
	}
}

func TestEndStreams_ClosesWebSocketsAsGoingAway(t *testing.T) {
	t.Parallel()
	planes(t, func(t *testing.T, p *Proxy, plane plane) {
		swing(t, plane, entryOf("a", "a.example", newBackend(t, "d1")))
		conn := dialWS(t, visitor(t, p), "a.example")
		if got, err := echo(t.Context(), conn, "hi"); err != nil || got != "d1 hi" {
			t.Fatalf("%q %v", got, err)
		}
		n, err := plane.EndStreams(t.Context(), "d1", time.Now())
		if err != nil || n != 1 {
			t.Errorf("%d streams: %v", n, err)
		}
		_, _, err = conn.Read(t.Context())
		var closed websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != websocket.StatusGoingAway {
			t.Errorf("ended with %v", err)
		}
		until(t, "nothing in flight", func() bool { return inflight(t, plane, "d1") == 0 })
	})
}

func TestMode_MaintenanceIsAPageUntilItIsOver(t *testing.T) {
	t.Parallel()
	planes(t, func(t *testing.T, p *Proxy, plane plane) {
		swing(t, plane, entryOf("a", "a.example", newBackend(t, "d1")))
		c := visitor(t, p)
		m := pipeline.Mode{Kind: pipeline.ModeMaintenance, Page: "<h1>Back at noon</h1>"}
		if err := plane.SetMode(t.Context(), "id-a", m); err != nil {
			t.Fatal(err)
		}
		if got, err := plane.Mode(t.Context(), "id-a"); err != nil || got != m {
			t.Errorf("mode: %+v %v", got, err)
		}
		swing(t, plane, entryOf("a", "a.example", newBackend(t, "d2")))
		got := get(t, c, "http://a.example/", "Accept", "text/html")
		if got.Status != http.StatusServiceUnavailable || got.Body != m.Page || got.Header.Get("Retry-After") == "" || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("page: %+v", got)
		}
		if got := get(t, c, "http://a.example/", "Accept", "application/json"); got.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("JSON: %+v", got)
		}
		if err := plane.SetMode(t.Context(), "id-a", pipeline.Mode{}); err != nil {
			t.Fatal(err)
		}
		if got := get(t, c, "http://a.example/"); got.Body != "d2" {
			t.Errorf("after it: %d %s", got.Status, got.Body)
		}
		if err := plane.SetMode(t.Context(), "nobody", m); !errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("no such app: %v", err)
		}
		if err := plane.SetMode(t.Context(), "id-a", pipeline.Mode{Kind: "sleep"}); !errors.Is(err, pipeline.ErrInvalid) {
			t.Errorf("no such mode: %v", err)
		}
	})
}

func TestVisits_SumUpWhatVisitorsGot(t *testing.T) {
	t.Parallel()
	planes(t, func(t *testing.T, p *Proxy, plane plane) {
		swing(t, plane, entryOf("a", "a.example", newBackend(t, "d1")))
		from := time.Now()
		c := visitor(t, p)
		for range 3 {
			get(t, c, "http://a.example/")
		}
		get(t, c, "http://a.example/status/500")
		got, err := plane.Visits(context.Background(), "d1", from, time.Now())
		if err != nil || got.Requests != 4 || got.ServerErrors != 1 || got.P50 <= 0 || got.P95 < got.P50 {
			t.Errorf("%+v %v", got, err)
		}
		if got, err := plane.Visits(context.Background(), "nobody", from, time.Now()); err != nil || got != (pipeline.Visits{}) {
			t.Errorf("no such deployment: %+v %v", got, err)
		}
	})
}
