package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	drainPause   = 20 * time.Millisecond
	drainDefault = 30 * time.Second
)

// drain waits until nothing is open on the colors that visitors have left, or
// until the limit counted from the cutover. In-flight requests are counted by
// the proxy, so this is seen, not slept.
func (x *run) drain(ctx context.Context) (string, error) {
	leaving, err := x.leaving(ctx)
	if err != nil {
		return "", err
	}
	if len(leaving) == 0 {
		return "", Skip("no other color runs")
	}
	longest, open := time.Duration(0), 0
	for id := range leaving {
		longest = max(longest, x.drainOf(ctx, id))
	}
	limit := x.cutAt.Add(longest)
	for id := range leaving {
		left, err := x.waitDrained(ctx, id, limit)
		if err != nil {
			return "", err
		}
		open += left
	}
	if open > 0 {
		return fmt.Sprintf("%d request(s) still open at the limit of %s", open, longest), nil
	}
	return "nothing open on " + string(x.dep.Color.Other()), nil
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

// waitDrained returns how many requests are left open at the limit.
func (x *run) waitDrained(ctx context.Context, deployment string, limit time.Time) (int, error) {
	for {
		n, err := x.Proxy.Inflight(ctx, deployment)
		late := !x.Now().Before(limit)
		switch {
		case err == nil && (n == 0 || late):
			return n, nil
		case err != nil && (late || ctx.Err() != nil):
			return 0, fmt.Errorf("count open requests: %w", err)
		}
		if ended := sleep(ctx, drainPause); ended != nil {
			return 0, errors.Join(ended, err) // whoever did not answer is the reason
		}
	}
}

// leaving are the deployments that visitors have left but that still run: the
// one that was live until the cutover, and what an interruption left of others.
func (x *run) leaving(ctx context.Context) (map[string]bool, error) {
	others, err := x.others(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, c := range others {
		out[c.Owner.Deployment] = true
	}
	if x.live.ID != "" && x.live.ID != x.dep.ID {
		out[x.live.ID] = true
	}
	return out, nil
}

// others lists the app's containers that belong to deployments which are over.
// One that serves or runs is left alone, whatever this run thinks.
func (x *run) others(ctx context.Context) ([]Container, error) {
	there, err := x.Engine.List(ctx, Filter{AppID: x.app.ID})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var out []Container
	for _, c := range there {
		if c.Owner.Deployment == x.dep.ID || c.Owner.Deployment == x.live.ID {
			continue
		}
		d, err := x.Ledger.Deployment(ctx, c.Owner.Deployment)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, fmt.Errorf("read deployment of %s: %w", c.Name, err)
		}
		if d.State != Running && !d.State.Serves() {
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
