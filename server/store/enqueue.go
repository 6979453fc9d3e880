package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/swingbridge/swingbridge/pipeline"
)

// QueueDeployment adds a deployment with its job and its outbox rows. An
// automatic one takes the place of older automatic ones that still wait.
//
// The job is held back while the app has a stuck deployment, that of an
// automatic deployment also while the app is paused; both let go by themselves
// when the app is resumed or the stuck deployment resolved.
func (s *Store) QueueDeployment(ctx context.Context, n pipeline.NewDeployment) (d pipeline.Deployment, err error) {
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		app, err := findApp(ctx, t, "id", n.AppID)
		if err != nil {
			return err
		}
		if n.AtHead {
			if err := seeHead(ctx, t, n.AppID, n.HeadWas, n.Commit); err != nil {
				return err
			}
		}
		d, err = s.queue(ctx, t, app, n)
		return err
	})
	if err != nil {
		return pipeline.Deployment{}, fmt.Errorf("queue deployment: %w", err)
	}
	return d, nil
}

func (s *Store) queue(ctx context.Context, t *tx, app pipeline.App, n pipeline.NewDeployment) (pipeline.Deployment, error) {
	d, err := s.insertDeployment(ctx, t, app, n)
	if err != nil {
		return pipeline.Deployment{}, err
	}
	if err := s.insertReports(ctx, t, app, d.ID); err != nil {
		return pipeline.Deployment{}, err
	}
	if d.Trigger.Automatic() {
		if err := s.supersedeOlder(ctx, t, d); err != nil {
			return pipeline.Deployment{}, err
		}
	}
	held, err := isHeld(ctx, t, app, d.Trigger)
	if err != nil {
		return pipeline.Deployment{}, err
	}
	if !held {
		if err := s.enqueue(ctx, t, d); err != nil {
			return pipeline.Deployment{}, err
		}
	}
	t.changed(Change{App: app.Name, AppID: app.ID, Deployment: d.ID, State: d.State, Queued: !held})
	return d, nil
}

func (s *Store) insertDeployment(ctx context.Context, t *tx, app pipeline.App, n pipeline.NewDeployment) (pipeline.Deployment, error) {
	d := pipeline.Deployment{
		AppID: app.ID, AppName: app.Name, Commit: n.Commit, Subject: n.Subject, Trigger: n.Trigger, Actor: n.Actor,
		DeliveryID: n.DeliveryID, State: pipeline.Queued, ReleaseID: n.ReleaseID, CreatedAt: s.now(),
	}
	if d.Trigger == "" {
		return d, fmt.Errorf("%w deployment: it has no trigger", pipeline.ErrInvalid)
	}
	var release any
	if n.ReleaseID != "" {
		release = n.ReleaseID
		var commit string
		err := t.QueryRowContext(ctx, `select commit_sha from releases where id = $1 and app_id = $2`, n.ReleaseID, app.ID).Scan(&commit)
		if err != nil {
			return d, found(err, "release %s of app %s", n.ReleaseID, app.Name)
		}
		if d.Commit == "" {
			d.Commit = commit
		}
	}
	id, err := s.newID(ctx, t, "deployments")
	if err != nil {
		return d, err
	}
	d.ID = id
	_, err = t.ExecContext(ctx, `insert into deployments
		(id, app_id, commit_sha, subject, trigger, actor, delivery_id, state, release_id, created_at)
		values (`+places(1, 10)+`)`,
		d.ID, d.AppID, d.Commit, d.Subject, string(d.Trigger), d.Actor, d.DeliveryID, string(d.State), release, micros(d.CreatedAt))
	if err != nil {
		return d, fmt.Errorf("insert deployment: %w", err)
	}
	return d, nil
}

func (s *Store) insertReports(ctx context.Context, t *tx, app pipeline.App, deployment string) error {
	if s.o.Reports == nil {
		return nil
	}
	for _, target := range s.o.Reports(app) {
		_, err := t.ExecContext(ctx, `insert into reports (deployment_id, target) values ($1, $2)`, deployment, string(target))
		if err != nil {
			return fmt.Errorf("insert report: %w", err)
		}
	}
	return nil
}

const selectOlderQueued = `select id from deployments where app_id = $1 and state = 'queued'
	and trigger in ('push', 'poll') and id < $2 order by id`

// supersedeOlder ends the automatic deployments of the app that wait behind d.
func (s *Store) supersedeOlder(ctx context.Context, t *tx, d pipeline.Deployment) error {
	older, err := collect(ctx, t, scanString, selectOlderQueued, d.AppID, d.ID)
	if err != nil {
		return fmt.Errorf("read older queued deployments: %w", err)
	}
	newer := "the branch head"
	if d.Commit != "" {
		newer = "commit " + pipeline.Short(d.Commit)
	}
	for _, id := range older {
		m := pipeline.Move{
			Deployment: id, From: pipeline.Queued, To: pipeline.Superseded,
			Reason: "superseded by the newer " + newer + " before it began", At: d.CreatedAt,
		}
		if err := s.move(ctx, t, m); err != nil {
			return fmt.Errorf("supersede %s: %w", id, err)
		}
	}
	return nil
}

