package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Move changes a deployment's state together with all that follows from it:
// times, the deployment that retires, the outbox, queued jobs. ErrConflict if
// the deployment is not in m.From, or another one of the app is live and does
// not retire; ErrInvalid if m.To never follows m.From; ErrCanceled or
// ErrRollBack if one that is run is to become live and its run was told to end
// before.
func (s *Store) Move(ctx context.Context, m pipeline.Move) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error { return s.move(ctx, t, m) })
	if err != nil {
		return fmt.Errorf("move to %s: %w", m.To, err)
	}
	return nil
}

// Resolve writes a person's decision about a stuck deployment. As live it
// takes the place of the one that was. ErrConflict if it is not stuck.
func (s *Store) Resolve(ctx context.Context, id string, as pipeline.State, reason string) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		m := pipeline.Move{Deployment: id, From: pipeline.Stuck, To: as, Reason: reason, At: s.now()}
		if as == pipeline.Live {
			other, err := liveBeside(ctx, t, id)
			if err != nil {
				return err
			}
			m.Retire = other
		}
		return s.move(ctx, t, m)
	})
	if err != nil {
		return fmt.Errorf("resolve as %s: %w", as, err)
	}
	return nil
}

// liveBeside is the live deployment of the same app, or empty.
func liveBeside(ctx context.Context, q querier, id string) (string, error) {
	ids, err := collect(ctx, q, scanString, `select id from deployments
		where state = 'live' and app_id = (select app_id from deployments where id = $1)`, id)
	if err != nil {
		return "", fmt.Errorf("read live deployment: %w", err)
	}
	if len(ids) == 0 {
		return "", nil
	}
	return ids[0], nil
}

func (s *Store) move(ctx context.Context, t *tx, m pipeline.Move) error {
	if !m.From.CanBecome(m.To) {
		return fmt.Errorf("%w: a deployment that is %s never becomes %s", pipeline.ErrInvalid, m.From, m.To)
	}
	if m.Retire != "" && m.To != pipeline.Live {
		return fmt.Errorf("%w: %s retires only for one that becomes live", pipeline.ErrInvalid, m.Retire)
	}
	if carries := m.From == pipeline.Running && m.To == pipeline.Live; carries != (m.Carries != "") {
		return fmt.Errorf("%w: without a cutover a deployment becomes live only with the stack that is live", pipeline.ErrInvalid)
	}
	if m.At.IsZero() {
		m.At = s.now()
	}
	if m.From != pipeline.Stuck && m.To == pipeline.Live {
		if err := s.notCanceled(ctx, t, m.Deployment); err != nil {
			return err
		}
	}
	if m.Retire != "" {
		if err := s.retire(ctx, t, m); err != nil {
			return err
		}
	}
	if err := setState(ctx, t, m); err != nil {
		return err
	}
	d, err := changedDeployment(ctx, t, m.Deployment)
	if err != nil {
		return err
	}
	if m.From == pipeline.Queued && m.To != pipeline.Running {
		if err := s.dequeue(ctx, t, d.ID); err != nil {
			return err
		}
	}
	if m.From == pipeline.Stuck || m.To == pipeline.Stuck {
		return s.settleQueueOf(ctx, t, d.AppID)
	}
	return nil
}

// setState is the one place where a state changes. Which times it sets is
// decided here and nowhere else: started_at by the first run, live_at when
// visitors moved, ended_at when the attempt was over.
func setState(ctx context.Context, t *tx, m pipeline.Move) error {
	var started, live, ended int64
	switch at := micros(m.At); {
	case m.To == pipeline.Running:
		started = at
	case m.To == pipeline.Watching:
		live = at
	case m.To == pipeline.Live:
		live, ended = at, at
	case m.To.Ended():
		ended = at
	}
	n, err := t.affected(ctx, `update deployments set state = $1,
		reason = case when $2 = '' then reason else $2 end,
		color = case when $3 = '' then color else $3 end,
		attempt = case when $4 = 0 then attempt else $4 end,
		carries = case when $10 = '' then carries else $10 end,
		started_at = case when started_at = 0 then $5 else started_at end,
		live_at = case when live_at = 0 then $6 else live_at end,
		ended_at = case when ended_at = 0 then $7 else ended_at end
		where id = $8 and state = $9`,
		string(m.To), m.Reason, string(m.Color), m.Attempt, started, live, ended, m.Deployment, string(m.From), m.Carries)
	if isUnique(err) {
		return fmt.Errorf("another deployment of the app is live: %w", pipeline.ErrConflict)
	}
	if err != nil {
		return fmt.Errorf("set state: %w", err)
	}
	if n == 0 {
		return notIn(ctx, t, m)
	}
	return nil
}

// notIn says why no row was in the state that a move begins at.
func notIn(ctx context.Context, t *tx, m pipeline.Move) error {
	d, err := findDeployment(ctx, t, m.Deployment)
	if err != nil {
		return err
	}
	return fmt.Errorf("deployment %s is %s, not %s: %w", d.ID, d.State, m.From, pipeline.ErrConflict)
}

func (s *Store) retire(ctx context.Context, t *tx, m pipeline.Move) error {
	other, err := liveBeside(ctx, t, m.Deployment)
	if err != nil {
		return err
	}
	if other != m.Retire || other == m.Deployment {
		return fmt.Errorf("deployment %s is not the app's live one: %w", m.Retire, pipeline.ErrConflict)
	}
	err = setState(ctx, t, pipeline.Move{Deployment: other, From: pipeline.Live, To: pipeline.Retired, At: m.At})
	if err != nil {
		return err
	}
	_, err = changedDeployment(ctx, t, other)
	return err
}

// changedDeployment raises the wanted version of the deployment's outbox rows
// and notes the change. It returns the deployment as it is now.
func changedDeployment(ctx context.Context, t *tx, id string) (pipeline.Deployment, error) {
	_, err := t.ExecContext(ctx, `update reports set wanted = wanted + 1 where deployment_id = $1`, id)
	if err != nil {
		return pipeline.Deployment{}, fmt.Errorf("raise wanted reports: %w", err)
	}
	d, err := findDeployment(ctx, t, id)
	if err != nil {
		return pipeline.Deployment{}, err
	}
	t.changed(Change{App: d.AppName, AppID: d.AppID, Deployment: d.ID, State: d.State})
	return d, nil
}

// CancelQueued ends a deployment that has not begun. It answers false if it is
// no longer queued.
func (s *Store) CancelQueued(ctx context.Context, id, reason string) (bool, error) {
	m := pipeline.Move{Deployment: id, From: pipeline.Queued, To: pipeline.Canceled, Reason: reason}
	err := s.Move(ctx, m)
	if errors.Is(err, pipeline.ErrConflict) {
		return false, nil
	}
	return err == nil, err
}
