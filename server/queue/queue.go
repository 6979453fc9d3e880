// Package queue runs work that must survive the process: one table on
// database/sql, written in the same transaction as what it is about.
//
// A job runs at least once. Whoever claims it holds a lease that a heartbeat
// renews; every update that ends a run names the worker and the attempt, so a
// worker that lost its lease can no longer write. A serial key keeps two jobs
// of one app apart, a unique key keeps the same job from being queued twice;
// both are also unique indexes of the table.
package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Errors of the queue, and the causes with which it cancels a job's context.
var (
	// ErrDuplicate says that a job of this unique key is queued or running.
	ErrDuplicate = errors.New("a job of this key is queued or running")
	// ErrShutdown is the cause when the queue stops: the job goes back to the
	// queue unless its handler returns nil.
	ErrShutdown = errors.New("the server is shutting down")
	// ErrCanceled is wrapped by the cause when a job was canceled from another
	// process, or before it was claimed; the text is that of the cause given.
	ErrCanceled = errors.New("canceled")
	// ErrLost is the cause when another worker may own the job by now.
	ErrLost = errors.New("the lease on the job was lost")
)

// Job is one piece of work.
type Job struct {
	ID        int64
	Kind      string
	SerialKey string // at most one running job per key; empty: no limit
	UniqueKey string // at most one queued or running job per key; empty: no limit
	Args      []byte
	Attempt   int       // 1 for the first run
	RunAt     time.Time // not before; zero: at once
}

// Options is what a queue needs besides its database.
type Options struct {
	Worker  string        // who this is: never the same for two processes at one time
	Workers int           // jobs at once; 0 is 4
	Lease   time.Duration // how long a silent worker keeps its jobs; 0 is 30 s
	Poll    time.Duration // how often other processes' jobs are looked for; 0 is 5 s

	// TakeBack says that this process alone owns the database: whatever is
	// running when it starts belongs to a dead one.
	TakeBack bool

	// Causes are those that Cancel is called with: one that was written down
	// before a crash is the same error again after it.
	Causes []error

	Now    func() time.Time
	Logger *slog.Logger

	// Handle does a job. Nil means done; an error wrapping ErrShutdown, or any
	// error once the context's cause is ErrShutdown, puts it back; Again runs
	// it later; other errors end it. It may be called again for a job it has
	// done, when the process died before that was written.
	Handle func(ctx context.Context, j Job) error
}

// Queue claims jobs and runs them.
type Queue struct {
	Options
	write, read *sql.DB
	wake, heed  chan struct{}
	slots       chan struct{}

	claims sync.Mutex // held from a claim to its entry in running, and by the heartbeat

	mu      sync.Mutex
	running map[int64]*run
}

// run is a job that is being worked on here.
type run struct {
	job    Job
	cancel context.CancelCauseFunc
}

// New returns a queue on the table jobs. It does nothing before Run.
func New(write, read *sql.DB, o Options) *Queue {
	if o.Workers <= 0 {
		o.Workers = 4
	}
	if o.Lease <= 0 {
		o.Lease = 30 * time.Second
	}
	if o.Poll <= 0 {
		o.Poll = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Queue{
		Options: o, write: write, read: read,
		wake: make(chan struct{}, 1), heed: make(chan struct{}, 1), slots: make(chan struct{}, o.Workers), running: map[int64]*run{},
	}
}

// Wake makes the queue look for work now: call it after a transaction that
// inserted a job was committed. It never blocks.
func (q *Queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Heed makes the queue look for cancels now: call it after a transaction that
// called CancelIn was committed. It never blocks.
func (q *Queue) Heed() {
	select {
	case q.heed <- struct{}{}:
	default:
	}
}

// Run takes back what dead workers left and works until ctx ends. Then it
// cancels what runs with the cause ErrShutdown and returns when every handler
// has. The error is about the start only: later ones are logged and tried
// again.
func (q *Queue) Run(ctx context.Context) error {
	if err := q.takeBack(ctx); err != nil {
		return fmt.Errorf("take back jobs: %w", err)
	}
	lasting := context.WithoutCancel(ctx)
	beating, stop := context.WithCancel(lasting)
	var pulse, handlers sync.WaitGroup
	pulse.Go(func() { q.keepLeases(beating) })
	for ctx.Err() == nil {
		q.rest(ctx, q.fill(lasting, &handlers))
	}
	q.cancelAll(ErrShutdown)
	handlers.Wait()
	stop()
	pulse.Wait()
	return nil
}

// fill starts jobs while there are jobs and free slots. It returns a time before
// its last look: a job that became due after it may not have been seen.
func (q *Queue) fill(ctx context.Context, handlers *sync.WaitGroup) (looked time.Time) {
	for {
		looked = q.Now()
		select {
		case q.slots <- struct{}{}:
		default:
			return looked
		}
		jobCtx, r, err := q.claim(ctx)
		if err != nil {
			q.Logger.ErrorContext(ctx, "claim job", "error", err)
		}
		if r == nil {
			<-q.slots
			return looked
		}
		handlers.Go(func() {
			q.work(ctx, jobCtx, r)
			<-q.slots
			q.Wake()
		})
	}
}

// rest waits for a wake-up, the next job's time or the poll.
func (q *Queue) rest(ctx context.Context, looked time.Time) {
	timer := time.NewTimer(q.untilNext(ctx, looked))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-q.wake:
	case <-timer.C:
	}
}

// untilNext asks for what became due after the last look, not after now: a job
// whose time came in between would else wait for the poll.
func (q *Queue) untilNext(ctx context.Context, looked time.Time) time.Duration {
	var next sql.NullInt64
	err := q.read.QueryRowContext(ctx,
		`select min(run_at) from jobs where state = 'queued' and run_at > $1`, looked.UnixMicro()).Scan(&next)
	if err != nil {
		if ctx.Err() == nil {
			q.Logger.ErrorContext(ctx, "look for the next job", "error", err)
		}
		return q.Poll
	}
	if !next.Valid {
		return q.Poll
	}
	return min(q.Poll, time.UnixMicro(next.Int64).Sub(q.Now()))
}

func (q *Queue) cancelAll(cause error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range q.running {
		r.cancel(cause)
	}
}
