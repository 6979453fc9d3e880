package command

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// removeBudget bounds the ending of an app's containers.
const removeBudget = 2 * time.Minute

// CreateApp adds an app. Nothing is deployed until its branch moves or someone
// asks.
func (c *Commands) CreateApp(ctx context.Context, by pipeline.Actor, a pipeline.App) (pipeline.App, error) {
	if a.Branch == "" {
		a.Branch = "main"
	}
	out, err := c.o.Apps.CreateApp(ctx, a)
	if err != nil {
		return pipeline.App{}, fmt.Errorf("add app %s: %w", a.Name, err)
	}
	c.o.Added(out)
	detail := out.Repo + " " + out.Branch
	if allowed := allowance(nil, out.Allow); allowed != "" {
		detail += ", " + allowed
	}
	return out, c.audit(ctx, by, pipeline.AuditEntry{Action: "app.create", App: out.Name, Target: out.ID, Detail: detail})
}

// UpdateApp changes an app. Routes take effect with its next deployment.
func (c *Commands) UpdateApp(ctx context.Context, by pipeline.Actor, a pipeline.App) (pipeline.App, error) {
	was, err := c.o.Deployments.AppByID(ctx, a.ID)
	if err != nil {
		return pipeline.App{}, fmt.Errorf("change app %s: %w", a.Name, err)
	}
	out, err := c.o.Apps.UpdateApp(ctx, a)
	if err != nil {
		return pipeline.App{}, fmt.Errorf("change app %s: %w", a.Name, err)
	}
	c.o.Added(out)
	return out, c.audit(ctx, by, pipeline.AuditEntry{
		Action: "app.update", App: out.Name, Target: out.ID, Detail: allowance(was.Allow, out.Allow),
	})
}

// allowance says which permissions came and went, "" for none.
func allowance(was, is []string) string {
	var parts []string
	for _, p := range is {
		if !slices.Contains(was, p) {
			parts = append(parts, "allowed "+p)
		}
	}
	for _, p := range was {
		if !slices.Contains(is, p) {
			parts = append(parts, "no longer allowed "+p)
		}
	}
	return strings.Join(parts, ", ")
}

// RemoveApp cancels what runs, takes the app out of the proxy, lets open
// requests end and removes containers, networks and images. Volumes, the data
// folder and the history stay.
func (c *Commands) RemoveApp(ctx context.Context, by pipeline.Actor, name string) error {
	a, err := c.o.Apps.AppByName(ctx, name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeBudget)
	defer cancel()
	if err := c.endAll(ctx, a); err != nil {
		return err
	}
	if err := c.o.Proxy.Drop(ctx, a.ID); err != nil {
		return fmt.Errorf("take %s out of the proxy: %w", name, err)
	}
	if err := c.drained(ctx, a); err != nil {
		return err
	}
	// Until the app is off the list it is live, and reconciling would make again
	// what is removed here.
	done, err := c.o.Turn(ctx, a.ID)
	if err != nil {
		return fmt.Errorf("wait for who is busy with %s: %w", name, err)
	}
	defer done()
	if err := c.o.RemoveThings(ctx, a); err != nil {
		return fmt.Errorf("remove what %s runs: %w", name, err)
	}
	// While requests ended, reconciling may have found a live app without
	// routes; now that its containers are gone it can no longer.
	if err := c.o.Proxy.Drop(ctx, a.ID); err != nil {
		return fmt.Errorf("take %s out of the proxy: %w", name, err)
	}
	if err := c.o.Apps.RemoveApp(ctx, a.ID); err != nil {
		return fmt.Errorf("remove app %s: %w", name, err)
	}
	return c.audit(ctx, by, pipeline.AuditEntry{Action: "app.remove", App: a.Name, Target: a.ID})
}

// endAll cancels every queued and running deployment of the app and waits for
// their end.
func (c *Commands) endAll(ctx context.Context, a pipeline.App) error {
	q := pipeline.DeploymentQuery{AppID: a.ID, Page: pipeline.Page{Limit: 200}, States: []pipeline.State{
		pipeline.Queued, pipeline.Running, pipeline.CuttingOver, pipeline.Watching,
	}}
	for {
		open, err := c.o.Deployments.Deployments(ctx, q)
		if err != nil {
			return fmt.Errorf("list deployments of %s: %w", a.Name, err)
		}
		if len(open) == 0 {
			return nil
		}
		for _, d := range open {
			if _, err := c.cancelOne(ctx, d); err != nil && !errors.Is(err, pipeline.ErrConflict) {
				return err
			}
		}
		if err := pauseFor(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("wait for the deployments of %s to end: %w", a.Name, err)
		}
	}
}

// drained waits for the open requests of an app that is out of the table.
func (c *Commands) drained(ctx context.Context, a pipeline.App) error {
	live, err := c.o.Deployments.LiveDeployment(ctx, a.ID)
	if errors.Is(err, pipeline.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read live deployment of %s: %w", a.Name, err)
	}
	for until := c.o.Now().Add(30 * time.Second); c.o.Now().Before(until); {
		n, err := c.o.Proxy.Inflight(ctx, live.StackID())
		if err != nil {
			return fmt.Errorf("count open requests of %s: %w", a.Name, err)
		}
		if n == 0 {
			return nil
		}
		if err := pauseFor(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// SetEnv sets a variable of the app's environment; the next deployment has it.
func (c *Commands) SetEnv(ctx context.Context, by pipeline.Actor, app, name, value string) (int64, error) {
	a, err := c.o.Apps.AppByName(ctx, app)
	if err != nil {
		return 0, err
	}
	if !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`).MatchString(name) {
		return 0, fmt.Errorf("%w variable name %q: use letters, digits and _, not beginning with a digit", pipeline.ErrInvalid, name)
	}
	if len(value) > 64<<10 || strings.ContainsRune(value, 0) {
		return 0, fmt.Errorf("%w value of %s: at most 64 KiB, without NUL bytes", pipeline.ErrInvalid, name)
	}
	version, err := c.o.Environments.SetEnv(ctx, a.ID, name, value)
	if err != nil {
		return 0, fmt.Errorf("set %s: %w", name, err)
	}
	return version, c.audit(ctx, by, pipeline.AuditEntry{Action: "env.set", App: app, Target: name, Detail: fmt.Sprintf("version %d", version)})
}

// UnsetEnv removes a variable from the app's environment.
func (c *Commands) UnsetEnv(ctx context.Context, by pipeline.Actor, app, name string) (int64, error) {
	a, err := c.o.Apps.AppByName(ctx, app)
	if err != nil {
		return 0, err
	}
	version, err := c.o.Environments.UnsetEnv(ctx, a.ID, name)
	if err != nil {
		return 0, fmt.Errorf("unset %s: %w", name, err)
	}
	return version, c.audit(ctx, by, pipeline.AuditEntry{Action: "env.unset", App: app, Target: name, Detail: fmt.Sprintf("version %d", version)})
}

func pauseFor(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
