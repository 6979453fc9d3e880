package pipelinetest

import (
	"cmp"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Behavior is how containers of a commit behave.
type Behavior struct {
	BuildError error
	BuildTime  time.Duration // how long the build takes
	ExitCode   int           // with ExitAfter > 0: how it ends
	ExitAfter  time.Duration // since its start; 0: it runs on
	Status     int           // of its answers, default 200
	Output     string        // what its log says
	Lingers    time.Duration // after its stop signal, also if nobody waits any more
	Health     string        // of containers with a check, default healthy
	UpAfter    time.Duration // since its start; until then its check says starting
}

// Behave says how containers of a commit, or kept ones of an image ID, behave
// from now on.
func (e *Engine) Behave(sha string, b Behavior) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	e.apps[sha] = b
}

// BehaveAs says it of one service only, or of "release", the release command,
// which ends well by itself after a second otherwise.
func (e *Engine) BehaveAs(sha, service string, b Behavior) { e.Behave(sha+" "+service, b) }

func (e *Engine) behaviorOf(o pipeline.ContainerOrder) Behavior {
	service := o.Owner.Service
	if o.Purpose != "" {
		service, _, _ = strings.Cut(o.Purpose, "-")
	}
	b, ok := e.apps[o.Owner.Commit+" "+service]
	switch {
	case !ok && o.Purpose != "":
		return Behavior{ExitAfter: time.Second}
	case !ok:
		return e.apps[cmp.Or(o.Owner.Commit, o.Image)]
	}
	return b
}

// now is the container as its behavior has made it by this time.
func (c *container) now() pipeline.Container {
	out := c.Container
	if out.HasCheck && out.Running {
		out.Health = cmp.Or(c.behavior.Health, "healthy")
		if time.Since(out.StartedAt) < c.behavior.UpAfter {
			out.Health = "starting"
		}
	}
	if out.Running && c.behavior.ExitAfter > 0 && time.Since(out.StartedAt) >= c.behavior.ExitAfter {
		out.Running, out.Status, out.ExitCode = false, "exited", c.behavior.ExitCode
	}
	if out.Running && !c.ends.IsZero() && !time.Now().Before(c.ends) {
		out.Running, out.Status = false, "exited"
	}
	return out
}
