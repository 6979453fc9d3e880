package queue

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// keepEnded is how long rows of ended jobs are kept for people to look at.
const keepEnded = 30 * 24 * time.Hour

// requeueSQL puts running jobs back; a condition follows.
const requeueSQL = `update jobs set state = 'queued', worker = null, lease_until = null where state = 'running' and `

// takeBack puts back at start what cannot be running: everything if this
// process alone owns the database, else what this worker's name left and what
// ran out.
func (q *Queue) takeBack(ctx context.Context) error {
	now := q.Now()
	_, err := q.write.ExecContext(ctx, requeueSQL+`($1 or worker = $2 or lease_until < $3)`,
		q.TakeBack, q.Worker, now.UnixMicro())
	if err != nil {
		return err
	}
	_, err = q.write.ExecContext(ctx,
		`delete from jobs where state in ('done', 'failed', 'canceled') and ended_at < $1`,
		now.Add(-keepEnded).UnixMicro())
	return err
}

// keepLeases renews the leases until ctx ends.
func (q *Queue) keepLeases(ctx context.Context) {
	ticker := time.NewTicker(q.Lease / 3)
	defer ticker.Stop()
	held := q.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-q.heed:
		}
		err := q.beat(ctx)
		if err == nil {
			held = q.Now()
			continue
		}
		if ctx.Err() != nil {
			return
		}
		q.Logger.ErrorContext(ctx, "renew leases", "error", err)
		if !q.TakeBack && q.Now().Sub(held) > q.Lease {
			q.cancelAll(ErrLost) // by now another process may have started them
		}
	}
}

// beat renews the leases of what runs here and hears of cancels. A job that
// runs here but is no longer ours in the table is stopped; one that is ours in
// the table but does not run here, because its end could not be written, is
// put back.
func (q *Queue) beat(ctx context.Context) error {
	q.claims.Lock()
	defer q.claims.Unlock()
	ctx, done := context.WithTimeout(ctx, writeTimeout)
	defer done()
	here := q.runs()
	now := q.Now()
	leased, err := q.renew(ctx, now)
	if err != nil {
		return err
	}
	for id, r := range here {
		row, ok := leased[id]
		switch {
		case !ok || row.attempt != r.job.Attempt:
			r.cancel(ErrLost) // or it has just ended: then nobody listens
		case row.cancel.Valid:
			r.cancel(q.canceled(row.cancel.String))
		}
	}
	for id, row := range leased {
		if _, ok := here[id]; ok {
			continue
		}
		if _, err := q.write.ExecContext(ctx, requeueSQL+`id = $1 and worker = $2 and attempt = $3`, id, q.Worker, row.attempt); err != nil {
			return fmt.Errorf("put back job %d: %w", id, err)
		}
		q.Wake()
	}
	return q.takeOver(ctx, now)
}

// takeOver puts back what other workers left behind. Our own jobs are never
// among it: after a pause of the whole machine they still run here.
func (q *Queue) takeOver(ctx context.Context, now time.Time) error {
	res, err := q.write.ExecContext(ctx, requeueSQL+`lease_until < $1 and worker <> $2`, now.UnixMicro(), q.Worker)
	if err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	if n, err := res.RowsAffected(); err == nil && n > 0 {
		q.Wake()
	}
	return nil
}

// leasedRow is what the table says about a job of this worker.
type leasedRow struct {
	attempt int
	cancel  sql.NullString
}

func (q *Queue) renew(ctx context.Context, now time.Time) (map[int64]leasedRow, error) {
	rows, err := q.write.QueryContext(ctx, `
		update jobs set lease_until = $1 where worker = $2 and state = 'running'
		returning id, attempt, cancel`, now.Add(q.Lease).UnixMicro(), q.Worker)
	if err != nil {
		return nil, fmt.Errorf("renew: %w", err)
	}
	defer rows.Close()
	leased := map[int64]leasedRow{}
	for rows.Next() {
		var (
			id  int64
			row leasedRow
		)
		if err := rows.Scan(&id, &row.attempt, &row.cancel); err != nil {
			return nil, fmt.Errorf("renew: %w", err)
		}
		leased[id] = row
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("renew: %w", err)
	}
	return leased, nil
}

func (q *Queue) runs() map[int64]*run {
	q.mu.Lock()
	defer q.mu.Unlock()
	here := make(map[int64]*run, len(q.running))
	for id, r := range q.running {
		here[id] = r
	}
	return here
}
