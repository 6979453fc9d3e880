package proxy

import (
	"cmp"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// ejectAfter failures in a row a target is left out for a while, which
	// begins at ejectFirst and doubles up to ejectMost with each further one.
	ejectAfter = 3
	ejectFirst = time.Second
	ejectMost  = 30 * time.Second
)

// target is one address that answers a route. All routes of its deployment
// that name the address share it.
type target struct {
	addr     netip.AddrPort
	dial     string
	inflight atomic.Int64
	requests atomic.Uint64 // attempts that were sent to it, or were to be

	failing atomic.Int32 // attempts without an answer since the last answer
	since   atomic.Int64 // when that began, in nanoseconds of Unix time
	spells  atomic.Int32 // times that it was left out since then
	out     atomic.Int64 // until when it is left out; 0: it is not
}

// answered ends a row of failures.
func (t *target) answered() {
	if t.failing.Load() != 0 {
		t.forgive()
	}
}

// forgive lets the target have requests as if nothing had been.
func (t *target) forgive() {
	t.failing.Store(0)
	t.spells.Store(0)
	t.out.Store(0)
}

// failed notes an attempt that got no answer. What fails while the target is
// left out began before, or had no other to go to; only a trial makes it longer.
func (t *target) failed(now time.Time, trial bool) {
	n := t.failing.Add(1)
	if n == 1 {
		t.since.Store(now.UnixNano())
	}
	switch {
	case trial:
		t.out.Store(now.Add(spell(t.spells.Add(1))).UnixNano())
	case n >= ejectAfter && t.out.CompareAndSwap(0, now.Add(ejectFirst).UnixNano()):
		t.spells.Store(1)
	}
}

// spell is how long a target is left out for the nth time in a row.
func spell(n int32) time.Duration {
	if n > 5 {
		return ejectMost
	}
	return min(ejectFirst<<(n-1), ejectMost)
}

// takes reports whether the target may have a request now. When its time is
// over it gets one on trial, and the next only when that has failed or been
// answered. A request that cannot be sent again is not put at risk, unless no
// other came for long.
func (t *target) takes(now time.Time, repeatable bool) (ok, trial bool) {
	out := t.out.Load()
	if out == 0 {
		return true, false
	}
	at := now.UnixNano()
	if at < out || !repeatable && at < out+int64(ejectMost) {
		return false, false
	}
	return t.out.CompareAndSwap(out, now.Add(ejectFirst).UnixNano()), true
}

// leastBusy returns the target with the fewest requests in flight that was not
// tried yet, nil if all were. One that was left out is taken only where there
// is no other.
func (r *route) leastBusy(tried []*target, now time.Time, repeatable bool) (t *target, trial bool) {
	if len(r.targets) == 1 {
		return untried(r.targets[0], tried), false
	}
	var best, left *target
	from := int(r.turn.Add(1))
	for i := range r.targets {
		t := untried(r.targets[(from+i)%len(r.targets)], tried)
		if t == nil {
			continue
		}
		switch ok, trial := t.takes(now, repeatable); {
		case ok && trial:
			return t, true
		case ok:
			best = lessBusy(best, t)
		default:
			left = lessBusy(left, t)
		}
	}
	return cmp.Or(best, left), false
}

func untried(t *target, tried []*target) *target {
	if slices.Contains(tried, t) {
		return nil
	}
	return t
}

func lessBusy(a, b *target) *target {
	if a == nil || b.inflight.Load() < a.inflight.Load() {
		return b
	}
	return a
}
