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

// QueueHead queues the head for the app as an automatic deployment, unless the
// app ends at it anyway (endsAt) or another head was seen since h.Was. A head
// that was queued, or that was looked for with h.Was, counts as seen. The audit
// log tells h.Because.
func (s *Store) QueueHead(ctx context.Context, h pipeline.Head) (queued bool, err error) {
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		app, err := findApp(ctx, t, "id", h.AppID)
		if err != nil {
			return err
		}
		if news, err := noteHead(ctx, t, h); err != nil || !news {
			return err
		}
		open, err := openDeployments(ctx, t, h.AppID)
		if err != nil || endsAt(open, h) {
			return err
		}
		if err := setSeenHead(ctx, t, h.AppID, h.Commit); err != nil {
			return err
		}
		d, err := s.queue(ctx, t, app, pipeline.NewDeployment{
			AppID: h.AppID, Commit: h.Commit, Trigger: pipeline.Poll, Actor: "swingbridge",
		})
		if err != nil {
			return err
		}
		queued = true
		return s.addAudit(ctx, t, pipeline.AuditEntry{
			Actor: "swingbridge", Action: "deployment.queue", App: app.Name, Target: d.ID, Detail: h.Because,
		})
	})
	if err != nil {
		return false, fmt.Errorf("queue head: %w", err)
	}
	return queued, nil
}

// noteHead remembers a head that was looked for and says whether it is news.
func noteHead(ctx context.Context, t *tx, h pipeline.Head) (bool, error) {
	if h.Was == "" {
		return true, nil
	}
	n, err := t.affected(ctx, `update apps set seen_head = $1 where id = $2 and seen_head = $3`, h.Commit, h.AppID, h.Was)
	if err != nil {
		return false, fmt.Errorf("remember seen head: %w", err)
	}
	return n > 0, nil
}

// endsAt reports whether the app ends at the head anyway. open are its
// deployments that are not over, newest first: one that is live is followed by
// those that stand before it. Where an automatic one newer than h.Instead waits,
// a push came in after the head was read, and that one's own fetch decides.
func endsAt(open []pipeline.Deployment, h pipeline.Head) bool {
	before := 0
	for _, d := range open {
		if d.ID == h.Instead {
			continue
		}
		if h.Instead != "" && d.State == pipeline.Queued && d.Trigger.Automatic() && d.ID > h.Instead {
			return true
		}
		if d.Commit == h.Commit && (before == 0 || d.State != pipeline.Live) {
			return true
		}
		before++
	}
	return false
}

// SeenHead is the branch head that was last acted on, empty if none was.
func (s *Store) SeenHead(ctx context.Context, appID string) (string, error) {
	var sha string
	err := s.db.Read.QueryRowContext(ctx, `select seen_head from apps where id = $1`, appID).Scan(&sha)
	return sha, found(err, "app %s", appID)
}

// SetSeenHead remembers the branch head, unless another one than was has been
// seen since.
func (s *Store) SetSeenHead(ctx context.Context, appID, was, sha string) error {
	return s.write(ctx, func(ctx context.Context, t *tx) error { return seeHead(ctx, t, appID, was, sha) })
}

func seeHead(ctx context.Context, t *tx, appID, was, sha string) error {
	_, err := t.affected(ctx, `update apps set seen_head = $1 where id = $2 and seen_head = $3`, sha, appID, was)
	if err != nil {
		return fmt.Errorf("remember seen head of app %s: %w", appID, err)
	}
	return nil
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
