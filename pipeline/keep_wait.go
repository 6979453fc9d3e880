package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

const (
	// keptMoment is how long a kept service must run to count as started.
	keptMoment = time.Second
	// keptBudget bounds the wait for a kept service, recovery of a database
	// included.
	keptBudget = 5 * time.Minute
	keptPause  = 100 * time.Millisecond
	// keptPatience is how long one that was not touched may be unhealthy.
	keptPatience = 30 * time.Second
)

const serviceHealthy = "service_healthy"

// healthWanted reports whether a service of the stack waits for that one to be
// healthy.
func healthWanted(s stack.Stack, name string) bool {
	for _, svc := range s.Services {
		for _, d := range svc.DependsOn {
			if d.Service == name && d.Condition == serviceHealthy {
				return true
			}
		}
	}
	return false
}

// awaitNeeds waits for the kept services that the service depends on.
func (x *run) awaitNeeds(ctx context.Context, svc stack.Service, now map[string]keptNow) error {
	for _, d := range svc.DependsOn {
		needed, ok := now[d.Service]
		if !ok {
			continue
		}
		needed.healthy = needed.healthy && d.Condition == serviceHealthy
		if _, err := x.awaitKept(ctx, needed); err != nil && !d.Optional {
			return fmt.Errorf("it waits for %s: %w", d.Service, err)
		}
	}
	return nil
}

// settleKept waits for a kept service and gives it what it has while it runs.
func (x *run) settleKept(ctx context.Context, now keptNow) error {
	c, err := x.awaitKept(ctx, now)
	if err != nil {
		return err
	}
	return x.tend(ctx, now.order, c)
}

// awaitKept waits until a kept service runs, and for a moment longer if it was
// just started, and until it is healthy if that is wanted.
func (x *run) awaitKept(ctx context.Context, now keptNow) (Container, error) {
	begun := x.Now()
	for {
		c, err := x.Engine.Inspect(ctx, now.id)
		if err != nil {
			return c, fmt.Errorf("look at container: %w", err)
		}
		well, why := now.look(c, x.Now().Sub(begun))
		switch {
		case well:
			return c, nil
		case why != nil:
			x.tailLog(ctx, c)
			return c, why
		}
		if err := sleep(ctx, keptPause); err != nil {
			return c, err
		}
	}
}

// look judges the container after it was waited for so long: well, not well for
// a reason, or neither yet.
func (k keptNow) look(c Container, waited time.Duration) (well bool, why error) {
	switch {
	case !c.Running:
		if mayEnd(k.order.Service, c) {
			return true, nil
		}
		return false, errors.New(ending(c))
	case k.started && c.Restarts > 0 && waited < keptMoment:
		return false, errors.New(ending(c))
	case !k.healthy:
		return !k.started || waited >= keptMoment, nil
	case !c.HasCheck:
		return false, errors.New("others wait until it is healthy, but it has no health check: give it a healthcheck, or let them wait for service_started")
	case c.Health == "healthy":
		return true, nil
	case c.Health == "unhealthy" && (k.started || waited >= keptPatience):
		return false, errors.New("its health check says that it is unhealthy")
	case waited >= budgetOf(k.order):
		return false, fmt.Errorf("its health check has not become healthy within %s", budgetOf(k.order))
	}
	return false, nil
}

// budgetOf is how long a kept service may take to be healthy: its health check may
// say that it begins slowly.
func budgetOf(o ContainerOrder) time.Duration {
	if h := o.Service.Health; h != nil {
		return keptBudget + h.StartPeriod
	}
	return keptBudget
}

// mayEnd reports whether the container ended as its file lets it: one that is
// not started again prepares something, and is done.
func mayEnd(svc stack.Service, c Container) bool {
	once := svc.Restart == "no" || strings.HasPrefix(svc.Restart, "on-failure")
	return once && !c.Running && c.Status == "exited" && !c.StartedAt.IsZero() && c.ExitCode == 0
}
