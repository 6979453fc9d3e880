package store

import (
	"context"
	"fmt"

	"github.com/swingbridge/swingbridge/pipeline"
)

const selectNewerQueued = `select count(*) from deployments where state = 'queued'
	and trigger in ('push', 'poll') and id > $1 and app_id = (select app_id from deployments where id = $1)`

// NewerQueued reports whether a newer automatic deployment of the same app
// waits.
func (s *Store) NewerQueued(ctx context.Context, deployment string) (bool, error) {
	var n int
	err := s.db.Read.QueryRowContext(ctx, selectNewerQueued, deployment).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look for a newer deployment: %w", err)
	}
	return n > 0, nil
}

// QueueHead queues the commit for the app as an automatic deployment unless one
// of that commit is queued, running, live or stuck. Either way the head counts
// as seen. The audit log tells because.
func (s *Store) QueueHead(ctx context.Context, appID, commit, because string) (queued bool, err error) {
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		app, err := findApp(ctx, t, "id", appID)
		if err != nil {
			return err
		}
		if err := setSeenHead(ctx, t, appID, commit); err != nil {
			return err
		}
		open, err := openDeployments(ctx, t, appID)
		if err != nil {
			return err
		}
		for _, d := range open {
			if d.Commit == commit {
				return nil
			}
		}
		d, err := s.queue(ctx, t, app, pipeline.NewDeployment{
			AppID: appID, Commit: commit, Trigger: pipeline.Poll, Actor: "swingbridge",
		})
		if err != nil {
			return err
		}
		queued = true
		return s.addAudit(ctx, t, pipeline.AuditEntry{
			Actor: "swingbridge", Action: "deployment.queue", App: app.Name, Target: d.ID, Detail: because,
		})
	})
	if err != nil {
		return false, fmt.Errorf("queue head: %w", err)
	}
	return queued, nil
}

// SetSubject writes what the deployment's commit is called.
func (s *Store) SetSubject(ctx context.Context, deployment, subject string) error {
	return s.updateOne(ctx, "deployment "+deployment, `update deployments set subject = $1 where id = $2`, subject, deployment)
}

// SeenHead is the branch head that was last acted on, empty if none was.
func (s *Store) SeenHead(ctx context.Context, appID string) (string, error) {
	var sha string
	err := s.db.Read.QueryRowContext(ctx, `select seen_head from apps where id = $1`, appID).Scan(&sha)
	return sha, found(err, "app %s", appID)
}

// SetSeenHead remembers the branch head that was acted on.
func (s *Store) SetSeenHead(ctx context.Context, appID, sha string) error {
	return s.updateOne(ctx, "app "+appID, `update apps set seen_head = $1 where id = $2`, sha, appID)
}

func setSeenHead(ctx context.Context, t *tx, appID, sha string) error {
	if sha == "" {
		return nil
	}
	if _, err := t.ExecContext(ctx, `update apps set seen_head = $1 where id = $2`, sha, appID); err != nil {
		return fmt.Errorf("remember seen head: %w", err)
	}
	return nil
}

// updateOne runs a statement that must change a row; what names it.
func (s *Store) updateOne(ctx context.Context, what, query string, args ...any) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.affected(ctx, query, args...)
		if err == nil && n == 0 {
			err = pipeline.ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("update %s: %w", what, err)
	}
	return nil
}
