package queuetest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/swingbridge/swingbridge/server/queue"
)

func serialKey(t *testing.T, w *world) {
	b := newBlocker()
	w.start(t, b.handle)
	w.insert(t, queue.Job{UniqueKey: "d1", SerialKey: "a"}, queue.Job{UniqueKey: "d2", SerialKey: "a"}, queue.Job{UniqueKey: "other"})
	first := map[string]bool{await(t, b.began, "a job").UniqueKey: true, await(t, b.began, "a second job").UniqueKey: true}
	if !first["d1"] || !first["other"] {
		t.Fatalf("ran beside each other: %v", first)
	}
	if r := w.row(t, "d2"); r.state != "queued" {
		t.Errorf("d2 is %s", r.state)
	}
	b.release <- nil
	b.release <- nil
	if j := await(t, b.began, "d2"); j.UniqueKey != "d2" {
		t.Errorf("got %s", j.UniqueKey)
	}
	b.release <- nil
	w.until(t, "d2", "done")
}

func parallel(t *testing.T, w *world) {
	b := newBlocker()
	w.start(t, b.handle)
	for i := range 4 {
		w.insert(t, queue.Job{SerialKey: fmt.Sprint("app", i)})
	}
	for range 4 {
		await(t, b.began, "four at once")
	}
}

// many checks, over three queues on one table, that every job ran exactly once
// and that no two of one serial key overlapped.
func many(t *testing.T, w *world) {
	const jobs, apps = 60, 5
	var (
		mu   sync.Mutex
		busy = map[string]string{}
		runs = map[string]int{}
		all  = make(chan struct{}, jobs*2)
	)
	handle := func(_ context.Context, j queue.Job) error {
		mu.Lock()
		if other, ok := busy[j.SerialKey]; ok {
			t.Errorf("%s ran beside %s of %s", j.UniqueKey, other, j.SerialKey)
		}
		busy[j.SerialKey] = j.UniqueKey
		runs[j.UniqueKey]++
		mu.Unlock()
		mu.Lock()
		delete(busy, j.SerialKey)
		mu.Unlock()
		all <- struct{}{}
		return nil
	}
	for range 3 {
		w.start(t, handle)
	}
	for i := range jobs {
		w.insert(t, queue.Job{UniqueKey: fmt.Sprint("d", i), SerialKey: fmt.Sprint("app", i%apps)})
	}
	for range jobs {
		await(t, all, "all jobs")
	}
	for i := range jobs {
		key := fmt.Sprint("d", i)
		w.until(t, key, "done")
		mu.Lock()
		if runs[key] != 1 {
			t.Errorf("%s ran %d times", key, runs[key])
		}
		mu.Unlock()
	}
}
