package proxy

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

func TestGauge_QuantilesAreOffByAQuarterAtMost(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		var l latencies
		all := make([]time.Duration, 1+random.IntN(500))
		slowest := time.Duration(1 + random.Int64N(int64(20*time.Second)))
		for i := range all {
			all[i] = max(200*time.Microsecond, time.Duration(random.Int64N(int64(slowest))))
			l.add(int64(i%latencySlots), all[i])
		}
		slices.Sort(all)
		bins := l.sum(0, latencySlots)
		for _, q := range []float64{0.5, 0.95} {
			want := all[min(len(all)-1, int(q*float64(len(all))))]
			below := all[max(0, int(q*float64(len(all)))-1)]
			got := quantile(&bins, q)
			if got < below*3/4 || got > want*5/4 {
				t.Errorf("p%.0f of %d is %s, measured as %s", 100*q, len(all), want, got)
			}
		}
	}
}

func TestGauge_EveryLatencyHasItsBin(t *testing.T) {
	t.Parallel()
	last := -1
	for took := time.Duration(0); took < time.Minute; took += 1 + took/50 {
		bin := binOf(took)
		if bin < last || bin >= latencyBins {
			t.Fatalf("%s is in bin %d after %d", took, bin, last)
		}
		if start := binStart(bin); took < start || bin > 0 && bin < latencyBins-1 && took >= binStart(bin+1) {
			t.Fatalf("%s is in the bin from %s", took, start)
		}
		last = bin
	}
	if last != latencyBins-1 {
		t.Errorf("a minute is in bin %d of %d", last, latencyBins)
	}
}

func TestGauge_VisitsAreOfTheTimeThatWasAskedFor(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	start := now
	tr := newTraffic("d1", func() time.Time { return now })
	for s := range 90 { // more than is remembered
		now = start.Add(time.Duration(s) * time.Second)
		tr.answered(200, 10*time.Millisecond)
		if s >= 80 {
			tr.answered(500, 3*time.Second)
			tr.silent()
			tr.refused(503) // has no latency
			tr.answered(visitorLeft, time.Hour)
		}
	}
	before := tr.visits(start.Add(70*time.Second), start.Add(79*time.Second))
	if want := (pipeline.Visits{Requests: 10, P50: before.P50, P95: before.P95}); before != want || before.P95 > 15*time.Millisecond || before.P50 < 8*time.Millisecond {
		t.Errorf("before: %+v", before)
	}
	after := tr.visits(start.Add(80*time.Second), now)
	if after.Requests != 40 || after.ServerErrors != 20 || after.DialErrors != 10 || after.P95 < 2*time.Second || after.P95 > 4*time.Second {
		t.Errorf("after: %+v", after)
	}
	if all := tr.visits(start, now); all.Requests != 60-10+40 {
		t.Errorf("all that is remembered: %+v", all)
	}
	if none := tr.visits(now.Add(time.Second), now.Add(2*time.Second)); none != (pipeline.Visits{}) {
		t.Errorf("none: %+v", none)
	}
}
