package github

import (
	"errors"
	"sync"
	"time"
)

// progress is what a pass has come to, shared by its goroutines.
type progress struct {
	flush bool // nothing is held back

	mu    sync.Mutex
	waits waits
	errs  []error
}

// waits are rows that are to be tried at a time to come.
type waits map[rowKey]time.Time

// first is the earliest of those times, zero if there is none.
func (w waits) first() time.Time {
	var first time.Time
	for _, at := range w {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first
}

// due notes that a row waits until a time.
func (p *progress) due(k rowKey, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waits == nil {
		p.waits = waits{}
	}
	p.waits[k] = at
}

func (p *progress) failed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errs = append(p.errs, err)
}

func (p *progress) result() (waits, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waits, errors.Join(p.errs...)
}
