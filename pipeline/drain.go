package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	drainPause   = 20 * time.Millisecond
	leavingPause = 250 * time.Millisecond
	drainDefault = 30 * time.Second
	// streamsWithin is the most of a drain's end over which streams are closed.
	streamsWithin = 10 * time.Second
)

// drain waits until nothing is open on the colors that visitors have left, or
// until the limit counted from the cutover. In-flight requests are counted by
// the proxy, so this is seen, not slept.
func (x *run) drain(ctx context.Context) (string, error) {
	leaving, err := x.insistLeaving(ctx)
	if err != nil {
		return "", err
	}
	if len(leaving) == 0 {
		return "", Skip("no other color runs")
	}
	longest := x.longestDrain(ctx, leaving)
	open, err := x.waitDrained(ctx, leaving, x.cutAt.Add(longest), longest)
	if err != nil {
		return "", err
	}
	x.drained = leaving
	if open > 0 {
		return fmt.Sprintf("%d request(s) still open at the limit of %s", open, longest), nil
	}
	return "nothing open on " + string(x.dep.Color.Other()), nil
}

// insistLeaving asks who is left until that is known, or until the limit: not
// to know is no reason to cut what visitors have open.
func (x *run) insistLeaving(ctx context.Context) ([]string, error) {
	limit := x.cutAt.Add(drainLimit(x.liveRel))
	for {
		leaving, err := x.leaving(ctx)
		if err == nil || ctx.Err() != nil || !x.Now().Before(limit) {
			return leaving, err
		}
		if over := sleep(ctx, leavingPause); over != nil {
			return nil, errors.Join(over, err)
		}
	}
}

func (x *run) longestDrain(ctx context.Context, deployments []string) (longest time.Duration) {
	for _, id := range deployments {
		longest = max(longest, x.drainOf(ctx, id))
	}
	return longest
}

// drainOf is what the deployment's own release allows: after an interruption
// x.live may be this deployment already.
func (x *run) drainOf(ctx context.Context, id string) time.Duration {
	d, err := x.Ledger.Deployment(ctx, id)
	if err == nil && d.ReleaseID != "" {
		if rel, err := x.Ledger.Release(ctx, d.ReleaseID); err == nil {
			return drainLimit(rel)
		}
	}
	return drainLimit(x.liveRel)
}

// waitDrained returns how many requests are left open at the limit. Streams
// never end by themselves: they are closed in the last part of the time, one
// after the other, so that who was on them does not come back all at once.
func (x *run) waitDrained(ctx context.Context, deployments []string, limit time.Time, of time.Duration) (int, error) {
	streams := limit.Add(-min(of/3, streamsWithin))
	ended := false
	for {
		n, err := x.inflight(ctx, deployments)
		now := x.Now()
		late := !now.Before(limit)
		switch {
		case err == nil && (n == 0 || late):
			return n, nil
		case err != nil && (late || ctx.Err() != nil):
			return 0, fmt.Errorf("count open requests: %w", err)
		case !ended && !now.Before(streams):
			ended = x.endStreams(ctx, deployments, limit)
		}
		if over := sleep(ctx, drainPause); over != nil {
			return 0, errors.Join(over, err) // whoever did not answer is the reason
		}
	}
}

func (x *run) inflight(ctx context.Context, deployments []string) (sum int, err error) {
	for _, id := range deployments {
		n, err := x.Proxy.Inflight(ctx, id)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// endStreams reports whether the proxy knows of it.
func (x *run) endStreams(ctx context.Context, deployments []string, by time.Time) bool {
	for _, id := range deployments {
		n, err := x.Targets.EndStreams(ctx, id, by)
		if err != nil {
			return false
		}
		if n > 0 {
			x.say("  closing %d stream(s) that are open on it, within %s", n, by.Sub(x.Now()).Round(time.Second))
		}
	}
	return true
}

// leaving are the deployments that visitors have left but that still run: the
// one that was live until the cutover, and what an interruption left of others.
func (x *run) leaving(ctx context.Context) ([]string, error) {
	others, err := x.others(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, c := range others {
		out = append(out, c.Owner.Deployment)
	}
	if x.live.ID != "" && x.live.ID != x.dep.ID {
		out = append(out, x.live.StackID())
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// others lists the app's containers that belong to deployments which are over;
// kept services' belong to none. One that serves or runs is left alone, whatever this run thinks.
func (x *run) others(ctx context.Context) ([]Container, error) {
	there, err := x.Engine.List(ctx, Filter{AppID: x.app.ID})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var out []Container
	for _, c := range there {
		if c.Owner.Deployment == "" || c.Owner.Deployment == x.dep.StackID() || c.Owner.Deployment == x.live.StackID() {
			continue
		}
		d, err := x.Ledger.Deployment(ctx, c.Owner.Deployment)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, fmt.Errorf("read deployment of %s: %w", c.Name, err)
		}
		if d.State == Running || d.State.Serves() {
			continue
		}
		left, err := x.goesOn(ctx, c)
		if err != nil {
			return nil, err
		}
		if !left {
			out = append(out, c)
		}
	}
	return out, nil
}

// drainLimit is the longest drain that a service of the release asks for.
func drainLimit(rel Release) time.Duration {
	limit := time.Duration(0)
	for _, svc := range rel.Stack.Services {
		limit = max(limit, svc.Drain)
	}
	if limit == 0 {
		return drainDefault
	}
	return limit
}
