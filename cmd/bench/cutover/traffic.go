package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// kind is one kind of request, and its share of the traffic.
type kind struct {
	name    string
	share   float64
	lasts   time.Duration // about how long one takes
	workers int           // visitors, more if what lasts needs more
	timed   bool          // its times are sampled
	ask     func(*visitor, context.Context) (answer, error)
}

func mix(slowness time.Duration) []kind {
	return []kind{
		{"keep-alive GET", 0.80, 0, 64, true, (*visitor).keepAlive},
		{"fresh connection", 0.15, 0, 32, true, (*visitor).fresh},
		{"slow GET", 0.005, slowness, 4, false, (*visitor).slow},
		{"64 kB POST", 0.04, 0, 16, false, (*visitor).upload},
		{"event stream", 0.0025, eventCount * eventPause, 4, false, (*visitor).events},
		{"WebSocket", 0.0025, 0, 4, false, (*visitor).socket},
	}
}

// slowness is how long a slow request takes.
const slowness = 2 * time.Second

// traffic is an open loop: requests are sent when they are due, and their times
// count from then, so that a stall is seen in all requests that it held up.
type traffic struct {
	address, host string
	rate          int           // requests/s of all kinds
	slowness      time.Duration // of slow requests
	turns         *turns        // nil: any release may answer

	phase atomic.Int32 // times are kept by phase; 0 keeps none
	tally tally
}

// tally counts what came of the requests.
type tally struct {
	mu       sync.Mutex
	requests map[string]int // by kind
	failed   int
	stale    int
	old      int                 // answered by a release that visitors had left
	first    []string            // different ones
	samples  map[int32][]float64 // ms
}

// run sends until ctx ends, and waits for all answers.
func (t *traffic) run(ctx context.Context) {
	t.tally.requests, t.tally.samples = map[string]int{}, map[int32][]float64{}
	var wg sync.WaitGroup
	begin := time.Now()
	for _, k := range mix(t.slowness) {
		rate := float64(t.rate) * k.share
		// Twice as many as are busy at a time, so that none is late.
		workers := max(k.workers, int(2*rate*k.lasts.Seconds())+1)
		every := time.Duration(float64(time.Second) / rate)
		for i := range workers {
			wg.Go(func() { t.visit(ctx, k, begin.Add(time.Duration(i)*every), time.Duration(workers)*every) })
		}
	}
	wg.Wait()
}

func (t *traffic) visit(ctx context.Context, k kind, due time.Time, every time.Duration) {
	v := &visitor{address: t.address, host: t.host, slowness: t.slowness}
	defer v.close()
	for ; wait(ctx, time.Until(due)) == nil; due = due.Add(every) {
		phase, sent := t.phase.Load(), time.Now()
		a, err := k.ask(v, context.WithoutCancel(ctx)) // what is under way may end
		took := time.Since(due)
		t.tally.note(k.name, err, err == nil && t.turns != nil && !t.turns.right(a, sent), a)
		if k.timed && err == nil {
			t.tally.time(phase, took)
		}
	}
}

func (s *tally) note(kind string, err error, old bool, a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[kind]++
	switch {
	case errors.Is(err, errStale):
		s.stale++
	case err != nil:
		s.failed++
	case old:
		s.old++
		err = fmt.Errorf("%q answers after visitors had left it", a.release)
	}
	if err == nil || len(s.first) >= 5 {
		return
	}
	if text := kind + ": " + err.Error(); !slices.Contains(s.first, text) {
		s.first = append(s.first, text)
	}
}

func (s *tally) time(phase int32, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if phase > 0 {
		s.samples[phase] = append(s.samples[phase], took.Seconds()*1000)
	}
}

// sorted are a phase's times in ms. The traffic must have ended.
func (s *tally) sorted(phase int32) []float64 { return slices.Sorted(slices.Values(s.samples[phase])) }

func (s *tally) total() (n int) {
	for _, k := range s.requests {
		n += k
	}
	return n
}

// complaint is nil if nothing went wrong and every kind was there.
func (s *tally) complaint() error {
	for _, k := range mix(0) {
		if s.requests[k.name] == 0 {
			return fmt.Errorf("no request of the kind %q was made", k.name)
		}
	}
	if s.failed+s.stale+s.old == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d requests failed, %d met a stale connection, %d were answered by a release that visitors had left:\n  %s",
		s.failed, s.total(), s.stale, s.old, strings.Join(s.first, "\n  "))
}
