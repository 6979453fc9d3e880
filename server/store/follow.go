package store

import (
	"context"
	"fmt"

	"github.com/swingbridge/swingbridge/pipeline"
)

// follow does what the verdicts ask for.
func (s *Store) follow(ctx context.Context, t *tx, d pipeline.Delivery, verdicts []pipeline.Verdict, standing []pipeline.Standing) ([]pipeline.Verdict, error) {
	apps := make(map[string]pipeline.App, len(standing))
	for _, st := range standing {
		apps[st.App.ID] = st.App
	}
	out := make([]pipeline.Verdict, 0, len(verdicts))
	for _, v := range verdicts {
		var err error
		switch {
		case v.Queue != nil:
			v, err = s.followQueue(ctx, t, d, v, apps)
		case v.SwingBack:
			v, err = s.followSwingBack(ctx, t, d, v)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func (s *Store) followQueue(ctx context.Context, t *tx, d pipeline.Delivery, v pipeline.Verdict, apps map[string]pipeline.App) (pipeline.Verdict, error) {
	n := *v.Queue
	if n.AppID == "" {
		n.AppID = v.AppID
	}
	if n.DeliveryID == "" {
		n.DeliveryID = d.ID
	}
	app, is := apps[n.AppID]
	if !is {
		return v, fmt.Errorf("%w: app %q does not follow the repository", pipeline.ErrInvalid, n.AppID)
	}
	queued, err := s.queue(ctx, t, app, n)
	if err != nil {
		return v, fmt.Errorf("queue for app %s: %w", app.Name, err)
	}
	v.App, v.AppID, v.DeploymentID, v.Queue = app.Name, app.ID, queued.ID, nil
	// What was asked for by hand need not be the head: taken for it, the next
	// look at the branch would find news and undo what was asked.
	switch {
	case n.Trigger.Automatic():
		return v, setSeenHead(ctx, t, app.ID, n.Commit)
	case n.Trigger == pipeline.Rollback:
		return v, s.auditAsked(ctx, t, d, v, "deployment.rollback")
	}
	return v, s.auditAsked(ctx, t, d, v, "deployment.create")
}

// followSwingBack cancels the run of what is being watched. That always has a
// job; were it not so, an error says that nothing was done.
func (s *Store) followSwingBack(ctx context.Context, t *tx, d pipeline.Delivery, v pipeline.Verdict) (pipeline.Verdict, error) {
	told, err := s.cancel(ctx, t, v.DeploymentID, pipeline.ErrRollBack)
	if err != nil {
		return v, err
	}
	if !told {
		return v, fmt.Errorf("deployment %s is watched by nobody: %w", v.DeploymentID, pipeline.ErrConflict)
	}
	t.changed(Change{App: v.App, AppID: v.AppID, Deployment: v.DeploymentID, Canceled: true})
	v.SwingBack = false
	return v, s.auditAsked(ctx, t, d, v, "deployment.swing_back")
}

// auditAsked notes what someone asked for on GitHub, as if it had been asked for
// here. A push is no such thing: it is in the list of deliveries.
func (s *Store) auditAsked(ctx context.Context, t *tx, d pipeline.Delivery, v pipeline.Verdict, action string) error {
	err := s.addAudit(ctx, t, pipeline.AuditEntry{
		Actor: d.Sender, Action: action, App: v.App, Target: v.DeploymentID, Detail: "on GitHub, delivery " + d.ID,
	})
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}
