package github_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/github/minihub"
)

func TestSender_NoTokenEverReachesLogOrOutbox(t *testing.T) {
	t.Parallel()
	for _, as := range identities() {
		t.Run(string(as), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := setup(t, as)
				var said safeBuffer
				w.log = &said
				var seen tokens
				w.handler = seen.watch(w.hub) // not validated: an answer of HTML is among the faults
				w.client = w.dial(t, as)
				stop := run(t, w.sender())
				for i, fault := range []minihub.Fault{
					{Times: 2, Status: 500}, {Times: 2, Drop: true}, {Times: 2, Hang: true}, {Times: 2, Status: 401}, {Times: 2, Status: 403},
					{Times: 2, Status: 422}, {Times: 2, Status: 200, Body: "<html>"}, {Times: 1, Status: 429},
					{Times: 1, Status: 302, Header: http.Header{"Location": {"https://elsewhere.test/x"}}},
				} {
					w.hub.Inject(fault)
					w.outbox.put(deployment(fmt.Sprintf("01%d", i), pipeline.Queued, pipeline.Running, pipeline.Failed))
					pass(2 * time.Hour)
				}
				stop()
				text := said.String() + strings.Join(w.outbox.unsent(), "\n")
				if len(seen.list()) == 0 || !strings.Contains(text, "github call") {
					t.Fatal("nothing was said, or nothing was logged: this proves nothing")
				}
				for _, secret := range seen.list() {
					if strings.Contains(text, secret) {
						t.Errorf("a credential is in the log: %.20s…", secret)
					}
				}
			})
		})
	}
}

// tokens notes every credential that a handler is shown.
type tokens struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (k *tokens) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, secret, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
			k.mu.Lock()
			if k.seen == nil {
				k.seen = map[string]bool{}
			}
			k.seen[secret] = true
			k.mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
}

func (k *tokens) list() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []string
	for secret := range k.seen {
		out = append(out, secret)
	}
	return out
}

// safeBuffer is a buffer for many writers.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
