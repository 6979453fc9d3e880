package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Services says what runs of an app now.
func (c *Commands) Services(ctx context.Context, app string) ([]pipeline.ServiceStatus, error) {
	a, there, err := c.containers(ctx, app)
	if err != nil {
		return nil, err
	}
	entry, err := c.o.Proxy.Entry(ctx, a.ID)
	if err != nil && !errors.Is(err, pipeline.ErrNotFound) {
		return nil, fmt.Errorf("ask the proxy: %w", err)
	}
	live, err := c.o.Deployments.LiveDeployment(ctx, a.ID)
	if err != nil && !errors.Is(err, pipeline.ErrNotFound) {
		return nil, fmt.Errorf("read live deployment of %s: %w", app, err)
	}
	out := make([]pipeline.ServiceStatus, 0, len(there))
	for _, k := range there {
		s := pipeline.ServiceStatus{
			Name: k.Owner.Service, Replica: k.Replica, Color: k.Owner.Color, Commit: k.Owner.Commit, Deployment: k.Owner.Deployment,
			Health: k.Health, Status: k.Status, Restarts: k.Restarts, StartedAt: k.StartedAt,
			Live: entry.Deployment != "" && entry.Deployment == k.Owner.Deployment,
		}
		if live.Carries != "" && live.Carries == s.Deployment { // its labels are of who made it
			s.Commit, s.Deployment = live.Commit, live.ID
		}
		out = append(out, s)
	}
	return out, nil
}

// Plan says what a deployment of the commit, or of the branch head, would do.
func (c *Commands) Plan(ctx context.Context, app, commit string) (pipeline.PlanSummary, error) {
	a, err := c.o.Apps.AppByName(ctx, app)
	if err != nil {
		return pipeline.PlanSummary{}, err
	}
	if commit == "" {
		if commit, err = c.o.Source.Head(ctx, a.Repo, a.Branch); err != nil {
			return pipeline.PlanSummary{}, fmt.Errorf("read the head of %s: %w", a.Branch, err)
		}
	}
	tree, err := c.o.Source.Fetch(ctx, a.Repo, a.Branch, commit)
	if err != nil {
		return pipeline.PlanSummary{}, fmt.Errorf("fetch %s: %w", pipeline.Short(commit), err)
	}
	return c.o.Planner.Plan(ctx, a, tree)
}

func (c *Commands) containers(ctx context.Context, app string) (pipeline.App, []pipeline.Container, error) {
	a, err := c.o.Apps.AppByName(ctx, app)
	if err != nil {
		return a, nil, err
	}
	there, err := c.o.Engine.List(ctx, pipeline.Filter{AppID: a.ID})
	if err != nil {
		return a, nil, fmt.Errorf("list containers of %s: %w", app, err)
	}
	return a, there, nil
}
