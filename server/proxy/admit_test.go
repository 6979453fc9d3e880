package proxy

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
)

// This is what looking at the table twice is for: without it, a request that
// found its route just before a swap is counted after the drain has seen zero.
func TestAdmit_NeverChoosesADrainedDeployment(t *testing.T) {
	t.Parallel()
	p := opened(t, t.TempDir())
	p.save = func(*table) error { return nil }
	const generations = 10_000
	drained := make([]atomic.Bool, generations)
	at := netip.MustParseAddrPort("127.0.0.1:1")
	move := func(n int) {
		e := entryOf("a", "a.example")
		e.Deployment, e.Commit, e.Paths[0].Targets = fmt.Sprint(n), fmt.Sprint(n), []netip.AddrPort{at}
		swing(t, p, e)
	}
	move(0)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var late, admitted atomic.Int64
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				r, _ := p.admit(ask{host: "a.example", path: "/"})
				if n, _ := strconv.Atoi(r.entry.Deployment); drained[n].Load() {
					late.Add(1)
				}
				admitted.Add(1)
				r.entry.traffic.inflight.Add(-1)
				runtime.Gosched()
			}
		})
	}
	for n := 1; n < generations; n++ {
		move(n)
		for inflight(t, p, fmt.Sprint(n-1)) > 0 {
			runtime.Gosched()
		}
		drained[n-1].Store(true)
	}
	cancel()
	wg.Wait()
	if n := late.Load(); n > 0 {
		t.Errorf("%d of %d requests were let to a deployment after nothing was in flight there", n, admitted.Load())
	}
}

// Whoever has seen nothing in flight stops the old containers, so from then on
// nothing may arrive there.
func TestCutover_NothingArrivesOnceDrained(t *testing.T) {
	t.Parallel()
	p := setup(t)
	var stopped [2]atomic.Bool
	var late atomic.Int64
	var targets [2]*backend
	for i := range targets {
		b := newBackend(t, fmt.Sprint("b", i))
		inner := b.Config.Handler
		b.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if stopped[i].Load() {
				late.Add(1)
			}
			inner.ServeHTTP(w, r)
		})
		targets[i] = b
	}
	move := func(n int) pipeline.Entry {
		e := entryOf("app", "app.example", targets[n%2])
		e.Deployment = fmt.Sprint("deployment-", n)
		stopped[n%2].Store(false)
		swing(t, p, e)
		return e
	}
	old := move(0)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var answers atomic.Int64
	for range 4 {
		one := keptConnection(t, p.http.address())
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := one(ctx); err != nil {
					t.Error(err)
					return
				}
				answers.Add(1)
			}
		})
	}
	for n := 1; n <= 100; n++ {
		before := answers.Load()
		until(t, "answers between swaps", func() bool { return answers.Load() > before || t.Failed() })
		next := move(n)
		until(t, "drained", func() bool { return inflight(t, p, old.Deployment) == 0 })
		stopped[(n-1)%2].Store(true)
		old = next
	}
	cancel()
	wg.Wait()
	if n := late.Load(); n > 0 {
		t.Errorf("%d requests arrived at a deployment after nothing was in flight there", n)
	}
}

func TestCutover_LeastBusyTargetOfSeveral(t *testing.T) {
	t.Parallel()
	p := setup(t)
	c := visitor(t, p)
	one, two := newBackend(t, "d"), newBackend(t, "d")
	swing(t, p, entryOf("a", "a.example", one, two))
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://a.example/held", nil)
			resp, err := c.Do(req)
			if err == nil {
				err = resp.Body.Close()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	until(t, "ten in flight", func() bool { return len(one.got)+len(two.got) == 10 })
	if len(one.got) != 5 || len(two.got) != 5 {
		t.Errorf("%d and %d of ten requests, want five each", len(one.got), len(two.got))
	}
	if n := inflight(t, p, "d"); n != 10 {
		t.Errorf("%d in flight, want 10", n)
	}
	close(one.hold)
	close(two.hold)
	wg.Wait()
	until(t, "nothing in flight", func() bool { return inflight(t, p, "d") == 0 })
	two.die(t)
	for range 4 {
		if got := get(t, c, "http://a.example/"); got.Body != "d" {
			t.Errorf("with one of two targets gone: %d %s", got.Status, got.Body)
		}
	}
}

func TestCutover_RequestFollowsTheTableWhenItsTargetIsGone(t *testing.T) {
	t.Parallel()
	p := setup(t)
	gone := newBackend(t, "old")
	gone.die(t)
	swing(t, p, entryOf("a", "a.example", gone))
	answer := make(chan answerOf, 1)
	go func() { answer <- get(t, visitor(t, p), "http://a.example/") }()
	until(t, "the target was dialed", func() bool {
		s, _ := p.Stats(t.Context())
		return s.Traffic[0].Total.DialErrors > 0
	})
	live := newBackend(t, "new")
	swing(t, p, entryOf("a", "a.example", live))
	if got := <-answer; got.Body != "new" {
		t.Errorf("after the swing: %d %s", got.Status, got.Body)
	}
	until(t, "nothing in flight", func() bool { return inflight(t, p, "old")+inflight(t, p, "new") == 0 })
}
