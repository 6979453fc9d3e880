package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// writeTimeout bounds the queue's own writes. It is long: behind a flood of
// deliveries a write waits its turn.
const writeTimeout = 15 * time.Second

// claimSQL is valid on SQLite and Postgres. Oldest first among what is due and
// whose serial key is free.
const claimSQL = `
	update jobs set state = 'running', attempt = attempt + 1, worker = $1, lease_until = $2
	where state = 'queued' and id = (
		select q.id from jobs q
		where q.state = 'queued' and q.run_at <= $3 and (q.serial_key is null or not exists (
			select 1 from jobs r where r.serial_key = q.serial_key and (r.state = 'running' or r.state = 'queued' and r.attempt > 0 and r.id < q.id)))
		order by q.run_at, q.id limit 1)
	returning id, kind, coalesce(serial_key, ''), coalesce(unique_key, ''), args, attempt, run_at, cancel`

// claim takes the next job that may run and the context for it; nil if there is
// none.
func (q *Queue) claim(ctx context.Context) (context.Context, *run, error) {
	q.claims.Lock()
	defer q.claims.Unlock()
	now := q.Now()
	query, done := context.WithTimeout(ctx, writeTimeout)
	defer done()
	var (
		j      Job
		runAt  int64
		cancel sql.NullString
	)
	err := q.write.QueryRowContext(query, claimSQL, q.Worker, now.Add(q.Lease).UnixMicro(), now.UnixMicro()).
		Scan(&j.ID, &j.Kind, &j.SerialKey, &j.UniqueKey, &j.Args, &j.Attempt, &runAt, &cancel)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	j.RunAt = time.UnixMicro(runAt).UTC()
	jobCtx, stop := context.WithCancelCause(ctx)
	if cancel.Valid {
		stop(q.canceled(cancel.String))
	}
	r := &run{job: j, cancel: stop}
	q.mu.Lock()
	defer q.mu.Unlock()
	if old, ok := q.running[j.ID]; ok {
		old.cancel(ErrLost) // it went to another worker and came back
	}
	q.running[j.ID] = r
	return jobCtx, r, nil
}

// canceled is the cause of a cancel that was read from the table.
func (q *Queue) canceled(text string) error {
	for _, c := range q.Causes {
		if c.Error() == text {
			return c
		}
	}
	if text == ErrCanceled.Error() {
		return ErrCanceled
	}
	return fmt.Errorf("%w: %s", ErrCanceled, text)
}

// work runs a claimed job and writes what came of it. Where that write does not
// succeed the heartbeat puts the job back.
func (q *Queue) work(ctx, jobCtx context.Context, r *run) {
	err := q.handle(jobCtx, r.job)
	if cause := context.Cause(jobCtx); !errors.Is(cause, ErrLost) {
		if err := q.finish(ctx, r.job, q.end(r.job, err, cause)); err != nil {
			q.Logger.ErrorContext(ctx, "write the end of a job", "job", r.job.ID, "key", r.job.UniqueKey, "error", err)
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running[r.job.ID] == r {
		delete(q.running, r.job.ID)
	}
	r.cancel(nil)
}

func (q *Queue) handle(ctx context.Context, j Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			q.Logger.ErrorContext(ctx, "job panicked", "job", j.ID, "key", j.UniqueKey, "error", err)
		}
	}()
	return q.Handle(ctx, j)
}

// ending is what a job becomes after a run.
type ending struct {
	state string
	runAt time.Time
	text  string
}

func (q *Queue) end(j Job, err, cause error) ending {
	var later again
	switch {
	case err == nil:
		return ending{state: "done", runAt: j.RunAt}
	case errors.As(err, &later):
		return ending{state: "queued", runAt: q.Now().Add(later.after)}
	case errors.Is(err, ErrShutdown), errors.Is(cause, ErrShutdown):
		return ending{state: "queued", runAt: j.RunAt}
	case cause != nil:
		return ending{state: "canceled", runAt: j.RunAt, text: err.Error()}
	}
	return ending{state: "failed", runAt: j.RunAt, text: err.Error()}
}

// finish is fenced: worker and attempt name the one run that may write it.
func (q *Queue) finish(ctx context.Context, j Job, e ending) error {
	ctx, done := context.WithTimeout(ctx, writeTimeout)
	defer done()
	var endedAt any
	if e.state != "queued" {
		endedAt = q.Now().UnixMicro()
	}
	res, err := q.write.ExecContext(ctx, `
		update jobs set state = $1, run_at = $2, error = $3, ended_at = $4, worker = null, lease_until = null
		where id = $5 and worker = $6 and attempt = $7 and state = 'running'`,
		e.state, e.runAt.UnixMicro(), nullable(e.text), endedAt, j.ID, q.Worker, j.Attempt)
	if err != nil {
		return fmt.Errorf("finish as %s: %w", e.state, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return fmt.Errorf("finish as %s: %w", e.state, errors.Join(ErrLost, err))
	}
	return nil
}
