package pipeline

import (
	"context"
	"sync"
)

// turns let one at a time change what outlives deployments: an app's kept
// services, and workers of which there must be one. A run and reconciling would
// else each start what the other one has just stopped.
type turns struct {
	mu sync.Mutex
	of map[string]chan struct{} // by app ID; full while somebody has the turn
}

// Turn waits for the app's turn, or until ctx ends. done gives it back. Who has it
// is the only one to start and stop what there must be one of.
func (r *Runner) Turn(ctx context.Context, appID string) (done func(), err error) {
	r.turns.mu.Lock()
	if r.turns.of == nil {
		r.turns.of = map[string]chan struct{}{}
	}
	mine, ok := r.turns.of[appID]
	if !ok {
		mine = make(chan struct{}, 1)
		r.turns.of[appID] = mine
	}
	r.turns.mu.Unlock()
	select {
	case mine <- struct{}{}:
		return func() { <-mine }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
