package server_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/server"
)

func TestMetrics_VisitorsAreCountedByApp(t *testing.T) {
	t.Parallel()
	m := server.NewMetrics(server.MetricsOptions{})
	var down error
	a := server.AppTraffic{
		App: "harbor", Inflight: 2, Requests: map[string]uint64{"2xx": 7, "5xx": 1}, DialErrors: 3, Bytes: 99,
		Took: map[float64]uint64{0.1: 5, 1: 7}, TookCount: 8, TookSum: 12.5,
	}
	m.Visitors(func(context.Context) ([]server.AppTraffic, error) { return []server.AppTraffic{a, a}, down })
	text := func() string {
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return w.Body.String()
	}
	got := text()
	for _, line := range []string{
		`swingbridge_proxy_up 1`,
		`swingbridge_app_requests_total{app="harbor",class="2xx"} 7`,
		`swingbridge_app_requests_total{app="harbor",class="5xx"} 1`,
		`swingbridge_app_inflight{app="harbor"} 2`,
		`swingbridge_app_dial_errors_total{app="harbor"} 3`,
		`swingbridge_app_response_bytes_total{app="harbor"} 99`,
		`swingbridge_app_request_seconds_bucket{app="harbor",le="1"} 7`,
		`swingbridge_app_request_seconds_count{app="harbor"} 8`,
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	down = errors.New("no proxy")
	if got := text(); !strings.Contains(got, "swingbridge_proxy_up 0\n") || strings.Contains(got, "harbor") {
		t.Error("a proxy that does not answer is not told of")
	}
}

func TestMetrics_DriftIsCountedByApp(t *testing.T) {
	t.Parallel()
	m := server.NewMetrics(server.MetricsOptions{})
	found := map[string]int{"harbor": 2, "shop": 0}
	m.Drift(func() map[string]int { return found })
	text := func() string {
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return w.Body.String()
	}
	got := text()
	for _, line := range []string{`swingbridge_drift{app="harbor"} 2`, `swingbridge_drift{app="shop"} 0`, `# TYPE swingbridge_drift gauge`} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	found = map[string]int{"shop": 0}
	if got := text(); strings.Contains(got, "harbor") {
		t.Error("an app that is gone is still counted")
	}
}
