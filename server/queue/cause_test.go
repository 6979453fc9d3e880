package queue_test

import (
	"context"
	"database/sql"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/server/queue"
)

var errByOperator = errors.New("canceled by an operator")

// hall is a table of jobs and a queue that works on it; its time stands still
// unless the test moves it.
type hall struct {
	write, read *sql.DB
	later       atomic.Int64 // nanoseconds
	began       chan queue.Job
	causes      chan error
}

func newHall(t *testing.T) *hall {
	t.Helper()
	h := &hall{began: make(chan queue.Job, 100), causes: make(chan error, 100)}
	h.write, h.read = openSQLite(t)
	return h
}

func (h *hall) now() time.Time {
	return time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC).Add(time.Duration(h.later.Load()))
}

// insert adds the jobs in their order, all of them due.
func (h *hall) insert(t *testing.T, jobs ...queue.Job) {
	t.Helper()
	tx, err := h.write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range jobs {
		if err := queue.Insert(t.Context(), tx, h.now(), j); err != nil {
			t.Fatal(errors.Join(err, tx.Rollback()))
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// start runs a queue of one worker until the test ends.
func (h *hall) start(t *testing.T, o queue.Options) *queue.Queue {
	t.Helper()
	o.Worker, o.Workers, o.TakeBack, o.Now = "after", 1, true, h.now
	q := queue.New(h.write, h.read, o)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return q
}

// untilCanceled is a handler that tells of its job and of why it was ended.
func (h *hall) untilCanceled(ctx context.Context, j queue.Job) error {
	h.began <- j
	<-ctx.Done()
	h.causes <- context.Cause(ctx)
	return ctx.Err()
}

func await[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("never came: %s", what)
		panic("not reached")
	}
}

func TestQueue_ACancelFromBeforeACrashIsTheSameErrorAfterIt(t *testing.T) {
	t.Parallel()
	for name, kill := range map[string]string{
		"the job waited": `select 1`,
		"the job ran":    `update jobs set state = 'running', worker = 'before', attempt = 1, lease_until = 1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHall(t)
			h.insert(t, queue.Job{UniqueKey: "d1", SerialKey: "app1"})
			if _, err := h.write.ExecContext(t.Context(), kill); err != nil {
				t.Fatal(err)
			}
			before := queue.New(h.write, h.read, queue.Options{Worker: "before"})
			if ok, err := before.Cancel(t.Context(), "d1", errByOperator); !ok || err != nil {
				t.Fatal(ok, err)
			}
			h.start(t, queue.Options{Handle: h.untilCanceled, Causes: []error{errors.New("another"), errByOperator}})
			if got := await(t, h.causes, "the cancel"); !errors.Is(got, errByOperator) {
				t.Errorf("cause %v", got)
			}
		})
	}
}

func TestQueue_ACancelByAnotherProcessIsTheSameErrorHere(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	h.start(t, queue.Options{Handle: h.untilCanceled, Causes: []error{errByOperator}, Lease: 30 * time.Millisecond, Poll: 10 * time.Millisecond})
	h.insert(t, queue.Job{UniqueKey: "d1"})
	await(t, h.began, "the job")
	other := queue.New(h.write, h.read, queue.Options{Worker: "another"})
	if ok, err := other.Cancel(t.Context(), "d1", errByOperator); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if got := await(t, h.causes, "the cancel"); !errors.Is(got, errByOperator) {
		t.Errorf("cause %v", got)
	}
}

// The control: a cause that the queue was not told of is only its text.
func TestQueue_ACauseThatIsNotKnownKeepsItsText(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	h.insert(t, queue.Job{UniqueKey: "d1"})
	before := queue.New(h.write, h.read, queue.Options{Worker: "before"})
	if ok, err := before.Cancel(t.Context(), "d1", errors.New("a flood")); !ok || err != nil {
		t.Fatal(ok, err)
	}
	h.start(t, queue.Options{Handle: h.untilCanceled, Causes: []error{errByOperator}})
	got := await(t, h.causes, "the cancel")
	if !errors.Is(got, queue.ErrCanceled) || errors.Is(got, errByOperator) || got.Error() != "canceled: a flood" {
		t.Errorf("cause %v", got)
	}
}

func TestQueue_AJobThatWaitsToRunAgainKeepsItsSerialKey(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	h.insert(t,
		queue.Job{UniqueKey: "first", SerialKey: "app1"},
		queue.Job{UniqueKey: "second", SerialKey: "app1"},
		queue.Job{UniqueKey: "another app's", SerialKey: "app2"})
	q := h.start(t, queue.Options{Handle: func(_ context.Context, j queue.Job) error {
		h.began <- j
		if j.UniqueKey == "first" && j.Attempt == 1 {
			return queue.Again(time.Hour)
		}
		return nil
	}})
	next := func(want string) {
		t.Helper()
		if j := await(t, h.began, want); j.UniqueKey != want {
			t.Fatalf("%s ran, want %s", j.UniqueKey, want)
		}
	}
	next("first")
	next("another app's") // past the second, whose app is taken
	h.later.Add(int64(2 * time.Hour))
	q.Wake()
	next("first")
	next("second")
}
