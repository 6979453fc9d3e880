package proxy

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// AppCounts is what visitors of one app got since the proxy started, whichever
// deployment answered.
type AppCounts struct {
	AppID      string            `json:"app_id"`
	App        string            `json:"app"`
	Inflight   int               `json:"inflight"`
	Requests   map[string]uint64 `json:"requests"` // by class of the status: 2xx
	DialErrors uint64            `json:"dial_errors"`
	Bytes      uint64            `json:"bytes"` // of answers, as sent: compressed, without headers
	Took       Took              `json:"took"`
}

// Took is a histogram of how long requests took until their answer's end, in
// seconds.
type Took struct {
	Bounds []float64 `json:"bounds"` // what is counted took at most this long
	Counts []uint64  `json:"counts"` // cumulative, one more than bounds: all
	Sum    float64   `json:"sum"`
}

// tookBounds are the upper bounds of the histogram's buckets.
func tookBounds() [tookBuckets]time.Duration {
	const ms = time.Millisecond
	return [tookBuckets]time.Duration{1 * ms, 5 * ms, 10 * ms, 25 * ms, 50 * ms, 100 * ms, 250 * ms, 500 * ms,
		time.Second, 2500 * ms, 5 * time.Second, 10 * time.Second, 60 * time.Second}
}

const tookBuckets = 13

// appCounters count for one app. A nil one counts nothing.
type appCounters struct {
	requests   [6]atomic.Uint64 // by status ÷ 100
	dialErrors atomic.Uint64
	bytes      atomic.Uint64
	took       [tookBuckets + 1]atomic.Uint64
	sum        atomic.Int64 // nanoseconds
}

func (c *appCounters) ended(status int, bytes int64, took time.Duration) {
	if c == nil {
		return
	}
	if class := status / 100; class > 0 && class < len(c.requests) {
		c.requests[class].Add(1)
	}
	c.bytes.Add(uint64(max(0, bytes))) //nolint:gosec // not negative
	bounds := tookBounds()
	i, _ := slices.BinarySearch(bounds[:], took)
	c.took[i].Add(1)
	c.sum.Add(int64(took))
}

func (c *appCounters) silent() {
	if c != nil {
		c.dialErrors.Add(1)
	}
}

func (c *appCounters) read() AppCounts {
	out := AppCounts{Requests: map[string]uint64{}, DialErrors: c.dialErrors.Load(), Bytes: c.bytes.Load()}
	for class := 1; class < len(c.requests); class++ {
		out.Requests[strconv.Itoa(class)+"xx"] = c.requests[class].Load()
	}
	var total uint64
	for i := range c.took {
		total += c.took[i].Load()
		out.Took.Counts = append(out.Took.Counts, total)
	}
	for _, bound := range tookBounds() {
		out.Took.Bounds = append(out.Took.Bounds, bound.Seconds())
	}
	out.Took.Sum = time.Duration(c.sum.Load()).Seconds()
	return out
}

// countersOf are the app's for as long as the table has it. The caller holds
// p.changes.
func (p *Proxy) countersOf(appID string) *appCounters {
	if p.counters[appID] == nil {
		p.counters[appID] = new(appCounters)
	}
	return p.counters[appID]
}

// appCounts lists the apps of the table, or the one that is named, ordered by
// name. The caller holds p.changes.
func (p *Proxy) appCounts(appID string) []AppCounts {
	t, out := p.table.Load(), []AppCounts{}
	for id, e := range t.apps {
		if appID != "" && id != appID || p.counters[id] == nil {
			continue
		}
		c := p.counters[id].read()
		c.AppID, c.App = id, e.App
		for _, tr := range p.traffic {
			if tr.appID == id {
				c.Inflight += int(tr.inflight.Load())
			}
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b AppCounts) int { return strings.Compare(a.App, b.App) })
	return out
}

// account counts a request that is over, and has it logged.
func (m *meter) account(r *http.Request) {
	v := m.visit
	a := answered{status: m.status, bytes: m.bytes, first: m.first}
	if v.target != nil {
		a.target = v.target.dial
	}
	a.deployment, a.commit, a.color = v.route.traffic.names()
	v.proxy.account(r, v, v.route.entry, a)
}

// answered is how a request ended.
type answered struct {
	status                            int // 0: without an answer
	bytes                             int64
	first                             time.Time // when the answer began
	deployment, commit, color, target string
}

func (p *Proxy) account(r *http.Request, v *visit, e *entry, a answered) {
	took := p.o.Now().Sub(v.begin)
	e.counters.ended(a.status, a.bytes, took)
	if p.access == nil || e.AppID == "" { // the control plane has a log of its own
		return
	}
	record := accessRecord{
		Time: v.begin.UTC(), ID: v.id, Method: cut(r.Method, 32), Host: cut(v.host, 256), Path: cut(v.path, 1024), Protocol: r.Proto,
		Status: a.status, Bytes: a.bytes, Duration: seconds(took),
		Deployment: a.deployment, Commit: a.commit, Color: a.color, Target: a.target, UserAgent: cut(r.UserAgent(), 256),
		app: e.App,
	}
	record.Client, _ = caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	if !a.first.IsZero() {
		record.FirstByte = seconds(a.first.Sub(v.begin))
	}
	p.access.put(record)
}

// cut bounds what a visitor chose, and lets go of the memory around it.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.Clone(s[:limit])
}

func seconds(d time.Duration) float64 { return d.Round(time.Microsecond).Seconds() }
