package queuetest

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/server/queue"
)

// quick makes leases so short that heartbeats and take-overs happen at once.
func quick(o *queue.Options) { o.Lease = 30 * time.Millisecond }

func cancelHere(t *testing.T, w *world) {
	b := newBlocker()
	q, _ := w.start(t, b.handle)
	w.insert(t, queue.Job{UniqueKey: "d1"})
	await(t, b.began, "the job")
	mine := errors.New("mona canceled it")
	ok, err := q.Cancel(t.Context(), "d1", mine)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	if got := await(t, b.causes, "the cancel"); !errors.Is(got, mine) {
		t.Errorf("cause %v", got)
	}
	w.until(t, "d1", "canceled")
}

func cancelElsewhere(t *testing.T, w *world) {
	b := newBlocker()
	w.start(t, b.handle, func(o *queue.Options) { o.Lease = time.Second })
	w.insert(t, queue.Job{UniqueKey: "d1"})
	await(t, b.began, "the job")
	other := queue.New(w.write, w.read, queue.Options{Worker: "another process"})
	if ok, err := other.Cancel(t.Context(), "d1", errors.New("mona canceled it")); !ok || err != nil {
		t.Fatal(ok, err)
	}
	got := await(t, b.causes, "the cancel")
	if !errors.Is(got, queue.ErrCanceled) || got.Error() != "canceled: mona canceled it" {
		t.Errorf("cause %v", got)
	}
	w.until(t, "d1", "canceled")
}

func cancelIn(t *testing.T, w *world) {
	b, mine, never := newBlocker(), errors.New("mona rolled it back"), errors.New("never committed")
	q, _ := w.start(t, b.handle, func(o *queue.Options) {
		o.Lease, o.Causes = time.Hour, []error{mine, never} // no heartbeat comes by chance
	})
	w.insert(t, queue.Job{UniqueKey: "d1"})
	await(t, b.began, "the job")
	cancel := func(key string, cause error, want bool, end error) {
		t.Helper()
		err := w.tx(t, func(tx *sql.Tx) error {
			if text, err := queue.CanceledIn(t.Context(), tx, key); text != "" || err != nil {
				t.Errorf("%s was canceled before: %q, %v", key, text, err)
			}
			if told, err := queue.CancelIn(t.Context(), tx, key, cause); told != want || err != nil {
				t.Errorf("cancel %s: %v %v", key, told, err)
			}
			written := map[bool]string{true: cause.Error()}[want]
			if text, err := queue.CanceledIn(t.Context(), tx, key); text != written || err != nil {
				t.Errorf("%s was canceled with %q, %v, want %q", key, text, err, written)
			}
			return end
		})
		if !errors.Is(err, end) {
			t.Fatal(err)
		}
		q.Heed()
	}
	cancel("another", mine, false, nil)
	cancel("d1", never, true, never)
	cancel("d1", mine, true, nil)
	if got := await(t, b.causes, "the cancel"); !errors.Is(got, mine) {
		t.Errorf("cause %v", got)
	}
	w.until(t, "d1", "canceled")
}

func cancelQueued(t *testing.T, w *world) {
	w.insert(t, queue.Job{UniqueKey: "d1"})
	before := queue.New(w.write, w.read, queue.Options{Worker: "before a restart"})
	if ok, err := before.Cancel(t.Context(), "d1", queue.ErrCanceled); !ok || err != nil {
		t.Fatal(ok, err)
	}
	b := newBlocker()
	w.start(t, b.handle)
	if got := await(t, b.causes, "the cancel"); !errors.Is(got, queue.ErrCanceled) {
		t.Errorf("cause %v", got)
	}
	w.until(t, "d1", "canceled")
}

func cancelNothing(t *testing.T, w *world) {
	q, _ := w.start(t, func(context.Context, queue.Job) error { return nil })
	w.insert(t, queue.Job{UniqueKey: "d1"})
	w.until(t, "d1", "done")
	for _, key := range []string{"d1", "never was"} {
		if ok, err := q.Cancel(t.Context(), key, nil); ok || err != nil {
			t.Errorf("%s: %v %v", key, ok, err)
		}
	}
}

func shutdown(t *testing.T, w *world) {
	b := newBlocker()
	_, stop := w.start(t, b.handle)
	w.insert(t, queue.Job{UniqueKey: "d1"})
	await(t, b.began, "the job")
	stop()
	if got := await(t, b.causes, "the shutdown"); !errors.Is(got, queue.ErrShutdown) {
		t.Errorf("cause %v", got)
	}
	if r := w.row(t, "d1"); r.state != "queued" || r.worker != "" || r.attempt != 1 {
		t.Errorf("%+v", r)
	}
	w.start(t, b.handle)
	if j := await(t, b.began, "the second run"); j.Attempt != 2 {
		t.Errorf("attempt %d", j.Attempt)
	}
}

