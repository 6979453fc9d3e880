package main

import (
	"slices"
	"sync"
	"time"
)

// turns remembers which release was right when. Turn 0 is there from the
// beginning; each later one has a moment at which its swap was called and one
// at which it had returned. In between, both releases are right.
type turns struct {
	names [2]string // of even and of odd turns

	mu    sync.Mutex
	begun []time.Time // of turn 1 and on
	done  []time.Time
}

// begin notes that the next swap is about to be called, end that it returned.
func (t *turns) begin() { t.mu.Lock(); defer t.mu.Unlock(); t.begun = append(t.begun, time.Now()) }
func (t *turns) end()   { t.mu.Lock(); defer t.mu.Unlock(); t.done = append(t.done, time.Now()) }

// right reports whether the release may answer a request that was sent, and had
// by a release, at these times. It may have been routed at any moment between
// the two, so it may have been answered by the last turn that was complete when
// it was sent, and by any that began before it was had. A release that does not
// say when it had the request is taken to have had it just now.
func (t *turns) right(a answer, sent time.Time) bool {
	if a.received.IsZero() {
		a.received = time.Now()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	first, last := until(t.done, sent), until(t.begun, a.received)
	for turn := first; turn <= max(first, last); turn++ {
		if a.release == t.names[turn%2] {
			return true
		}
	}
	return false
}

// until counts the times that are not after at.
func until(times []time.Time, at time.Time) int {
	n, _ := slices.BinarySearchFunc(times, at, func(x, at time.Time) int {
		if x.After(at) {
			return 1
		}
		return -1
	})
	return n
}
