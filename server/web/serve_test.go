package web_test

import (
	"context"
	"flag"
	"net/http"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/web"
)

var serve = flag.String("serve", "", "address on which to show the pages with sample data, until the test is interrupted")

// TestPages_CanBeLookedAt shows the sample data in a browser where -serve names
// an address: go test -run CanBeLookedAt -serve 127.0.0.1:8099 -timeout 0.
func TestPages_CanBeLookedAt(t *testing.T) {
	t.Parallel()
	s := setup(t, func(o *web.Options) { o.Every = 500 * time.Millisecond })
	if *serve == "" {
		return
	}
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
