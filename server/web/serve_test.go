package web_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/web"
)

//nolint:gochecknoglobals // a flag of go test
var serve = flag.String("serve", "", "address on which to show the pages with sample data, until the test is interrupted")

// TestPages_CanBeLookedAt shows the sample data in a browser where -serve names
// an address: go test -run CanBeLookedAt -serve 127.0.0.1:8099 -timeout 0.
func TestPages_CanBeLookedAt(t *testing.T) {
	t.Parallel()
	s := setup(t, func(o *web.Options) { o.Every = 500 * time.Millisecond })
	if *serve == "" {
		return
	}
	go s.play(t.Context())
	server := &http.Server{Addr: *serve, ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		by := pipeline.Actor{Name: "octocat", Role: pipeline.Admin}
		if r.URL.Path != "/login" && r.URL.Path != "/setup" {
			r = r.WithContext(context.WithValue(r.Context(), actorKey{}, by))
		}
		s.handler.ServeHTTP(w, r)
	})}
	if err := server.ListenAndServe(); err != nil {
		t.Error(err)
	}
}

// play lets something happen while pages are looked at.
func (s *site) play(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for i := 1; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case s.chunks <- fmt.Sprintf("\x1b[32msecond %d\x1b[0m goes by\n", i):
		default: // nobody looks
		}
		if i%8 == 0 {
			s.mu.Lock()
			for j := range s.numbers.Traffic {
				if s.numbers.Traffic[j].AppID == "a1" {
					s.numbers.Traffic[j].Current = !s.numbers.Traffic[j].Current
				}
			}
			s.mu.Unlock()
		}
	}
}
