package queuetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/server/queue"
)

func commits(t *testing.T, w *world) {
	b := newBlocker()
	w.start(t, b.handle)
	w.insert(t, queue.Job{Kind: "deploy", UniqueKey: "d1", SerialKey: "a1", Args: []byte(`{"deployment":"d1"}`)})
	j := await(t, b.began, "the job")
	if j.Kind != "deploy" || j.UniqueKey != "d1" || j.SerialKey != "a1" || j.Attempt != 1 || string(j.Args) != `{"deployment":"d1"}` {
		t.Errorf("got %+v", j)
	}
	if r := w.row(t, "d1"); r.state != "running" || r.worker != "worker0" {
		t.Errorf("while it ran: %+v", r)
	}
	b.release <- nil
	if r := w.until(t, "d1", "done"); r.worker != "" {
		t.Errorf("after it: %+v", r)
	}
}

func rollsBack(t *testing.T, w *world) {
	b := newBlocker()
	w.start(t, b.handle)
	mine := errors.New("something else went wrong")
	if err := w.tx(t, func(tx *sql.Tx) error {
		if err := queue.Insert(t.Context(), tx, time.Now(), queue.Job{UniqueKey: "never"}); err != nil {
			return err
		}
		return mine
	}); !errors.Is(err, mine) {
		t.Fatal(err)
	}
	w.insert(t, queue.Job{UniqueKey: "other"})
	if j := await(t, b.began, "the other job"); j.UniqueKey != "other" {
		t.Errorf("ran %s", j.UniqueKey)
	}
	if r := w.row(t, "never"); r.state != "" {
		t.Errorf("it is there: %+v", r)
	}
}

func uniqueKey(t *testing.T, w *world) {
	b := newBlocker()
	insert := func() error {
		return w.tx(t, func(tx *sql.Tx) error {
			err := queue.Insert(t.Context(), tx, time.Now(), queue.Job{UniqueKey: "d1"})
			if _, also := tx.ExecContext(t.Context(), `delete from jobs where id < 0`); also != nil {
				t.Errorf("the transaction cannot go on: %v", also)
			}
			return err
		})
	}
	w.insert(t, queue.Job{UniqueKey: "d1"})
	if err := insert(); !errors.Is(err, queue.ErrDuplicate) {
		t.Errorf("while queued: %v", err)
	}
	w.start(t, b.handle)
	await(t, b.began, "the job")
	if err := insert(); !errors.Is(err, queue.ErrDuplicate) {
		t.Errorf("while running: %v", err)
	}
	b.release <- nil
	w.until(t, "d1", "done")
	if err := insert(); err != nil {
		t.Errorf("after it ended: %v", err)
	}
	w.insert(t, queue.Job{}, queue.Job{}) // no key, no limit
}

func order(t *testing.T, w *world) {
	old := time.Now().Add(-time.Hour)
	w.insert(t, queue.Job{UniqueKey: "second"}, queue.Job{UniqueKey: "third"}, queue.Job{UniqueKey: "first", RunAt: old})
	b := newBlocker()
	w.start(t, b.handle, func(o *queue.Options) { o.Workers = 1 })
	for _, want := range []string{"first", "second", "third"} {
		if j := await(t, b.began, want); j.UniqueKey != want {
			t.Errorf("got %s, want %s", j.UniqueKey, want)
		}
		b.release <- nil
	}
}

func future(t *testing.T, w *world) {
	at := time.Now().Add(150 * time.Millisecond)
	seen := make(chan time.Time, 2)
	w.start(t, func(context.Context, queue.Job) error { seen <- time.Now(); return nil },
		func(o *queue.Options) { o.Poll = patience }) // only the timer to its time can bring it
	w.insert(t, queue.Job{UniqueKey: "later", RunAt: at})
	if got := await(t, seen, "the future job"); got.Before(at.Truncate(time.Microsecond)) {
		t.Errorf("ran %s too early", at.Sub(got))
	}
}

