package github

import (
	"errors"
	"sync"
	"time"
)

// progress is what a pass has come to, shared by its goroutines.
type progress struct {
	flush bool // nothing is held back

	mu   sync.Mutex
	next time.Time
	errs []error
}

// due notes that something waits until a time.
func (p *progress) due(at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next.IsZero() || at.Before(p.next) {
		p.next = at
	}
}

func (p *progress) failed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errs = append(p.errs, err)
}

func (p *progress) result() (time.Time, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next, errors.Join(p.errs...)
}
