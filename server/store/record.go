package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/swingbridge/swingbridge/pipeline"
)

// record stores one delivery with its consequences.
func (s *Store) record(ctx context.Context, g *groupTx, r *deliverRequest) (pipeline.Delivery, error) {
	d := r.delivery
	stored, err := collect(ctx, prepared{g, g.stored}, scanString, "", d.ID)
	if err != nil {
		return d, fmt.Errorf("look for the delivery: %w", err)
	}
	if len(stored) > 0 {
		return duplicate(ctx, g, d.ID)
	}
	standing, err := s.standing(ctx, g, d)
	if err != nil {
		return d, err
	}
	answer, err := decideSafely(r.decide, slices.Clone(standing))
	if err != nil {
		return d, err
	}
	if answer.Outcome == "" || answer.Reason == "" {
		return d, fmt.Errorf("%w: it was decided without outcome or reason", pipeline.ErrInvalid)
	}
	d.Outcome, d.Reason, d.Message = answer.Outcome, answer.Reason, answer.Message
	if d.Apps, err = s.follow(ctx, g.tx, d, answer.Apps, standing); err != nil {
		return d, err
	}
	verdicts, err := verdictsToJSON(d.Apps)
	if err != nil {
		return d, err
	}
	body := d.Body
	if body == nil {
		body = []byte{}
	}
	err = g.exec(ctx, g.insert, d.ID, d.Event, d.Action, d.Repo, d.RepoID, d.Ref, d.Commit,
		d.Sender, micros(d.ReceivedAt), string(d.Outcome), d.Reason, d.Message, verdicts, body)
	if err != nil {
		return d, fmt.Errorf("insert delivery: %w", err)
	}
	return d, nil
}

// duplicate answers a delivery that was stored before with what came of it.
func duplicate(ctx context.Context, q querier, id string) (pipeline.Delivery, error) {
	d, err := findDelivery(ctx, q, id)
	if err != nil {
		return d, err
	}
	d.Message = fmt.Sprintf("this delivery was stored before, at %s, as %s", d.ReceivedAt.Format("2006-01-02 15:04:05 MST"), d.Outcome)
	d.Outcome, d.Reason = pipeline.OutcomeDuplicate, "duplicate"
	return d, nil
}

// decideSafely turns a panic into the failure of this one delivery: the
// goroutine is everybody's.
func decideSafely(decide func([]pipeline.Standing) pipeline.Delivery, standing []pipeline.Standing) (d pipeline.Delivery, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while deciding: %v", p)
		}
	}()
	return decide(standing), nil
}

// groupTx is the transaction of a group. It remembers what stood for a
// repository until it changes something: a flood of deliveries is mostly of
// one, and finding out costs as much as storing.
type groupTx struct {
	*tx
	*committer

	standings map[repository][]pipeline.Standing
	asOf      int // number of changes when standings were read
}

// exec runs a prepared statement inside the transaction.
func (g *groupTx) exec(ctx context.Context, s *sql.Stmt, args ...any) (err error) {
	inside := g.StmtContext(ctx, s)
	defer func() { err = errors.Join(err, inside.Close()) }()
	_, err = inside.ExecContext(ctx, args...)
	return err
}

// prepared is a statement of the transaction in the place of a querier.
type prepared struct {
	g *groupTx
	s *sql.Stmt
}

// QueryContext runs the statement; the text is the statement's own.
func (p prepared) QueryContext(ctx context.Context, _ string, args ...any) (*sql.Rows, error) {
	return p.g.StmtContext(ctx, p.s).QueryContext(ctx, args...) //nolint:sqlclosecheck // the transaction's end closes it
}

type repository struct {
	id     int64
	name   string
	goBack bool // more is known of it then
}

func (s *Store) standing(ctx context.Context, g *groupTx, d pipeline.Delivery) ([]pipeline.Standing, error) {
	if g.standings == nil || g.asOf != len(g.changes) {
		g.standings, g.asOf = map[repository][]pipeline.Standing{}, len(g.changes)
	}
	key := repository{d.RepoID, d.Repo, d.GoBack}
	if known, is := g.standings[key]; is {
		return known, nil
	}
	standing, err := s.readStanding(ctx, g, d)
	if err == nil {
		g.standings[key] = standing
	}
	return standing, err
}

const selectStandingApps = `select ` + appColumns + ` from apps where removed_at = 0
	and (repo_id = $1 and repo_id <> 0 or repo_id = 0 and lower(repo) = lower($2)) order by name`

// readStanding finds the apps that follow the delivery's repository, by its
// numeric id, and by name those that do not know theirs yet. They learn it
// here, as they learn that a repository is called otherwise now.
func (s *Store) readStanding(ctx context.Context, g *groupTx, d pipeline.Delivery) ([]pipeline.Standing, error) {
	apps, err := collect(ctx, prepared{g, g.apps}, scanApp, "", d.RepoID, d.Repo)
	if err != nil {
		return nil, fmt.Errorf("find apps: %w", err)
	}
	standing := make([]pipeline.Standing, 0, len(apps))
	for _, app := range apps {
		if app, err = learn(ctx, g.tx, app, d); err != nil {
			return nil, err
		}
		open, err := collect(ctx, prepared{g, g.open}, scanDeployment, "", app.ID)
		if err != nil {
			return nil, fmt.Errorf("read open deployments: %w", err)
		}
		st := pipeline.Standing{App: app, Deployments: open}
		if d.GoBack {
			if st.LastGood, err = lastGood(ctx, g.tx, app.ID); err != nil && !errors.Is(err, pipeline.ErrNotFound) {
				return nil, err
			}
		}
		standing = append(standing, st)
	}
	return standing, nil
}

func learn(ctx context.Context, t *tx, app pipeline.App, d pipeline.Delivery) (pipeline.App, error) {
	if d.RepoID == 0 || app.RepoID == d.RepoID && (d.Repo == "" || app.Repo == d.Repo) {
		return app, nil
	}
	app.RepoID = d.RepoID
	if d.Repo != "" {
		app.Repo = d.Repo
	}
	_, err := t.ExecContext(ctx, `update apps set repo_id = $1, repo = $2 where id = $3`, app.RepoID, app.Repo, app.ID)
	if err != nil {
		return app, fmt.Errorf("learn repository: %w", err)
	}
	t.changed(Change{App: app.Name, AppID: app.ID})
	return app, nil
}
