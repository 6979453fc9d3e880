package server_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/server"
)

// run starts the world's server; stop ends it and returns what Run did.
func (w *world) run(t *testing.T) (url string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- w.server.Run(ctx) }()
	t.Cleanup(cancel)
	select {
	case <-w.server.Started():
	case err := <-result:
		t.Fatal(err)
	}
	return "http://" + w.server.Addr().String(), func() error {
		cancel()
		return <-result
	}
}

func TestRun_EndsStreamsAndAnswersTheRest(t *testing.T) {
	t.Parallel()
	inside, goOn := make(chan struct{}), make(chan struct{})
	w := setup(t, func(o *server.Options) {
		o.Pages.Login = func(rw http.ResponseWriter, r *http.Request) {
			close(inside)
			<-goOn
			if r.Context().Err() == nil {
				_, _ = io.WriteString(rw, "whole")
			}
		}
	})
	if w.server.Addr() != nil {
		t.Error("an address before the start")
	}
	url, stop := w.run(t)
	log, _ := open(t, url, "/api/v1/deployments/d2/log")
	events, _ := open(t, url, "/api/v1/events")
	text := make(chan string, 1)
	go func() {
		answer, err := http.Get(url + "/login")
		if err != nil {
			text <- err.Error()
			return
		}
		defer func() { _ = answer.Body.Close() }()
		body, _ := io.ReadAll(answer.Body)
		text <- string(body)
	}()
	<-inside
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	if got := next(t, log); len(got) != 0 {
		t.Errorf("the log stream ended with %q, want no closing event: the log goes on later", got)
	}
	if got := next(t, events); len(got) != 0 {
		t.Errorf("the events ended with %q", got)
	}
	close(goOn)
	if got := <-text; got != "whole" {
		t.Errorf("a request under way got %q", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run returned %v", err)
	}
	if _, err := net.Dial("tcp", w.server.Addr().String()); err == nil {
		t.Error("it still listens")
	}
}

func TestRun_SaysWhyItCannotListen(t *testing.T) {
	t.Parallel()
	first := setup(t)
	_, stop := first.run(t)
	second := setup(t, func(o *server.Options) { o.Listen = first.server.Addr().String() })
	if err := second.server.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "listen") {
		t.Errorf("Run on a taken address: %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestRun_RefusesHugeHeaders(t *testing.T) {
	t.Parallel()
	w := setup(t)
	url, stop := w.run(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Large", strings.Repeat("x", 64<<10))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d, want 431", answer.StatusCode)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestReady_TellsOfEachPart(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.github = errDown
	got := w.do(t, request{method: "GET", path: "/readyz"})
	var body map[string]any
	if err := json.Unmarshal(got.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	github, _ := body["github"].(map[string]any)
	database, _ := body["database"].(map[string]any)
	if got.Code != http.StatusOK || body["ready"] != true || github["ok"] != false || github["message"] != "down" || database["ok"] != true {
		t.Errorf("without GitHub: %d %s", got.Code, got.Body)
	}
	asked := 0
	broken := setup(t, func(o *server.Options) {
		o.Ready[0].Check = func(context.Context) error {
			asked++
			return errDown
		}
	})
	for range 3 {
		if got := broken.do(t, request{method: "GET", path: "/readyz"}); got.Code != http.StatusServiceUnavailable {
			t.Errorf("without database: %d %s", got.Code, got.Body)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times within a moment, want once", asked)
	}
	if got := broken.do(t, request{method: "GET", path: "/healthz"}); got.Code != http.StatusOK {
		t.Errorf("healthz: %d", got.Code)
	}
}

func TestMetrics_LabelsAreBounded(t *testing.T) {
	t.Parallel()
	m := server.NewMetrics(server.MetricsOptions{
		QueueDepth: func() float64 { return 3 }, OutboxBacklog: func() float64 { return 4 },
	})
	w := setup(t, func(o *server.Options) { o.Metrics = m })
	for i := range 100 {
		w.do(t, request{method: "GET", path: "/canary/" + strings.Repeat("x", i)})
		w.do(t, request{method: "GET", path: "/apps/canary-" + strings.Repeat("x", i), token: "viewer"})
		m.Step("canary-step-"+strings.Repeat("x", i), "done", 1)
	}
	m.Delivery("queued")
	m.Delivery("canary-outcome")
	m.Deployment("live")
	text := w.do(t, request{method: "GET", path: "/metrics"}).Body.String()
	for _, want := range []string{
		`swingbridge_deliveries_total{outcome="queued"} 1`, `swingbridge_deliveries_total{outcome="other"} 1`,
		`swingbridge_deployments_total{state="live"} 1`, `swingbridge_deployments_total{state="stuck"} 0`,
		"swingbridge_queue_depth 3", "swingbridge_outbox_backlog 4", "go_goroutines", "process_start_time_seconds",
		`swingbridge_http_requests_total{route="/apps/{app}",status="200"} 100`,
		`swingbridge_http_requests_total{route="unknown",status="404"} 100`,
		`swingbridge_step_seconds_count{state="done",step="other"} 60`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(text, "/canary") || strings.Contains(text, "apps/canary") || strings.Contains(text, "canary-outcome") {
		t.Error("a stranger chose a label")
	}
}

func TestServer_TellsMetricsToNobodyBehindTheProxy(t *testing.T) {
	t.Parallel()
	w := setup(t)
	got := w.do(t, request{method: "GET", path: "/metrics", header: map[string]string{"X-Forwarded-For": "192.0.2.1"}})
	if got.Code != http.StatusNotFound || strings.Contains(got.Body.String(), "swingbridge_") {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}
