// Package queuetest holds what the queue promises, to be run on every database
// that it works on.
package queuetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/server/queue"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// Open returns a fresh database with an empty table jobs, closed by t's
// cleanup.
type Open func(t *testing.T) (write, read *sql.DB)

// Run runs the suite.
func Run(t *testing.T, open Open) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *world){
		"AJobIsDoneOnceItWasCommitted":              commits,
		"ARolledBackJobNeverWas":                    rollsBack,
		"ATakenKeyIsRefusedUntilTheJobEnded":        uniqueKey,
		"OneSerialKeyRunsOneJobAtATime":             serialKey,
		"OtherSerialKeysRunBesideEachOther":         parallel,
		"TheOldestDueJobIsFirst":                    order,
		"AFutureJobRunsAtItsTime":                   future,
		"AJobDueWhileItLooksIsSeen":                 dueWhileItLooks,
		"AgainRunsLater":                            again,
		"AFailedJobKeepsItsText":                    failure,
		"APanicFailsTheJobAndNothingElse":           panics,
		"ARemovedJobDoesNotRun":                     remove,
		"ARunningJobIsNotRemoved":                   removeRunning,
		"ACancelArrivesAtOnceWithItsCause":          cancelHere,
		"ACancelOfAnotherWorkersJobArrives":         cancelElsewhere,
		"ACancelInATransactionArrivesAfterIt":       cancelIn,
		"ACancelOfAQueuedJobWaitsForItsClaim":       cancelQueued,
		"ACancelOfNothingSaysSo":                    cancelNothing,
		"AShutdownPutsTheJobBack":                   shutdown,
		"AJobThatEndsDuringAShutdownIsDone":         shutdownDone,
		"WhatADeadOwnerLeftIsTakenBackAtStart":      takeBack,
		"WhatASilentWorkerHoldsIsTakenOver":         takeOver,
		"OurOwnJobsAreNotTakenOver":                 pause,
		"AWorkerThatLostItsJobIsStoppedAndFenced":   fenced,
		"AWorkerThatDoesNotKnowItLostIsFenced":      unaware,
		"AJobWhoseEndWasNotWrittenRunsAgain":        orphan,
		"EndedRowsAreNotKeptForEver":                prune,
		"ManyJobsOnManyWorkersRunOnceEachAndInTurn": many,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			write, read := open(t)
			test(t, &world{write: write, read: read})
		})
	}
}

type world struct {
	write, read *sql.DB
	wake        []*queue.Queue
}

// start runs a queue until the test ends or stop is called; stop waits.
func (w *world) start(t *testing.T, handle func(context.Context, queue.Job) error, edit ...func(*queue.Options)) (q *queue.Queue, stop func()) {
	t.Helper()
	o := queue.Options{
		Worker: fmt.Sprint("worker", len(w.wake)), Workers: 4, Lease: patience, Poll: 20 * time.Millisecond, Handle: handle,
	}
	for _, e := range edit {
		e(&o)
	}
	q = queue.New(w.write, w.read, o)
	w.wake = append(w.wake, q)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	var once atomic.Bool
	stop = func() {
		cancel()
		if once.Swap(true) {
			return
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(patience):
			t.Error("the queue did not stop")
		}
	}
	t.Cleanup(stop)
	return q, stop
}

func (w *world) insert(t *testing.T, jobs ...queue.Job) {
	t.Helper()
	if err := w.tx(t, func(tx *sql.Tx) error {
		for _, j := range jobs {
			if err := queue.Insert(t.Context(), tx, time.Now(), j); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, q := range w.wake {
		q.Wake()
	}
}

// tx commits if f returns nil.
func (w *world) tx(t *testing.T, f func(*sql.Tx) error) error {
	t.Helper()
	tx, err := w.write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it says so
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

type row struct {
	state, worker, text string
	attempt             int
}

func (w *world) row(t *testing.T, key string) row {
	t.Helper()
	var r row
	err := w.read.QueryRowContext(context.Background(), `
		select state, coalesce(worker, ''), coalesce(error, ''), attempt from jobs
		where unique_key = $1 order by id desc limit 1`, key).Scan(&r.state, &r.worker, &r.text, &r.attempt)
	if errors.Is(err, sql.ErrNoRows) {
		return row{}
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// until waits for the row to reach a state.
func (w *world) until(t *testing.T, key, state string) row {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		r := w.row(t, key)
		if r.state == state {
			return r
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not become %s: %+v", key, state, r)
		}
	}
}

func (w *world) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	if _, err := w.write.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

func await[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("never came: %s", what)
		panic("not reached")
	}
}

// blocker is a handler that tells of each job and waits to be released or
// canceled.
type blocker struct {
	began   chan queue.Job
	release chan error
	causes  chan error
}

func newBlocker() *blocker {
	return &blocker{began: make(chan queue.Job, 100), release: make(chan error, 100), causes: make(chan error, 100)}
}

func (b *blocker) handle(ctx context.Context, j queue.Job) error {
	b.began <- j
	select {
	case err := <-b.release:
		return err
	case <-ctx.Done():
		b.causes <- context.Cause(ctx)
		return ctx.Err()
	}
}
