package github

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// Waits before a row is tried again. What GitHub refused is tried rarely: only
// a person can help, by a permission or an installation.
const (
	firstRetry   = time.Second
	longestRetry = 2 * time.Minute
	firstRefusal = time.Minute
	lastRefusal  = 6 * time.Hour
)

// retryAt is when a row is tried again after an error, the tries before it
// counted: twice as long each time, with jitter, and never before a rate limit
// is over.
func retryAt(now time.Time, tries int, err error) time.Time {
	var limited *RateLimited
	if errors.As(err, &limited) {
		until := limited.Until
		if until.Before(now) {
			until = now
		}
		return until.Add(time.Second + jitter(time.Second))
	}
	first, longest := firstRetry, longestRetry
	if refusal(err) {
		first, longest = firstRefusal, lastRefusal
	}
	wait := min(first<<min(max(tries, 0), 16), longest)
	return now.Add(wait + jitter(wait/2))
}

// jitter is a random part of at most limit, so that rows that failed together
// do not all come back together.
func jitter(limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return rand.N(limit)
}

// gate lets one write begin at a time, and the next one only after a pause.
type gate struct {
	pause time.Duration
	free  chan struct{}
}

func newGate(pause time.Duration) gate {
	g := gate{pause: pause, free: make(chan struct{}, 1)}
	g.free <- struct{}{}
	return g
}

// pass waits for the turn of one write.
func (g gate) pass(ctx context.Context) error {
	if g.pause <= 0 {
		return ctx.Err()
	}
	select {
	case <-g.free:
		time.AfterFunc(g.pause, func() { g.free <- struct{}{} })
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
