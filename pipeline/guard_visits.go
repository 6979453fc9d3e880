package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

const (
	// guardBeat is how often what visitors get is read.
	guardBeat = 100 * time.Millisecond
	// gaugeMemory is how far the proxy remembers.
	gaugeMemory = time.Minute
	// slowWindow is the least time over which latency is judged, and as long
	// after the cutover it is not: a color that has just begun is slow at first.
	slowWindow = 5 * time.Second
	// slowMemory is the most time over which it is judged.
	slowMemory = 10 * time.Second
	// slowFloor is the p95 below which nothing is slow, whatever was before.
	slowFloor = 250 * time.Millisecond
	// blindShare is the limit where there is nothing to compare with.
	blindShare = 0.5

	// askPause is how often the app is asked where visitors do not.
	askPause = time.Second
	// askTimeout is how long one of those requests may take, if the probe's is
	// not longer.
	askTimeout = 5 * time.Second
	// asksBad is how many of them fail in a row before visitors swing back.
	asksBad = 3
	// quietWindow is the time over which visitors are too few to be judged by.
	quietWindow = 3 * time.Second
)

// windows are the times back from now over which errors are judged, besides
// all since the cutover: short ones, so that good minutes do not hide a bad
// second, and longer ones for apps with fewer visitors.
func windows() []time.Duration {
	return []time.Duration{time.Second, 3 * time.Second, 10 * time.Second, gaugeMemory}
}

// baseline is what the app's visitors got before the cutover.
type baseline struct {
	Visits
	known bool
}

// readBaseline is asked right before the cutover, or after an interruption for
// the time before it, as far as the proxy remembers.
func (x *run) readBaseline(ctx context.Context, cut time.Time) baseline {
	if x.live.ID == "" || x.live.ID == x.dep.ID {
		return baseline{}
	}
	v, err := x.Gauge.Visits(ctx, x.live.StackID(), cut.Add(-gaugeMemory), cut)
	return baseline{Visits: v, known: err == nil}
}

// ruler measures visits by the release's limits and the app's own baseline.
type ruler struct {
	limits stack.GuardLimits
	before baseline
}

func newRuler(limits stack.GuardLimits, before baseline) ruler {
	if limits.Errors == 0 {
		limits.Errors = 0.05
	}
	if limits.Slower == 0 {
		limits.Slower = 4
	}
	if limits.Least == 0 {
		limits.Least = 20
	}
	before.known = before.known && attempts(before.Visits) >= limits.Least
	return ruler{limits: limits, before: before}
}

// attempts counts what was asked of the app, answered or not.
func attempts(v Visits) int { return max(v.Requests, v.DialErrors) }

// failed counts what went wrong of it. A request whose target did not answer
// is answered 5xx by the proxy and must not count twice.
func failed(v Visits) int { return max(v.ServerErrors, v.DialErrors) }

// tooManyErrors says by what evidence there are, or nothing.
func (r ruler) tooManyErrors(v Visits, within, since time.Duration) string {
	n := attempts(v)
	if n < r.limits.Least {
		return ""
	}
	if float64(failed(v)) <= r.allowed(float64(n)) {
		return ""
	}
	text := fmt.Sprintf("5xx or no answer: %s of %d requests in %s, %s after the cutover", percent(failed(v), n), n, brief(within), brief(since))
	if r.before.known {
		return text + fmt.Sprintf("; %s before it", percent(failed(r.before.Visits), attempts(r.before.Visits)))
	}
	return text
}

// allowed is how many of n requests may fail: by the limit, and by chance, which
// counts where requests are few. Three standard deviations of what is usual are
// no evidence. That all of them fail is, unless most did before.
func (r ruler) allowed(n float64) float64 {
	limit, usual := blindShare, 0.0
	if r.before.known {
		usual = float64(failed(r.before.Visits)) / float64(attempts(r.before.Visits))
		limit = usual + r.limits.Errors
	}
	out := n*limit + 3*math.Sqrt(n*max(usual, 0.01)*(1-min(usual, 0.99)))
	if usual < 0.5 {
		out = min(out, n-1)
	}
	return out
}

// tooSlow says by what evidence answers are, or nothing.
func (r ruler) tooSlow(v Visits, within, since time.Duration) string {
	if r.limits.Slower < 0 || !r.before.known || v.Requests < r.limits.Least {
		return ""
	}
	if v.P95 <= slowFloor || float64(v.P95) <= r.limits.Slower*float64(r.before.P95) {
		return ""
	}
	return fmt.Sprintf("slow: 95%% of %d requests were answered within %s in %s, %s after the cutover; within %s before it",
		v.Requests, v.P95.Round(time.Millisecond), brief(within), brief(since), r.before.P95.Round(time.Millisecond))
}

