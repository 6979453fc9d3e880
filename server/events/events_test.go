package events_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/swingbridge/swingbridge/server/events"
)

func TestBus_EveryReaderSeesEveryEventInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := events.New()
		ctx, cancel := context.WithCancel(t.Context())
		var readers sync.WaitGroup
		for range 20 {
			c := b.Subscribe(ctx)
			readers.Go(func() {
				var last uint64
				for e := range c {
					if e.ID != last+1 {
						t.Errorf("event %d after %d", e.ID, last)
					}
					last = e.ID
				}
				if last != 200 {
					t.Errorf("the last was %d", last)
				}
			})
		}
		for range 200 {
			b.Publish(events.Event{Kind: "deployment", App: "a", Deployment: "d", State: "running"})
		}
		synctest.Wait()
		cancel()
		readers.Wait()
		if b.Readers() != 0 {
			t.Errorf("%d readers are still known", b.Readers())
		}
	})
}

func TestBus_ASlowReaderIsCutOffAndNobodyWaitsForIt(t *testing.T) {
	t.Parallel()
	b := events.New()
	slow := b.Subscribe(t.Context())
	for range 1000 {
		b.Publish(events.Event{})
	}
	var got int
	for range slow { // ends: the channel is closed
		got++
	}
	if got == 0 || got >= 1000 || b.Readers() != 0 {
		t.Errorf("got %d, %d readers", got, b.Readers())
	}
	fresh := b.Subscribe(t.Context())
	b.Publish(events.Event{App: "a"})
	if e := <-fresh; e.ID != 1001 || e.App != "a" {
		t.Errorf("%+v", e)
	}
}

func TestBus_AClosedOneEndsEveryReader(t *testing.T) {
	t.Parallel()
	b := events.New()
	before := b.Subscribe(t.Context())
	b.Close()
	b.Close()
	b.Publish(events.Event{})
	for _, c := range []<-chan events.Event{before, b.Subscribe(t.Context())} {
		if e, ok := <-c; ok {
			t.Errorf("got %+v", e)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if e, ok := <-events.New().Subscribe(ended); ok {
		t.Errorf("got %+v", e)
	}
}