func shutdownDone(t *testing.T, w *world) {
	began := make(chan struct{})
	_, stop := w.start(t, func(ctx context.Context, _ queue.Job) error {
		close(began)
		<-ctx.Done()
		return nil // it had reached its end
	})
	w.insert(t, queue.Job{UniqueKey: "d1"})
	await(t, began, "the job")
	stop()
	if r := w.row(t, "d1"); r.state != "done" {
		t.Errorf("%+v", r)
	}
}

// steal makes the row look as if another worker had claimed it.
func (w *world) steal(t *testing.T, key string, lease time.Time) {
	t.Helper()
	w.exec(t, `update jobs set state = 'running', worker = 'dead', attempt = attempt + 1, lease_until = $1 where unique_key = $2`,
		lease.UnixMicro(), key)
}

func takeBack(t *testing.T, w *world) {
	w.insert(t, queue.Job{UniqueKey: "d1"})
	w.steal(t, "d1", time.Now().Add(time.Hour))
	b := newBlocker()
	w.start(t, b.handle, func(o *queue.Options) { o.TakeBack = true })
	if j := await(t, b.began, "the job of the dead"); j.Attempt != 2 {
		t.Errorf("attempt %d", j.Attempt)
	}
}

func takeOver(t *testing.T, w *world) {
	b := newBlocker()
	w.insert(t, queue.Job{UniqueKey: "alive"}, queue.Job{UniqueKey: "silent"})
	w.steal(t, "alive", time.Now().Add(time.Hour))
	w.steal(t, "silent", time.Now().Add(50*time.Millisecond))
	w.start(t, b.handle, quick)
	if j := await(t, b.began, "the silent one's job"); j.UniqueKey != "silent" || j.Attempt != 2 {
		t.Errorf("took over %+v", j)
	}
	if r := w.row(t, "alive"); r.state != "running" || r.worker != "dead" {
		t.Errorf("the living one's job: %+v", r)
	}
}

func pause(t *testing.T, w *world) {
	b := newBlocker()
	w.start(t, b.handle, quick)
	w.insert(t, queue.Job{UniqueKey: "d1"})
	await(t, b.began, "the job")
	w.exec(t, `update jobs set lease_until = 1 where unique_key = 'd1'`) // as after a long pause
	deadline := time.After(patience)
	for lease := int64(1); lease == 1; {
		select {
		case <-b.began:
			t.Fatal("it was started twice")
		case <-deadline:
			t.Fatal("no heartbeat came")
		case <-time.After(time.Millisecond):
		}
		if err := w.read.QueryRowContext(t.Context(), `select lease_until from jobs where unique_key = 'd1'`).Scan(&lease); err != nil {
			t.Fatal(err)
		}
	}
	b.release <- nil
	if r := w.until(t, "d1", "done"); r.attempt != 1 {
		t.Errorf("%+v", r)
	}
}

func fenced(t *testing.T, w *world) {
	causes := make(chan error, 1)
	began := make(chan struct{}, 1)
	_, stop := w.start(t, func(ctx context.Context, _ queue.Job) error {
		began <- struct{}{}
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return nil // it believes that it was done
	}, quick)
	w.insert(t, queue.Job{UniqueKey: "d1"})
	await(t, began, "the job")
	w.steal(t, "d1", time.Now().Add(time.Hour))
	if got := await(t, causes, "the loss"); !errors.Is(got, queue.ErrLost) {
		t.Errorf("cause %v", got)
	}
	stop()
	if r := w.row(t, "d1"); r.state != "running" || r.worker != "dead" || r.attempt != 2 {
		t.Errorf("the loser wrote: %+v", r)
	}
}

// unaware ends a job whose loss no heartbeat has told yet: only the fence in the
// update keeps it from writing.
func unaware(t *testing.T, w *world) {
	b := newBlocker()
	_, stop := w.start(t, b.handle)
	w.insert(t, queue.Job{UniqueKey: "d1"})
	await(t, b.began, "the job")
	w.steal(t, "d1", time.Now().Add(time.Hour))
	w.exec(t, `update jobs set worker = 'worker0' where unique_key = 'd1'`) // even under the same name
	b.release <- nil
	stop()
	if r := w.row(t, "d1"); r.state != "running" || r.attempt != 2 {
		t.Errorf("the loser wrote: %+v", r)
	}
}

// orphan has a row that is ours in the table but does not run here, as after an
// end that could not be written.
func orphan(t *testing.T, w *world) {
	b := newBlocker()
	w.start(t, b.handle, quick)
	w.insert(t, queue.Job{UniqueKey: "d1", RunAt: time.Now().Add(time.Hour)})
	w.exec(t, `update jobs set state = 'running', worker = 'worker0', attempt = 1, run_at = 1, lease_until = $1 where unique_key = 'd1'`,
		time.Now().Add(time.Hour).UnixMicro())
	if j := await(t, b.began, "another run"); j.Attempt != 2 {
		t.Errorf("attempt %d", j.Attempt)
	}
}
