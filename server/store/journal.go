package store

import (
	"context"
	"fmt"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Record writes what a run tells of a deployment in one transaction: its state
// with all that follows from it (see Move), its subject, its release and its
// steps. The first record of a step of an attempt adds it, later ones change
// it; a zero StartedAt or LogOffset leaves what was written before.
func (s *Store) Record(ctx context.Context, r pipeline.Record) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error { return s.journal(ctx, t, r) })
	if err != nil {
		return fmt.Errorf("journal deployment %s: %w", r.Deployment, err)
	}
	return nil
}

func (s *Store) journal(ctx context.Context, t *tx, r pipeline.Record) error {
	if r.Move != nil {
		if r.Move.Deployment != r.Deployment {
			return fmt.Errorf("%w: it moves deployment %s", pipeline.ErrInvalid, r.Move.Deployment)
		}
		if err := s.move(ctx, t, *r.Move); err != nil {
			return fmt.Errorf("move to %s: %w", r.Move.To, err)
		}
	}
	d, err := findDeployment(ctx, t, r.Deployment)
	if err != nil {
		return err
	}
	if r.Subject != "" {
		if _, err := t.ExecContext(ctx, `update deployments set subject = $1 where id = $2`, r.Subject, d.ID); err != nil {
			return fmt.Errorf("write the commit's subject: %w", err)
		}
	}
	if r.Release != nil {
		if err := s.saveRelease(ctx, t, d, *r.Release); err != nil {
			return fmt.Errorf("save release: %w", err)
		}
	}
	for _, step := range r.Steps {
		if err := journalStep(ctx, t, d, step); err != nil {
			return fmt.Errorf("step %s: %w", step.Name, err)
		}
	}
	return nil
}

func journalStep(ctx context.Context, t *tx, d pipeline.Deployment, r pipeline.StepRecord) error {
	_, err := t.ExecContext(ctx, `insert into steps
		(deployment_id, attempt, name, position, state, detail, error, started_at, ended_at, log_offset)
		values ($1, $2, $3, (select count(*) from steps where deployment_id = $1 and attempt = $2), $4, $5, $6, $7, $8, $9)
		on conflict (deployment_id, attempt, name) do update set
			state = excluded.state, detail = excluded.detail, error = excluded.error, ended_at = excluded.ended_at,
			started_at = case when excluded.started_at = 0 then steps.started_at else excluded.started_at end,
			log_offset = case when excluded.log_offset = 0 then steps.log_offset else excluded.log_offset end`,
		d.ID, r.Attempt, r.Name, string(r.State), r.Detail, r.Error, micros(r.StartedAt), micros(r.EndedAt), r.LogOffset)
	t.changed(Change{App: d.AppName, AppID: d.AppID, Deployment: d.ID, State: d.State, Step: r.Name})
	return err
}
