package server

import (
	"context"
	"errors"
	"sync"
)

// errClosing is why the context of a stream ends at the shutdown.
var errClosing = errors.New("the server shuts down")

// streams are the answers that go on until somebody ends them. At the shutdown
// they are ended at once; other requests may finish.
type streams struct {
	mu     sync.Mutex
	closed bool
	last   int
	open   map[int]context.CancelCauseFunc
}

// join returns a context that ends with the shutdown, and the way to leave.
func (s *streams) join(ctx context.Context) (_ context.Context, leave func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		cancel(errClosing)
		return ctx, func() {}
	}
	if s.open == nil {
		s.open = map[int]context.CancelCauseFunc{}
	}
	s.last++
	place := s.last
	s.open[place] = cancel
	return ctx, func() {
		cancel(nil)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, place)
	}
}

// end ends all that are open, and those that still come.
func (s *streams) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, cancel := range s.open {
		cancel(errClosing)
	}
}

// ended reports whether the shutdown began.
func (s *streams) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}
