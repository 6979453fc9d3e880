package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Insert adds a job in the caller's transaction. ErrDuplicate if one of its
// unique key is queued or running; the transaction can go on after that. Wake
// the queue after the commit.
func Insert(ctx context.Context, tx *sql.Tx, now time.Time, j Job) error {
	runAt := j.RunAt
	if runAt.IsZero() {
		runAt = now
	}
	args := j.Args
	if args == nil {
		args = []byte{}
	}
	res, err := tx.ExecContext(ctx, `
		insert into jobs (kind, serial_key, unique_key, args, run_at, created_at)
		values ($1, $2, $3, $4, $5, $6) on conflict do nothing`,
		j.Kind, nullable(j.SerialKey), nullable(j.UniqueKey), args, runAt.UnixMicro(), now.UnixMicro())
	if err != nil {
		return fmt.Errorf("insert job: %w", err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return fmt.Errorf("insert job: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("insert job %s: %w", j.UniqueKey, ErrDuplicate)
	}
	return nil
}

// Remove takes a job out of the queue unless it runs. Gone is well.
func Remove(ctx context.Context, tx *sql.Tx, uniqueKey string) error {
	_, err := tx.ExecContext(ctx, `delete from jobs where unique_key = $1 and state = 'queued'`, uniqueKey)
	if err != nil {
		return fmt.Errorf("remove job %s: %w", uniqueKey, err)
	}
	return nil
}

// Cancel ends a job: one that runs here has its context canceled with cause at
// once; one that runs elsewhere, at its worker's next heartbeat; one that is
// queued, when it is claimed, so that its handler can still end what it is
// about. It is written down first and survives a crash. False means that no
// such job is queued or running.
func (q *Queue) Cancel(ctx context.Context, uniqueKey string, cause error) (bool, error) {
	if cause == nil {
		cause = ErrCanceled
	}
	q.claims.Lock() // a claim is either before this and known here, or sees the flag
	defer q.claims.Unlock()
	id, err := markCanceled(ctx, q.write, uniqueKey, cause)
	if err != nil || id == 0 {
		return false, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if r, ok := q.running[id]; ok {
		r.cancel(cause)
	}
	return true, nil
}

// CancelIn is Cancel in the caller's transaction. Call Heed after the commit, or
// a job that runs here hears of it at the next heartbeat only.
func CancelIn(ctx context.Context, tx *sql.Tx, uniqueKey string, cause error) (bool, error) {
	id, err := markCanceled(ctx, tx, uniqueKey, cause)
	return id != 0, err
}

// CanceledIn is the text of the cause with which a job that is queued or running
// was canceled, in the caller's transaction; empty if it was not.
func CanceledIn(ctx context.Context, tx *sql.Tx, uniqueKey string) (string, error) {
	var text sql.NullString
	err := tx.QueryRowContext(ctx, `
		select cancel from jobs where unique_key = $1 and state in ('queued', 'running')`, uniqueKey).Scan(&text)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read job %s: %w", uniqueKey, err)
	}
	return text.String, nil
}

// rower is a database or a transaction.
type rower interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// markCanceled writes the cancel down and returns the job's id, 0 if no such job
// is queued or running.
func markCanceled(ctx context.Context, db rower, uniqueKey string, cause error) (id int64, err error) {
	err = db.QueryRowContext(ctx, `
		update jobs set cancel = $1 where unique_key = $2 and state in ('queued', 'running')
		returning id`, cause.Error(), uniqueKey).Scan(&id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("cancel job %s: %w", uniqueKey, err)
	}
	return id, nil
}

// again is what Again returns.
type again struct{ after time.Duration }

func (a again) Error() string { return fmt.Sprintf("again in %s", a.after) }

// Again is returned by a handler whose job is to run once more after d.
func Again(d time.Duration) error { return again{after: d} }

func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}