func percent(part, whole int) string {
	return fmt.Sprintf("%.3g%%", 100*float64(part)/float64(max(whole, 1)))
}

func brief(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }

// watchVisits returns by what visitors get that the new color is worse.
func (x *run) watchVisits(ctx context.Context) error {
	r := newRuler(x.rel.Stack.GuardLimits, x.before)
	beat := time.NewTicker(guardBeat)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
		}
		if err := x.judge(ctx, r); err != nil {
			return err
		}
	}
}

// judge looks at what visitors got up to now. A proxy that does not answer is
// no reason to swing back.
func (x *run) judge(ctx context.Context, r ruler) error {
	now := x.Now()
	since := now.Sub(x.cutAt)
	for _, w := range windows() {
		within := min(w, since)
		v, err := x.Gauge.Visits(ctx, x.dep.ID, now.Add(-within), now)
		if err != nil {
			return nil //nolint:nilerr // what is not known swings nobody back
		}
		if why := r.tooManyErrors(v, within, since); why != "" {
			return errors.New(why)
		}
		if v.DialErrors > 1 && w == time.Second {
			if err := x.well(ctx); err != nil { // before the engine tells of it
				return err
			}
		}
		if w >= since {
			break
		}
	}
	return x.judgeLatency(ctx, r, now)
}

// judgeLatency looks at how long visitors waited lately, without the time in
// which the color was new. The proxy tells latencies by whole seconds: the one
// in which that time ended still has slow answers.
func (x *run) judgeLatency(ctx context.Context, r ruler, now time.Time) error {
	begin := now.Add(-slowMemory)
	if warm := x.cutAt.Add(slowWindow); begin.Before(warm) {
		begin = warm
	}
	begin = begin.Add(time.Second - 1).Truncate(time.Second)
	within := now.Sub(begin)
	if within < slowWindow {
		return nil
	}
	v, err := x.Gauge.Visits(ctx, x.dep.ID, begin, now)
	if err != nil {
		return nil //nolint:nilerr // what is not known swings nobody back
	}
	if why := r.tooSlow(v, within, now.Sub(x.cutAt)); why != "" {
		return errors.New(why)
	}
	return nil
}

// watchAnswers asks the app itself, through the public listener, while visitors
// are too few to tell, or get no answer at all.
func (x *run) watchAnswers(ctx context.Context) error {
	r := newRuler(x.rel.Stack.GuardLimits, x.before)
	answers := make(chan error, asksBad)
	asks, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer func() { stop(); wg.Wait() }()
	pace := time.NewTicker(askPause)
	defer pace.Stop()
	open, bad := 0, 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-answers:
			open--
			switch {
			case err == nil:
				bad = 0
			case errors.Is(err, ErrUnreachable): // of the proxy, nothing is known of the app
			default:
				bad++
			}
			if bad >= asksBad {
				return fmt.Errorf("%d requests in a row that Swingbridge made itself through the public listener failed, the last one: %w", bad, err)
			}
		case <-pace.C:
			if open < cap(answers) && x.quiet(ctx, r) {
				open++
				wg.Go(func() { answers <- x.askOnce(asks) })
			}
		}
	}
}

// quiet reports whether visitors are too few to be judged by. What was asked
// by ourselves is not theirs.
func (x *run) quiet(ctx context.Context, r ruler) bool {
	now := x.Now()
	v, err := x.Gauge.Visits(ctx, x.dep.ID, now.Add(-min(quietWindow, now.Sub(x.cutAt))), now)
	own := int(quietWindow/askPause) * len(x.entered.Paths)
	return err == nil && attempts(v)-own < r.limits.Least
}

func (x *run) askOnce(ctx context.Context) error {
	timeout := askTimeout
	for _, svc := range x.rel.Stack.Web() {
		timeout = max(timeout, min(svc.Probe.Timeout, x.rel.Stack.Guard/asksBad))
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return x.Prover.Ask(ctx, x.entered)
}

// visited says how visitors fared under the guard, as far as it is known.
func (x *run) visited(ctx context.Context) string {
	now := x.Now()
	v, err := x.Gauge.Visits(ctx, x.dep.ID, now.Add(-min(gaugeMemory, now.Sub(x.cutAt))), now)
	switch n := attempts(v); {
	case err != nil || n == 0:
		return ""
	case failed(v) == 0:
		return fmt.Sprintf(": %d requests, none answered 5xx", n)
	default:
		return fmt.Sprintf(": %d requests, %s answered 5xx or not at all", n, percent(failed(v), n))
	}
}
