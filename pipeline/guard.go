package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// guardPause is how often containers are looked at besides their events.
const guardPause = time.Second

// guard watches the new color after the cutover: a container that dies,
// restarts or turns unhealthy swings visitors back.
func (x *run) guard(ctx context.Context) (string, error) {
	left := x.rel.Stack.Guard - x.Now().Sub(x.cutAt)
	end := time.NewTimer(max(left, 0))
	defer end.Stop()
	look := time.NewTicker(guardPause)
	defer look.Stop()
	watch, stop := context.WithCancel(ctx)
	defer stop()
	events, err := x.Engine.Events(watch)
	if err != nil {
		events = nil // looking at them now and then will do
	}
	for {
		if err := x.well(ctx); err != nil {
			return "", err
		}
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-end.C:
			return fmt.Sprintf("well for %s", x.rel.Stack.Guard), x.well(ctx)
		case _, open := <-events:
			if !open {
				events = nil
			}
		case <-look.C:
		}
	}
}

// well compares the containers with what they were at the cutover.
func (x *run) well(ctx context.Context) error {
	for _, was := range x.containers {
		svc, _ := x.rel.Stack.Service(was.Owner.Service)
		now, err := x.Engine.Inspect(ctx, was.ID)
		if errors.Is(err, ErrUnreachable) {
			return nil // nothing is known, and nobody could swing back by it
		}
		if err != nil {
			return fmt.Errorf("look at container %s: %w", was.Name, err)
		}
		switch {
		case !now.Running || now.Restarts > was.Restarts || !now.StartedAt.Equal(was.StartedAt):
			x.tailLog(ctx, was)
			return fmt.Errorf("%s: %s after the cutover", called(svc, was), ending(now))
		case now.Health == "unhealthy":
			x.tailLog(ctx, was)
			return fmt.Errorf("%s: turned unhealthy after the cutover", called(svc, was))
		}
	}
	return nil
}
