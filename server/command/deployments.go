package command

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Deploy queues a deployment of the commit, or of the branch head where none
// is given.
func (c *Commands) Deploy(ctx context.Context, by pipeline.Actor, app, commit string, t pipeline.Trigger) (pipeline.Deployment, error) {
	a, err := c.o.Apps.AppByName(ctx, app)
	if err != nil {
		return pipeline.Deployment{}, err
	}
	n := pipeline.NewDeployment{AppID: a.ID, Trigger: t, Actor: by.Name, AtHead: commit == ""}
	if n.AtHead {
		// What was seen is read first: a push that comes in between then wins.
		if n.HeadWas, err = c.o.Deployments.SeenHead(ctx, a.ID); err != nil {
			return pipeline.Deployment{}, fmt.Errorf("read the head seen last: %w", err)
		}
		if commit, err = c.o.Source.Head(ctx, a.Repo, a.Branch); err != nil {
			return pipeline.Deployment{}, fmt.Errorf("read the head of %s: %w", a.Branch, err)
		}
	}
	commit = strings.ToLower(commit)
	if !regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`).MatchString(commit) {
		return pipeline.Deployment{}, fmt.Errorf("%w commit %q: give the full id of 40 hexadecimal digits", pipeline.ErrInvalid, commit)
	}
	n.Commit = commit
	d, err := c.o.Deployments.QueueDeployment(ctx, n)
	if err != nil {
		return pipeline.Deployment{}, fmt.Errorf("queue %s: %w", pipeline.Short(commit), err)
	}
	return d, c.audit(ctx, by, pipeline.AuditEntry{Action: "deployment.create", App: a.Name, Target: d.ID, Detail: string(t) + " " + commit})
}

// Rollback queues a deployment of an older release: of the given deployment,
// or of the last good one before the live one. While the live one is still
// being watched, going back to the one before it is its own run's business.
func (c *Commands) Rollback(ctx context.Context, by pipeline.Actor, app, to string) (pipeline.Deployment, error) {
	a, err := c.o.Apps.AppByName(ctx, app)
	if err != nil {
		return pipeline.Deployment{}, err
	}
	if to == "" {
		d, done, err := c.swingBack(ctx, by, a)
		if done || err != nil {
			return d, err
		}
	}
	target, err := c.rollbackTarget(ctx, a, to)
	if err != nil {
		return pipeline.Deployment{}, err
	}
	d, err := c.o.Deployments.QueueDeployment(ctx, pipeline.NewDeployment{
		AppID: a.ID, Commit: target.Commit, Subject: target.Subject, Trigger: pipeline.Rollback, Actor: by.Name, ReleaseID: target.ReleaseID,
	})
	if err != nil {
		return pipeline.Deployment{}, fmt.Errorf("queue the rollback: %w", err)
	}
	return d, c.audit(ctx, by, pipeline.AuditEntry{Action: "deployment.rollback", App: a.Name, Target: d.ID, Detail: "to " + target.ID})
}

// swingBack tells the run of a deployment that is being watched to go back.
func (c *Commands) swingBack(ctx context.Context, by pipeline.Actor, a pipeline.App) (pipeline.Deployment, bool, error) {
	watched, err := c.o.Deployments.Deployments(ctx, pipeline.DeploymentQuery{AppID: a.ID, States: []pipeline.State{pipeline.Watching}})
	if err != nil || len(watched) == 0 {
		return pipeline.Deployment{}, false, err
	}
	d := watched[0]
	told, err := c.tell(ctx, d.ID, pipeline.ErrRollBack)
	if err != nil || !told {
		return pipeline.Deployment{}, false, err
	}
	return d, true, c.audit(ctx, by, pipeline.AuditEntry{Action: "deployment.swing_back", App: a.Name, Target: d.ID})
}

// tell ends the run of a deployment with the cause. False means that nothing
// comes of it: there is no run, or it was accepted before the run was told, and
// only tidies up. One that is told while it is watched is never accepted.
func (c *Commands) tell(ctx context.Context, id string, cause error) (bool, error) {
	told, err := c.o.Jobs.Cancel(ctx, id, cause)
	if err != nil || !told {
		return false, err
	}
	d, err := c.o.Deployments.Deployment(ctx, id)
	return err == nil && d.State != pipeline.Live && d.State != pipeline.Retired, err
}

// rollbackTarget finds the deployment whose release is to run again.
func (c *Commands) rollbackTarget(ctx context.Context, a pipeline.App, to string) (pipeline.Deployment, error) {
	if to != "" {
		d, err := c.o.Deployments.Deployment(ctx, to)
		if err != nil {
			return pipeline.Deployment{}, err
		}
		if d.AppID != a.ID {
			return pipeline.Deployment{}, fmt.Errorf("deployment %s of app %s: %w", to, a.Name, pipeline.ErrNotFound)
		}
		if d.ReleaseID == "" || d.LiveAt.IsZero() {
			return pipeline.Deployment{}, fmt.Errorf("%w target %s: it never served visitors", pipeline.ErrInvalid, to)
		}
		return d, nil
	}
	d, err := c.o.Deployments.LastGood(ctx, a.ID)
	if errors.Is(err, pipeline.ErrNotFound) {
		return d, fmt.Errorf("%w: app %s has no earlier release to go back to", pipeline.ErrConflict, a.Name)
	}
	return d, err
}

// Cancel ends a deployment: a queued one at once, a running one after undoing
// what it did, one that is being watched by swinging back. ErrConflict where it
// is over or live: away from a live one leads Rollback.
func (c *Commands) Cancel(ctx context.Context, by pipeline.Actor, id string) (pipeline.Deployment, error) {
	d, err := c.o.Deployments.Deployment(ctx, id)
	if err != nil {
		return pipeline.Deployment{}, err
	}
	if d, err = c.cancelOne(ctx, d); err != nil {
		return d, err
	}
	return d, c.audit(ctx, by, pipeline.AuditEntry{Action: "deployment.cancel", App: d.AppName, Target: id})
}

func (c *Commands) cancelOne(ctx context.Context, d pipeline.Deployment) (pipeline.Deployment, error) {
	done, err := c.o.Deployments.CancelQueued(ctx, d.ID, pipeline.ErrCanceled.Error())
	if err == nil && !done && d.State != pipeline.Live {
		done, err = c.tell(ctx, d.ID, pipeline.ErrCanceled)
	}
	if err != nil {
		return d, fmt.Errorf("cancel %s: %w", d.ID, err)
	}
	now, err := c.o.Deployments.Deployment(ctx, d.ID)
	if err == nil && !done {
		return now, fmt.Errorf("%w: deployment %s is %s, there is nothing to cancel", pipeline.ErrConflict, now.ID, now.State)
	}
	return now, err
}

// Resolve writes a person's decision about a stuck deployment. Traffic and
// containers follow by reconciling.
func (c *Commands) Resolve(ctx context.Context, by pipeline.Actor, id string, as pipeline.State) (pipeline.Deployment, error) {
	d, err := c.o.Deployments.Deployment(ctx, id)
	if err != nil {
		return pipeline.Deployment{}, err
	}
	if d.State != pipeline.Stuck {
		return d, fmt.Errorf("%w: deployment %s is %s, not stuck", pipeline.ErrConflict, id, d.State)
	}
	if !d.State.CanBecome(as) {
		return d, fmt.Errorf("%w decision %q: say live, rolled_back or failed", pipeline.ErrInvalid, as)
	}
	if err := c.o.Deployments.Resolve(ctx, id, as, "decided by "+by.Name); err != nil {
		return d, fmt.Errorf("resolve %s: %w", id, err)
	}
	if err := c.audit(ctx, by, pipeline.AuditEntry{Action: "deployment.resolve", App: d.AppName, Target: id, Detail: string(as)}); err != nil {
		return d, err
	}
	return c.o.Deployments.Deployment(ctx, id)
}

// Replay decides once more about a delivery that was stored, as if GitHub had
// sent it again under a new id.
func (c *Commands) Replay(ctx context.Context, by pipeline.Actor, delivery string) (pipeline.Delivery, error) {
	d, err := c.o.Replayer.Replay(ctx, delivery)
	if err != nil {
		return pipeline.Delivery{}, fmt.Errorf("replay %s: %w", delivery, err)
	}
	return d, c.audit(ctx, by, pipeline.AuditEntry{Action: "delivery.replay", Target: delivery, Detail: string(d.Outcome)})
}
