package proxy

import (
	"context"
	"math/bits"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

const (
	ticksInSecond = int64(time.Second / bucketLength)
	latencySlots  = 60 // seconds

	// Four bins to each doubling, from 2^7 µs to 2^25 µs: 0.13 ms to 33 s.
	binsPerDoubling = 4
	firstDoubling   = 7
	lastDoubling    = 25
	latencyBins     = (lastDoubling-firstDoubling)*binsPerDoubling + 2 // one below, one above
)

// latencies are histograms of how long answers took to begin, one for each of
// the last seconds. The zero value is empty and holds no memory.
type latencies struct{ seconds []second }

// second is the histogram of one second; it is stale unless at is of this
// minute.
type second struct {
	at   int64 // of Unix time
	bins [latencyBins]uint32
}

func (l *latencies) add(at int64, took time.Duration) {
	if l.seconds == nil {
		l.seconds = make([]second, latencySlots) // 18 KiB, only for deployments with visitors
	}
	s := &l.seconds[at%latencySlots]
	if s.at != at {
		*s = second{at: at}
	}
	s.bins[binOf(took)]++
}

// sum adds up the seconds from one to another, both included.
func (l *latencies) sum(from, to int64) (bins [latencyBins]uint32) {
	for i := range l.seconds {
		s := &l.seconds[i]
		if s.at < from || s.at > to {
			continue
		}
		for n, count := range s.bins {
			bins[n] += count
		}
	}
	return bins
}

// binOf is where a latency is counted.
func binOf(took time.Duration) int {
	us := uint64(max(0, took.Microseconds())) //nolint:gosec // not negative
	doubling := bits.Len64(us) - 1
	switch {
	case doubling < firstDoubling:
		return 0
	case doubling >= lastDoubling:
		return latencyBins - 1
	}
	quarter := int(us>>(doubling-2)) & (binsPerDoubling - 1)
	return 1 + (doubling-firstDoubling)*binsPerDoubling + quarter
}

// binStart is the least latency of the bin.
func binStart(bin int) time.Duration {
	if bin == 0 {
		return 0
	}
	doubling, quarter := (bin-1)/binsPerDoubling+firstDoubling, (bin-1)%binsPerDoubling
	us := 1<<doubling + quarter<<(doubling-2)
	return time.Duration(us) * time.Microsecond
}

// quantile is the latency within which the share q of the answers began, 0 if
// there were none. It is off by the width of a bin at most, a quarter.
func quantile(bins *[latencyBins]uint32, q float64) time.Duration {
	var all uint64
	for _, n := range bins {
		all += uint64(n)
	}
	rank, below := q*float64(all), 0.0
	for i, n := range bins {
		if n == 0 {
			continue
		}
		if below += float64(n); below < rank {
			continue
		}
		from, to := binStart(i), binStart(min(i+1, latencyBins-1))
		return to - time.Duration((below-rank)/float64(n)*float64(to-from))
	}
	return 0
}

// Visits implements pipeline.Gauge. Counts are of tenths of a second, latencies
// of whole seconds: of the first and the last of them all is taken.
func (p *Proxy) Visits(_ context.Context, deployment string, from, to time.Time) (pipeline.Visits, error) {
	p.changes.Lock()
	t := p.traffic[deployment]
	p.changes.Unlock()
	if t == nil {
		return pipeline.Visits{}, nil
	}
	return t.visits(from, to), nil
}

func (t *traffic) visits(from, to time.Time) pipeline.Visits {
	begin, end := from.UnixNano()/int64(bucketLength), to.UnixNano()/int64(bucketLength)
	t.mu.Lock()
	defer t.mu.Unlock()
	var c Counts
	for i := range t.recent {
		if s := &t.recent[i]; s.tick >= begin && s.tick <= end {
			c.plus(s.Counts)
		}
	}
	bins := t.latency.sum(from.Unix(), to.Unix())
	return pipeline.Visits{
		Requests: int(c.Requests), ServerErrors: int(c.ServerErrors), DialErrors: int(c.DialErrors),
		P50: quantile(&bins, 0.50), P95: quantile(&bins, 0.95),
	}
}
