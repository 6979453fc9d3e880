package proxy

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
)

// All that is done to an app's entry in its life, in any order, with visitors
// on it all the time.
func TestTraffic_NobodyFeelsWhatIsDoneToTheTable(t *testing.T) {
	t.Parallel()
	p := setup(t, func(o *Options) { o.Logger = nil })
	blue := []*backend{newBackend(t, "blue"), newBackend(t, "blue")}
	green := []*backend{newBackend(t, "green"), newBackend(t, "green")}
	dead := newBackend(t, "green")
	dead.die(t)
	swing(t, p, entryOf("a", "a.example", blue...))

	ctx, stop := context.WithCancel(t.Context())
	var visitors sync.WaitGroup
	var answered atomic.Int64
	body := bytes.Repeat([]byte("x"), 50_000)
	for i := range 6 {
		visitors.Go(func() {
			c := visitor(t, p)
			for ctx.Err() == nil {
				if i%2 == 0 {
					if got := get(t, c, "http://a.example/"); got.Body != "blue" && got.Body != "green" {
						t.Errorf("GET: %d %s", got.Status, got.Body)
					}
				} else if got := send(t, c, http.MethodPost, "http://a.example/upload", body); got.Body != fmt.Sprint(len(body)) {
					t.Errorf("POST: %d %s", got.Status, got.Body)
				}
				answered.Add(1)
			}
		})
	}
	swingTo := func(to ...*backend) { swing(t, p, entryOf("a", "a.example", to...)) }
	shown := func() {
		e := entryOf("a", "a.example", green...)
		e.Preview = &pipeline.Preview{Deployment: "blue", Host: "idle.example", Paths: entryOf("a", "a.example", blue...).Paths}
		swing(t, p, e)
	}
	changes := []func(){
		func() { swingTo(blue...) },
		func() { swingTo(green...) },
		func() { swingTo(append(green, dead)...) },
		shown,
		func() { swingTo(blue...); _ = p.Lose(t.Context(), "id-a", blue[0].addr.Addr()); swingTo(green[0]) }, // all of 127.0.0.1
		func() { setMode(t, p, pipeline.Mode{Kind: pipeline.ModeHold}); setMode(t, p, pipeline.Mode{}) },
		func() {
			now, _ := p.Table(t.Context())
			if _, err := p.Replace(t.Context(), now, now.Seq); err != nil {
				t.Error(err)
			}
		},
	}
	for range 120 {
		before := answered.Load()
		changes[rand.N(len(changes))]()
		until(t, "visitors are answered", func() bool { return answered.Load() > before })
	}
	stop()
	visitors.Wait()
	s, _ := p.Stats(t.Context())
	for _, tr := range s.Traffic {
		if tr.Total.ServerErrors > 0 {
			t.Errorf("%s: %+v", tr.Deployment, tr.Total)
		}
	}
	until(t, "nothing is in flight anywhere", func() bool {
		open := 0
		s, _ := p.Stats(t.Context())
		for _, tr := range s.Traffic {
			open += tr.Inflight
			for _, x := range tr.Targets {
				open += x.Inflight
			}
		}
		return open == 0
	})
}
