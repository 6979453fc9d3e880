package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
)

const selectDeployment = `select d.id, d.app_id, a.name, d.commit_sha, d.subject, d.trigger, d.actor, d.delivery_id, d.state,
	d.color, d.attempt, coalesce(d.release_id, ''), d.carries, d.reason, d.created_at, d.started_at, d.live_at, d.ended_at
	from deployments d join apps a on a.id = d.app_id `

func scanDeployment(r scanner) (pipeline.Deployment, error) {
	var d pipeline.Deployment
	err := r.Scan(&d.ID, &d.AppID, &d.AppName, &d.Commit, &d.Subject, &d.Trigger, &d.Actor, &d.DeliveryID, &d.State,
		&d.Color, &d.Attempt, &d.ReleaseID, &d.Carries, &d.Reason,
		timeColumn{&d.CreatedAt}, timeColumn{&d.StartedAt}, timeColumn{&d.LiveAt}, timeColumn{&d.EndedAt})
	return d, err
}

// whereOpen selects an app's deployments that are queued, running or live: what
// decides about a delivery. A stuck one counts, its commit is there already.
// The inner query finds them by state: asked for them in order, SQLite would
// walk through the app's whole history.
const whereOpen = `where d.id in (select id from deployments
	where app_id = $1 and state in ('queued', 'running', 'cutting_over', 'watching', 'live', 'stuck')) order by d.id desc`

// openDeployments are the app's, newest first, without their steps.
func openDeployments(ctx context.Context, q querier, appID string) ([]pipeline.Deployment, error) {
	list, err := collect(ctx, q, scanDeployment, selectDeployment+whereOpen, appID)
	if err != nil {
		return nil, fmt.Errorf("read open deployments: %w", err)
	}
	return list, nil
}

// Deployment finds a deployment, with its steps.
func (s *Store) Deployment(ctx context.Context, id string) (d pipeline.Deployment, err error) {
	err = s.read(ctx, func(q querier) error {
		if d, err = findDeployment(ctx, q, id); err != nil {
			return err
		}
		one := []pipeline.Deployment{d}
		err = withSteps(ctx, q, one)
		d = one[0]
		return err
	})
	return d, err
}

func findDeployment(ctx context.Context, q querier, id string) (pipeline.Deployment, error) {
	d, err := scanDeployment(q.QueryRowContext(ctx, selectDeployment+`where d.id = $1`, id))
	return d, found(err, "deployment %s", id)
}

// LiveDeployment is the app's deployment in state live; ErrNotFound if none.
func (s *Store) LiveDeployment(ctx context.Context, appID string) (d pipeline.Deployment, err error) {
	err = s.read(ctx, func(q querier) error {
		d, err = scanDeployment(q.QueryRowContext(ctx, selectDeployment+`where d.app_id = $1 and d.state = 'live'`, appID))
		if err != nil {
			return found(err, "live deployment of app %s", appID)
		}
		one := []pipeline.Deployment{d}
		err = withSteps(ctx, q, one)
		d = one[0]
		return err
	})
	return d, err
}

// selectLastGood finds where a rollback goes. What has the live one's release is
// passed over, and so are its commit with the same environment and what has its
// stack: going there would change nothing.
const selectLastGood = selectDeployment + `join releases r on r.id = d.release_id
	where d.app_id = $1 and d.state = 'retired' and not exists (
		select 1 from deployments l join releases lr on lr.id = l.release_id
		where l.id in (select id from deployments where app_id = $1 and state = 'live'
			union all select carries from deployments where app_id = $1 and state = 'live')
		and (lr.id = r.id or coalesce(nullif(l.carries, ''), l.id) = coalesce(nullif(d.carries, ''), d.id)
			or l.commit_sha = d.commit_sha and lr.env_version = r.env_version))
	order by d.id desc limit 1`

// LastGood is the app's last good deployment before the live one, without its
// steps; ErrNotFound if there is none.
func (s *Store) LastGood(ctx context.Context, appID string) (pipeline.Deployment, error) {
	return lastGood(ctx, s.db.Read, appID)
}

func lastGood(ctx context.Context, q querier, appID string) (pipeline.Deployment, error) {
	d, err := scanDeployment(q.QueryRowContext(ctx, selectLastGood, appID))
	return d, found(err, "earlier release of app %s", appID)
}

// Deployments lists deployments newest first, with their steps.
func (s *Store) Deployments(ctx context.Context, query pipeline.DeploymentQuery) (list []pipeline.Deployment, err error) {
	where, args := []string{"1 = 1"}, []any{}
	add := func(condition string, values ...any) {
		where = append(where, condition)
		args = append(args, values...)
	}
	if query.AppID != "" {
		add("d.app_id = "+places(len(args)+1, 1), query.AppID)
	}
	if query.After != "" {
		add("d.id < "+places(len(args)+1, 1), query.After)
	}
	if len(query.States) > 0 {
		states := make([]any, len(query.States))
		for i, state := range query.States {
			states[i] = string(state)
		}
		add("d.state in ("+places(len(args)+1, len(states))+")", states...)
	}
	sql := selectDeployment + `where ` + strings.Join(where, ` and `) + ` order by d.id desc limit ` + places(len(args)+1, 1)
	return s.listDeployments(ctx, sql, append(args, limit(query.Page))...)
}

// Active lists what may have containers: running, cutting_over, watching, live
// and stuck deployments of all apps, oldest first, with their steps.
func (s *Store) Active(ctx context.Context) ([]pipeline.Deployment, error) {
	return s.listDeployments(ctx, selectDeployment+
		`where d.state in ('running', 'cutting_over', 'watching', 'live', 'stuck') order by d.id`)
}

func (s *Store) listDeployments(ctx context.Context, sql string, args ...any) (list []pipeline.Deployment, err error) {
	err = s.read(ctx, func(q querier) error {
		if list, err = collect(ctx, q, scanDeployment, sql, args...); err != nil {
			return fmt.Errorf("list deployments: %w", err)
		}
		return withSteps(ctx, q, list)
	})
	return list, err
}

// withSteps fills in the steps of the deployments, in the order in which they
// were first written, earlier attempts first. One query serves at most 200
// deployments, far below what a statement may have of parameters.
func withSteps(ctx context.Context, q querier, list []pipeline.Deployment) error {
	index := make(map[string]int, len(list))
	ids := make([]any, len(list))
	for i, d := range list {
		index[d.ID], ids[i] = i, d.ID
	}
	for len(ids) > 0 {
		part := ids[:min(len(ids), 200)]
		ids = ids[len(part):]
		_, err := collect(ctx, q, func(r scanner) (struct{}, error) {
			id, step, err := scanStep(r)
			if at, is := index[id]; is && err == nil {
				list[at].Steps = append(list[at].Steps, step)
			}
			return struct{}{}, err
		}, `select deployment_id, attempt, name, state, detail, error, started_at, ended_at, log_offset
			from steps where deployment_id in (`+places(1, len(part))+`) order by deployment_id, attempt, position`, part...)
		if err != nil {
			return fmt.Errorf("read steps: %w", err)
		}
	}
	return nil
}

func scanStep(r scanner) (deployment string, s pipeline.StepRecord, err error) {
	err = r.Scan(&deployment, &s.Attempt, &s.Name, &s.State, &s.Detail, &s.Error,
		timeColumn{&s.StartedAt}, timeColumn{&s.EndedAt}, &s.LogOffset)
	return deployment, s, err
}
