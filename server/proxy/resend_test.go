package proxy

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
)

// A request that only asks is sent again a few times, one that acts is not: it
// may have been carried out.
func TestResends_AreCountedWhereEveryTargetDropsTheConnection(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]int64{http.MethodGet: 1 + resends, http.MethodPost: 1} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			p := setup(t, func(o *Options) { o.Logger = nil })
			e, taken := dropping(t, resends+2)
			swing(t, p, e)
			got := send(t, visitor(t, p), method, "http://a.example/", nil)
			if n := taken(); got.Status != http.StatusBadGateway || n != want {
				t.Errorf("answered %d after %d attempts, not 502 after %d", got.Status, n, want)
			}
		})
	}
}

func TestResends_FindTheOneTargetThatAnswers(t *testing.T) {
	t.Parallel()
	for i := range 20 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			p := setup(t, func(o *Options) { o.Logger = nil })
			e, _ := dropping(t, resends)
			live := newBackend(t, "d1")
			e.Deployment, e.Paths[0].Targets = live.name, append(e.Paths[0].Targets, live.addr)
			swing(t, p, e)
			if got := get(t, visitor(t, p), "http://a.example/"); got.Body != "d1" {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		})
	}
}

// dropping is an entry of n targets that take a request and drop it; taken says
// how many they took.
func dropping(t *testing.T, n int) (e pipeline.Entry, taken func() int64) {
	t.Helper()
	e = entryOf("a", "a.example")
	var counts []func() int64
	for range n {
		addr, c := resetter(t)
		e.Paths[0].Targets = append(e.Paths[0].Targets, addr)
		counts = append(counts, c.Load)
	}
	return e, func() (sum int64) {
		for _, count := range counts {
			sum += count()
		}
		return sum
	}
}
