// Package events tells whoever watches what changed, after it was committed.
// It promises no delivery: a reader that is too slow or comes too late reads
// the present state and subscribes again.
package events

import (
	"context"
	"sync"
	"time"
)

// backlog is how many events a reader may lag behind before it is cut off.
const backlog = 256

// Event is a change of an app or of one of its deployments.
type Event struct {
	ID         uint64 // counts from 1 since the server started; set by Publish
	Kind       string // what changed: "app" or "deployment"
	App        string // id
	Deployment string // id, empty if it is about the app
	State      string // the deployment's new state
	At         time.Time
}

// Bus hands events to subscribers. It is safe for concurrent use.
type Bus struct {
	mu      sync.Mutex
	last    uint64
	closed  bool
	readers map[chan Event]struct{}
}

// New returns a bus without subscribers.
func New() *Bus { return &Bus{readers: map[chan Event]struct{}{}} }

// Publish hands the event to every subscriber and never waits for one: the
// channel of a reader that is too far behind is closed.
func (b *Bus) Publish(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	e.ID = b.last
	for c := range b.readers {
		select {
		case c <- e:
		default:
			b.drop(c)
		}
	}
}

// Subscribe returns a channel of the events from now on. It is closed when ctx
// ends, when the bus is closed, or when the reader is cut off.
func (b *Bus) Subscribe(ctx context.Context) <-chan Event {
	c := make(chan Event, backlog)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || ctx.Err() != nil {
		close(c)
		return c
	}
	b.readers[c] = struct{}{}
	context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.drop(c)
	})
	return c
}

// Close ends all subscriptions, so that the requests behind them can end.
func (b *Bus) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for c := range b.readers {
		b.drop(c)
	}
}

// Readers is how many subscribers there are.
func (b *Bus) Readers() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.readers)
}

// drop closes a reader's channel once. The caller holds the lock.
func (b *Bus) drop(c chan Event) {
	if _, ok := b.readers[c]; ok {
		delete(b.readers, c)
		close(c)
	}
}
