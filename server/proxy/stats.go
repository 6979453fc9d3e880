package proxy

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

const (
	bucketLength = 100 * time.Millisecond
	bucketCount  = 600 // a minute
)

// visitorLeft is the status that marks a request whose visitor left
// before there was an answer. It is nobody's error.
const visitorLeft = 499

// Stats is what the proxy counted since it started.
type Stats struct {
	At       time.Time       `json:"at"`
	Bucket   time.Duration   `json:"bucket"`   // length of one of Recent, in nanoseconds
	Unrouted uint64          `json:"unrouted"` // requests for a host or path that no app has
	Traffic  []TrafficCounts `json:"traffic"`  // ordered by app, then deployment
	Apps     []AppCounts     `json:"apps"`     // ordered by name
}

// TrafficCounts is what visitors got from one deployment of an app.
type TrafficCounts struct {
	AppID      string         `json:"app_id"`
	App        string         `json:"app"`
	Deployment string         `json:"deployment"`
	Commit     string         `json:"commit"`
	Color      pipeline.Color `json:"color"`
	Current    bool           `json:"current"` // the table names it: new requests go there
	Inflight   int            `json:"inflight"`
	Total      Counts         `json:"total"`
	Recent     []Bucket       `json:"recent,omitempty"`  // the last minute, oldest first, without empty ones
	Targets    []TargetCounts `json:"targets,omitempty"` // ordered by address
}

// TargetCounts is what went to one target of a deployment.
type TargetCounts struct {
	Address  netip.AddrPort `json:"address"`
	Inflight int            `json:"inflight"`
	Requests uint64         `json:"requests"`           // attempts
	Failing  int            `json:"failing,omitempty"`  // attempts in a row without an answer
	OutUntil time.Time      `json:"out_until,omitzero"` // it is left out until then
}

// Counts counts requests by how they ended.
type Counts struct {
	Requests     uint32 `json:"requests"`
	ClientErrors uint32 `json:"client_errors,omitempty"` // status 4xx
	ServerErrors uint32 `json:"server_errors,omitempty"` // status 5xx, the proxy's own included
	DialErrors   uint32 `json:"dial_errors,omitempty"`   // attempts that got no answer from a target
}

// Bucket counts what was answered within one bucket's length from At on.
type Bucket struct {
	At time.Time `json:"at"`
	Counts
}

// traffic counts what goes to one deployment.
type traffic struct {
	deployment string
	now        func() time.Time
	inflight   atomic.Int64
	streams    streamSet

	mu      sync.Mutex
	appID   string
	named   pipeline.Entry // without paths
	total   Counts
	last    int64 // tick of the last answer
	recent  []slot
	latency latencies
	targets map[netip.AddrPort]*target
	warned  int64 // tick of the last warning about a silent target
}

// slot is a bucket in the ring; it is stale unless its tick is of this minute.
type slot struct {
	tick int64
	Counts
}

func newTraffic(deployment string, now func() time.Time) *traffic {
	return &traffic{deployment: deployment, now: now, targets: map[netip.AddrPort]*target{}}
}

func (t *traffic) belongsTo(e pipeline.Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.Paths = nil
	t.appID, t.named = e.AppID, e
}

func (t *traffic) target(addr netip.AddrPort) *target {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.targets[addr] == nil {
		t.targets[addr] = &target{addr: addr, dial: addr.String()}
	}
	return t.targets[addr]
}

// targetsAt are the targets at the addresses.
func (t *traffic) targetsAt(addrs []netip.AddrPort) []*target {
	var out []*target
	for _, addr := range addrs {
		out = append(out, t.target(addr))
	}
	return out
}

func (t *traffic) commit() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.named.Commit
}

// names are the deployment's, its commit's and its color's.
func (t *traffic) names() (deployment, commit, color string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.deployment, t.named.Commit, string(t.named.Color)
}

func (t *traffic) tick() int64 { return t.now().UnixNano() / int64(bucketLength) }

// answered counts a request by its status, when the answer begins: a stream
// that stays open for hours is counted where it started.
func (t *traffic) answered(status int, took time.Duration) {
	if status == visitorLeft {
		took = -1 // nobody knows how long it would have been
	}
	t.add(countsOf(status), took)
}

