package server

import (
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Metrics is what Prometheus reads at /metrics. No label has a value that a
// stranger chose: what is not known is counted as "other".
type Metrics struct {
	registry    *prometheus.Registry
	deliveries  *prometheus.CounterVec
	deployments *prometheus.CounterVec
	steps       *prometheus.HistogramVec
	requests    *prometheus.CounterVec
	latency     *prometheus.HistogramVec

	mu        sync.Mutex
	stepNames map[string]bool
}

// MetricsOptions gives the numbers that are read when Prometheus asks. A nil
// one is left out.
type MetricsOptions struct {
	QueueDepth    func() float64 // jobs that wait or run
	OutboxBacklog func() float64 // reports that GitHub has not got yet
}

// NewMetrics makes a registry of its own.
func NewMetrics(o MetricsOptions) *Metrics {
	m := &Metrics{
		registry:  prometheus.NewRegistry(),
		stepNames: map[string]bool{},
		deliveries: counter("swingbridge_deliveries_total",
			"Webhook deliveries by outcome.", "outcome"),
		deployments: counter("swingbridge_deployments_total",
			"Deployments that came into a state.", "state"),
		requests: counter("swingbridge_http_requests_total",
			"Requests by route and status.", "route", "status"),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "swingbridge_step_seconds", Help: "How long steps of deployments took.",
			Buckets: []float64{.01, .05, .1, .5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800},
		}, []string{"step", "state"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "swingbridge_http_request_seconds", Help: "How long requests took, by route; streams last.",
			Buckets: []float64{.001, .005, .01, .05, .1, .5, 1, 5, 10, 60},
		}, []string{"route"}),
	}
	m.registry.MustRegister(m.deliveries, m.deployments, m.steps, m.requests, m.latency,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.gauge("swingbridge_queue_depth", "Jobs that wait or run.", o.QueueDepth)
	m.gauge("swingbridge_outbox_backlog", "Reports that GitHub has not got yet.", o.OutboxBacklog)
	// Known values begin at 0, so that a first failure is seen as a change.
	for _, state := range pipeline.States() {
		m.deployments.WithLabelValues(string(state))
	}
	for _, outcome := range outcomes() {
		m.deliveries.WithLabelValues(string(outcome))
	}
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func (m *Metrics) gauge(name, help string, read func() float64) {
	if read != nil {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
	}
}

func outcomes() []pipeline.Outcome {
	return []pipeline.Outcome{
		pipeline.OutcomeQueued, pipeline.OutcomeCoalesced, pipeline.OutcomeDuplicate,
		pipeline.OutcomePong, pipeline.OutcomeIgnored, refused,
	}
}

// refused is what happened to a request that was not taken: nothing of it is
// stored but this count.
const refused pipeline.Outcome = "refused"

const other = "other"

// Delivery counts a webhook delivery.
func (m *Metrics) Delivery(outcome pipeline.Outcome) {
	if !slices.Contains(outcomes(), outcome) {
		outcome = other
	}
	m.deliveries.WithLabelValues(string(outcome)).Inc()
}

// Deployment counts a deployment that came into a state.
func (m *Metrics) Deployment(state pipeline.State) {
	if !slices.Contains(pipeline.States(), state) {
		state = other
	}
	m.deployments.WithLabelValues(string(state)).Inc()
}

// maxSteps bounds how many names of steps get a label of their own.
const maxSteps = 40

// Step notes how long a step took that ended in the state.
func (m *Metrics) Step(name string, state pipeline.StepState, took time.Duration) {
	m.mu.Lock()
	if !m.stepNames[name] {
		if len(m.stepNames) < maxSteps {
			m.stepNames[name] = true
		} else {
			name = other
		}
	}
	m.mu.Unlock()
	switch state {
	case pipeline.StepDone, pipeline.StepSkipped, pipeline.StepFailed, pipeline.StepUndone:
	default:
		state = other
	}
	m.steps.WithLabelValues(name, string(state)).Observe(took.Seconds())
}

// request counts a request. route is a pattern of the table.
func (m *Metrics) request(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.latency.WithLabelValues(route).Observe(took.Seconds())
}

// Registry is where further collectors may be added.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Handler answers Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}
