package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
	"github.com/swingbridge/swingbridge/server/api/client"
)

// await waits until the deployment ended or is stuck, restarts of the server
// included.
func (s *site) await(id string) api.Deployment {
	s.t.Helper()
	end := s.awaitUntil(id, "end", func(d api.Deployment) bool { return d.State.Ended() || d.State == pipeline.Stuck })
	s.t.Logf("%s", timing(end))
	return end
}

func (s *site) awaitUntil(id, what string, held func(api.Deployment) bool) api.Deployment {
	s.t.Helper()
	var d api.Deployment
	s.eventually(fmt.Sprintf("deployment %s: %s", id, what), func() bool {
		now, err := s.api.Deployment(s.t.Context(), id)
		if errors.Is(err, client.ErrUnreachable) {
			return false
		}
		if err != nil {
			s.t.Fatalf("deployment %s: %v", id, err)
		}
		d = now
		return held(d)
	})
	return d
}

// timing is a line about what took how long.
func timing(d api.Deployment) string {
	line := fmt.Sprintf("%s %s %s attempt %d, ms:", d.ID, d.Trigger, d.State, d.Attempt)
	for _, step := range d.Steps {
		line += fmt.Sprintf(" %s %d", step.Name, step.MS)
	}
	return line
}

// awaitStep waits until the step has begun, or the deployment is past it.
func (s *site) awaitStep(id, step string) {
	s.t.Helper()
	s.awaitUntil(id, "step "+step, func(d api.Deployment) bool {
		for _, have := range d.Steps {
			if have.Name == step {
				return true
			}
		}
		return d.State.Ended()
	})
}

func (s *site) mustBe(d api.Deployment, want pipeline.State) api.Deployment {
	s.t.Helper()
	if d.State != want {
		s.t.Fatalf("deployment %s is %s (%s), want %s; its log:\n%s", d.ID, d.State, d.Reason, want, s.logOf(d.ID))
	}
	return d
}

// eventually waits for a condition.
func (s *site) eventually(what string, held func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), ample)
	defer cancel()
	for !held() {
		if pause(ctx) != nil {
			s.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// pause is the time between two looks at a condition: short enough to catch a
// step in the act, long enough to leave the machine to those who are looked at.
func pause(ctx context.Context) error {
	timer := time.NewTimer(30 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
