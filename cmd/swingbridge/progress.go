package main

import (
	"fmt"
	"io"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
)

// progress prints a deployment's steps as they end: one plain line each, which
// reads well on a terminal, in a log and aloud.
type progress struct {
	out   io.Writer
	state pipeline.State
	told  map[string]bool
}

func (s *progress) show(d api.Deployment) {
	if s.told == nil {
		s.told = map[string]bool{}
	}
	if !d.State.Ended() {
		s.showState(d.State)
	}
	for _, step := range d.Steps {
		key := fmt.Sprintf("%d/%s", step.Attempt, step.Name)
		if step.State == pipeline.StepRunning || s.told[key] {
			continue
		}
		s.told[key] = true
		took := (time.Duration(step.MS) * time.Millisecond).Round(10 * time.Millisecond)
		text := step.Detail
		if step.Error != "" {
			text = step.Error
		}
		fmt.Fprintf(s.out, "%-9s %-10s %8s  %s\n", step.State, step.Name, took, text)
	}
	s.showState(d.State)
}

func (s *progress) showState(now pipeline.State) {
	if now != s.state {
		s.state = now
		fmt.Fprintf(s.out, "→ %s\n", now)
	}
}