// dueWhileItLooks lets time pass between any two looks at the clock: a job that
// becomes due between the claim and the question for the next one must not wait
// for the poll.
func dueWhileItLooks(t *testing.T, w *world) {
	const step = 10 * time.Second
	var looks atomic.Int64
	began := time.Now()
	at := func(look int64) time.Time { return began.Add(time.Duration(look) * step) }
	seen := make(chan queue.Job, 10)
	w.start(t, func(_ context.Context, j queue.Job) error { seen <- j; return nil }, func(o *queue.Options) {
		o.Now = func() time.Time { return at(looks.Add(1)) }
		o.Poll, o.Lease = patience, 1000*time.Hour
	})
	for after := range int64(6) {
		key := fmt.Sprint("due after ", after, " more looks")
		w.insert(t, queue.Job{UniqueKey: key, RunAt: at(looks.Load() + after).Add(step / 2)})
		if j := await(t, seen, key); j.UniqueKey != key {
			t.Errorf("ran %s, want %s", j.UniqueKey, key)
		}
	}
}

func again(t *testing.T, w *world) {
	seen := make(chan queue.Job, 3)
	w.start(t, func(_ context.Context, j queue.Job) error {
		seen <- j
		if j.Attempt < 3 {
			return queue.Again(time.Millisecond)
		}
		return nil
	}, func(o *queue.Options) { o.Poll = patience })
	w.insert(t, queue.Job{UniqueKey: "d1"})
	for attempt := 1; attempt <= 3; attempt++ {
		if j := await(t, seen, "a run"); j.Attempt != attempt {
			t.Errorf("attempt %d, want %d", j.Attempt, attempt)
		}
	}
	w.until(t, "d1", "done")
}

func failure(t *testing.T, w *world) {
	w.start(t, func(context.Context, queue.Job) error { return errors.New("no such image") })
	w.insert(t, queue.Job{UniqueKey: "d1"})
	if r := w.until(t, "d1", "failed"); r.text != "no such image" || r.worker != "" {
		t.Errorf("%+v", r)
	}
}

func panics(t *testing.T, w *world) {
	w.start(t, func(_ context.Context, j queue.Job) error {
		if j.UniqueKey == "bad" {
			panic("a bug")
		}
		return nil
	}, func(o *queue.Options) { o.Workers = 1 })
	w.insert(t, queue.Job{UniqueKey: "bad"}, queue.Job{UniqueKey: "good"})
	if r := w.until(t, "bad", "failed"); !strings.Contains(r.text, "a bug") || !strings.Contains(r.text, "goroutine") {
		t.Errorf("no stack kept: %q", r.text)
	}
	w.until(t, "good", "done")
}

func remove(t *testing.T, w *world) {
	w.insert(t, queue.Job{UniqueKey: "gone"}, queue.Job{UniqueKey: "stays"})
	drop := func(tx *sql.Tx) error { return queue.Remove(t.Context(), tx, "gone") }
	for range 2 {
		if err := w.tx(t, drop); err != nil {
			t.Fatal(err)
		}
	}
	b := newBlocker()
	w.start(t, b.handle)
	if j := await(t, b.began, "a job"); j.UniqueKey != "stays" {
		t.Errorf("ran %s", j.UniqueKey)
	}
}

func removeRunning(t *testing.T, w *world) {
	b := newBlocker()
	w.start(t, b.handle)
	w.insert(t, queue.Job{UniqueKey: "d1"})
	await(t, b.began, "the job")
	if err := w.tx(t, func(tx *sql.Tx) error { return queue.Remove(t.Context(), tx, "d1") }); err != nil {
		t.Fatal(err)
	}
	if r := w.row(t, "d1"); r.state != "running" {
		t.Errorf("%+v", r)
	}
	b.release <- nil
	w.until(t, "d1", "done")
}

func prune(t *testing.T, w *world) {
	w.insert(t, queue.Job{UniqueKey: "old"}, queue.Job{UniqueKey: "new"}, queue.Job{UniqueKey: "waits"})
	long := time.Now().Add(-90 * 24 * time.Hour).UnixMicro()
	w.exec(t, `update jobs set state = 'done', ended_at = $1 where unique_key = 'old'`, long)
	w.exec(t, `update jobs set state = 'done', ended_at = $1 where unique_key = 'new'`, time.Now().UnixMicro())
	w.exec(t, `update jobs set created_at = $1 where unique_key = 'waits'`, long)
	w.start(t, func(context.Context, queue.Job) error { return nil })
	w.until(t, "waits", "done")
	if r := w.row(t, "old"); r.state != "" {
		t.Errorf("the old row is still there: %+v", r)
	}
	if r := w.row(t, "new"); r.state != "done" {
		t.Errorf("the new row is gone: %+v", r)
	}
}