const selectStuck = `select count(*) from deployments where app_id = $1 and state = 'stuck'`

// isHeld reports whether a deployment of the app must not begin by itself.
func isHeld(ctx context.Context, q querier, app pipeline.App, trigger pipeline.Trigger) (bool, error) {
	if app.Paused && trigger.Automatic() {
		return true, nil
	}
	var stuck int
	err := q.QueryRowContext(ctx, selectStuck, app.ID).Scan(&stuck)
	if err != nil {
		return false, fmt.Errorf("look for a stuck deployment: %w", err)
	}
	return stuck > 0, nil
}

// settleQueueOf is settleQueue by id; of a removed app nothing waits.
func (s *Store) settleQueueOf(ctx context.Context, t *tx, appID string) error {
	apps, err := collect(ctx, t, scanApp, `select `+appColumns+` from apps where id = $1 and removed_at = 0`, appID)
	if err != nil {
		return fmt.Errorf("read app: %w", err)
	}
	for _, app := range apps {
		if err := s.settleQueue(ctx, t, app); err != nil {
			return err
		}
	}
	return nil
}

const whereQueued = `where d.app_id = $1 and d.state = 'queued' order by d.id`

// settleQueue gives the app's queued deployments their jobs, or takes them
// away, as the app stands now. A job that is there is replaced: whether one is
// there is the queue's to know.
func (s *Store) settleQueue(ctx context.Context, t *tx, app pipeline.App) error {
	queued, err := collect(ctx, t, scanDeployment, selectDeployment+whereQueued, app.ID)
	if err != nil {
		return fmt.Errorf("read queued deployments: %w", err)
	}
	for _, d := range queued {
		held, err := isHeld(ctx, t, app, d.Trigger)
		if err != nil {
			return err
		}
		if err := s.dequeue(ctx, t, d.ID); err != nil {
			return err
		}
		if held {
			continue
		}
		if err := s.enqueue(ctx, t, d); err != nil {
			return err
		}
		t.changed(Change{App: app.Name, AppID: app.ID, Deployment: d.ID, State: d.State, Queued: true})
	}
	return nil
}

// Rejoin gives every deployment that is not over its job, where it has lost it:
// none may wait or run for ever because nothing takes it up. Call it at start.
func (s *Store) Rejoin(ctx context.Context) error {
	return s.write(ctx, func(ctx context.Context, t *tx) error {
		apps, err := collect(ctx, t, scanApp, `select `+appColumns+` from apps where removed_at = 0`)
		if err != nil {
			return fmt.Errorf("read apps: %w", err)
		}
		for _, app := range apps {
			open, err := openDeployments(ctx, t, app.ID)
			if err != nil {
				return err
			}
			for _, d := range slices.Backward(open) {
				held := d.State == pipeline.Live || d.State == pipeline.Stuck
				if d.State == pipeline.Queued {
					if held, err = isHeld(ctx, t, app, d.Trigger); err != nil {
						return err
					}
				}
				if held {
					continue
				}
				if err := s.enqueue(ctx, t, d); err != nil { // one that has a job keeps it
					return err
				}
			}
		}
		return nil
	})
}

func (s *Store) enqueue(ctx context.Context, t *tx, d pipeline.Deployment) error {
	if s.o.Enqueue == nil {
		return nil
	}
	if err := s.o.Enqueue(ctx, t.Tx, d); err != nil {
		return fmt.Errorf("insert job: %w", err)
	}
	return nil
}

func (s *Store) dequeue(ctx context.Context, t *tx, deployment string) error {
	if s.o.Dequeue == nil {
		return nil
	}
	if err := s.o.Dequeue(ctx, t.Tx, deployment); err != nil {
		return fmt.Errorf("remove job: %w", err)
	}
	return nil
}

// notCanceled is the cause with which the job of a deployment was canceled.
// Whoever did that was answered that it will end: what its run has not heard
// of yet is decided by the order of the transactions.
func (s *Store) notCanceled(ctx context.Context, t *tx, deployment string) error {
	if s.o.Canceled == nil {
		return nil
	}
	text, err := s.o.Canceled(ctx, t.Tx, deployment)
	switch {
	case err != nil:
		return fmt.Errorf("look for a cancel: %w", err)
	case text == "":
		return nil
	case text == pipeline.ErrRollBack.Error():
		return pipeline.ErrRollBack
	}
	return pipeline.ErrCanceled
}

func (s *Store) cancel(ctx context.Context, t *tx, deployment string, cause error) (bool, error) {
	if s.o.Cancel == nil {
		return false, nil
	}
	told, err := s.o.Cancel(ctx, t.Tx, deployment, cause)
	if err != nil {
		return false, fmt.Errorf("cancel job: %w", err)
	}
	return told, nil
}