// refused counts a request that was answered in the app's place.
func (t *traffic) refused(status int) { t.add(countsOf(status), -1) }

func countsOf(status int) Counts {
	c := Counts{Requests: 1}
	switch {
	case status >= 500:
		c.ServerErrors = 1
	case status >= 400 && status != visitorLeft:
		c.ClientErrors = 1
	}
	return c
}

// silent counts an attempt that got no answer. It reports whether to say so in
// the log: once in ten seconds is enough.
func (t *traffic) silent() bool {
	t.add(Counts{DialErrors: 1}, -1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.warned != 0 && t.last-t.warned < 100 {
		return false
	}
	t.warned = t.last
	return true
}

// add counts, and notes how long the answer took to begin unless it is negative.
func (t *traffic) add(c Counts, took time.Duration) {
	tick := t.tick()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.recent == nil {
		t.recent = make([]slot, bucketCount) // 14 KiB, only for deployments with visitors
	}
	s := &t.recent[tick%bucketCount]
	if s.tick != tick {
		*s = slot{tick: tick}
	}
	s.plus(c)
	t.total.plus(c)
	t.last = tick
	if took >= 0 {
		t.latency.add(tick/ticksInSecond, took)
	}
}

func (c *Counts) plus(d Counts) {
	c.Requests += d.Requests
	c.ClientErrors += d.ClientErrors
	c.ServerErrors += d.ServerErrors
	c.DialErrors += d.DialErrors
}

// quiet reports whether nothing was answered for a minute.
func (t *traffic) quiet() bool {
	tick := t.tick()
	t.mu.Lock()
	defer t.mu.Unlock()
	return tick-t.last >= bucketCount
}

func (t *traffic) counts() TrafficCounts {
	tick := t.tick()
	t.mu.Lock()
	defer t.mu.Unlock()
	out := TrafficCounts{
		AppID: t.named.AppID, App: t.named.App, Deployment: t.deployment, Commit: t.named.Commit, Color: t.named.Color,
		Inflight: int(t.inflight.Load()), Total: t.total, Targets: t.countTargets(),
	}
	for i := tick - bucketCount + 1; i <= tick && t.recent != nil; i++ {
		if s := t.recent[i%bucketCount]; s.tick == i {
			out.Recent = append(out.Recent, Bucket{At: time.Unix(0, i*int64(bucketLength)).UTC(), Counts: s.Counts})
		}
	}
	return out
}

// countTargets is in the order of addresses. The caller holds t.mu.
func (t *traffic) countTargets() []TargetCounts {
	var out []TargetCounts
	for _, x := range t.targets {
		c := TargetCounts{Address: x.addr, Inflight: int(x.inflight.Load()), Requests: x.requests.Load(), Failing: int(x.failing.Load())}
		if until := x.out.Load(); until != 0 {
			c.OutUntil = time.Unix(0, until).UTC()
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b TargetCounts) int { return a.Address.Compare(b.Address) })
	return out
}

// Stats returns what was counted for all apps.
func (p *Proxy) Stats(ctx context.Context) (Stats, error) { return p.StatsOf(ctx, "") }

// StatsOf returns what was counted for one app, for all if appID is empty.
func (p *Proxy) StatsOf(_ context.Context, appID string) (Stats, error) {
	out := Stats{At: p.o.Now().UTC(), Bucket: bucketLength, Unrouted: p.unrouted.Load(), Traffic: []TrafficCounts{}}
	t := p.table.Load()
	p.changes.Lock()
	defer p.changes.Unlock()
	out.Apps = p.appCounts(appID)
	for id, tr := range p.traffic {
		if appID != "" && tr.appID != appID {
			continue
		}
		c := tr.counts()
		e := t.apps[c.AppID]
		c.Current = e != nil && e.names(id)
		out.Traffic = append(out.Traffic, c)
	}
	slices.SortFunc(out.Traffic, func(a, b TrafficCounts) int {
		if c := strings.Compare(a.App, b.App); c != 0 {
			return c
		}
		return strings.Compare(a.Deployment, b.Deployment)
	})
	return out, nil
}
