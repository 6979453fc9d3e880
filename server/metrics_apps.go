package server

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// AppTraffic is what visitors of one app got since the proxy started.
type AppTraffic struct {
	App        string
	Inflight   int
	Requests   map[string]uint64 // by class of the status: 2xx
	DialErrors uint64            // attempts that got no answer from a container
	Bytes      uint64            // of answers
	Took       map[float64]uint64
	TookCount  uint64
	TookSum    float64 // seconds
}

// Visitors adds what the proxy counts to the metrics, read when Prometheus
// asks. The only label that varies is the app, of which the table has so many.
func (m *Metrics) Visitors(read func(context.Context) ([]AppTraffic, error)) {
	one := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	m.registry.MustRegister(&visitors{
		read:     read,
		up:       one("swingbridge_proxy_up", "Whether the proxy answers."),
		requests: one("swingbridge_app_requests_total", "Visitors' requests by app and class of the status.", "app", "class"),
		inflight: one("swingbridge_app_inflight", "Visitors' requests and streams that are open, by app.", "app"),
		dials:    one("swingbridge_app_dial_errors_total", "Attempts that got no answer from a container, by app.", "app"),
		bytes:    one("swingbridge_app_response_bytes_total", "Bytes of answers to visitors, as sent, by app.", "app"),
		took:     one("swingbridge_app_request_seconds", "How long visitors' requests took to their end, by app; streams last.", "app"),
	})
}

// Drift adds what was changed by hand to the metrics: counts by app, read when
// Prometheus asks.
func (m *Metrics) Drift(read func() map[string]int) {
	m.registry.MustRegister(&drift{read, prometheus.NewDesc("swingbridge_drift",
		"What somebody changed by hand of what runs, by app: the number of differences found last.", []string{"app"}, nil)})
}

// drift is a collector.
type drift struct {
	read func() map[string]int
	of   *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (d *drift) Describe(out chan<- *prometheus.Desc) { out <- d.of }

// Collect implements prometheus.Collector.
func (d *drift) Collect(out chan<- prometheus.Metric) {
	for app, n := range d.read() {
		out <- prometheus.MustNewConstMetric(d.of, prometheus.GaugeValue, float64(n), app)
	}
}

// ownMetrics answers Prometheus at the server's own address. What comes through
// a proxy comes from anywhere: names of apps and their traffic are not for all.
func (s *Server) ownMetrics(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Forwarded-For") != "" {
		http.Error(w, "Metrics are told at the server's own address only: SWINGBRIDGE_LISTEN.", http.StatusNotFound)
		return
	}
	s.metrics.Handler().ServeHTTP(w, r)
}

// visitors is a collector.
type visitors struct {
	read                                       func(context.Context) ([]AppTraffic, error)
	up, requests, inflight, dials, bytes, took *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (v *visitors) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{v.up, v.requests, v.inflight, v.dials, v.bytes, v.took} {
		out <- d
	}
}

// visitorsWait is how long Prometheus waits for a proxy that does not answer.
const visitorsWait = 3 * time.Second

// Collect implements prometheus.Collector.
func (v *visitors) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), visitorsWait)
	defer cancel()
	apps, err := v.read(ctx)
	if err != nil {
		out <- prometheus.MustNewConstMetric(v.up, prometheus.GaugeValue, 0)
		return
	}
	out <- prometheus.MustNewConstMetric(v.up, prometheus.GaugeValue, 1)
	seen := map[string]bool{}
	for _, a := range apps {
		if seen[a.App] { // two of a name: Prometheus would get nothing at all
			continue
		}
		seen[a.App] = true
		for class, n := range a.Requests {
			out <- prometheus.MustNewConstMetric(v.requests, prometheus.CounterValue, float64(n), a.App, class)
		}
		out <- prometheus.MustNewConstMetric(v.inflight, prometheus.GaugeValue, float64(a.Inflight), a.App)
		out <- prometheus.MustNewConstMetric(v.dials, prometheus.CounterValue, float64(a.DialErrors), a.App)
		out <- prometheus.MustNewConstMetric(v.bytes, prometheus.CounterValue, float64(a.Bytes), a.App)
		out <- prometheus.MustNewConstHistogram(v.took, a.TookCount, a.TookSum, a.Took, a.App)
	}
}
