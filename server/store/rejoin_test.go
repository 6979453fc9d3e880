package store_test

import (
	"context"
	"database/sql"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/store"
	"github.com/swingbridge/swingbridge/server/store/storetest"
)

// rejoinWorld is a store whose jobs are rows of the queue's own table, with
// nobody who works on them.
func rejoinWorld(t *testing.T) (*storetest.World, *store.Database) {
	t.Helper()
	var db *store.Database
	w := storetest.Setup(t, func(t *testing.T, o store.Options) (*store.Store, func(store.Options) *store.Store) {
		t.Helper()
		db = openDatabase(t, t.TempDir())
		o.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
		o.Enqueue = func(ctx context.Context, tx *sql.Tx, d pipeline.Deployment) error {
			_, err := tx.ExecContext(ctx, `insert into jobs (kind, serial_key, unique_key, args, run_at, created_at)
				values ('deploy', $1, $2, '', 1, 1) on conflict do nothing`, d.AppID, d.ID)
			return err
		}
		o.Dequeue = func(ctx context.Context, tx *sql.Tx, id string) error {
			_, err := tx.ExecContext(ctx, `delete from jobs where unique_key = $1 and state = 'queued'`, id)
			return err
		}
		s := store.New(db, o)
		t.Cleanup(func() { closeAll(t, s) })
		return s, nil
	})
	return w, db
}

// jobs lists whose jobs wait or run, in the order in which they are claimed.
func jobs(t *testing.T, db *store.Database) []string {
	t.Helper()
	rows, err := db.Read.QueryContext(t.Context(), `select unique_key from jobs where state in ('queued', 'running') order by id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := []string{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		out = append(out, id)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func rejoin(t *testing.T, w *storetest.World, db *store.Database, want ...string) {
	t.Helper()
	for range 2 { // a second start changes nothing
		if err := w.Rejoin(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append([]string{}, want...), jobs(t, db)); diff != "" {
			t.Error(diff)
		}
	}
}

func lose(t *testing.T, db *store.Database) {
	t.Helper()
	if _, err := db.Write.ExecContext(t.Context(), `update jobs set state = 'failed', worker = null, lease_until = null, ended_at = 1`); err != nil {
		t.Fatal(err)
	}
}

func commit(letter string) string { return strings.Repeat(letter, 40) }

func TestRejoin_WhatIsNotOverGetsItsLostJobBackOnceAndInItsOrder(t *testing.T) {
	t.Parallel()
	for _, under := range [][]pipeline.State{
		{pipeline.Running},
		{pipeline.Running, pipeline.CuttingOver},
		{pipeline.Running, pipeline.CuttingOver, pipeline.Watching},
	} {
		t.Run(string(under[len(under)-1]), func(t *testing.T) {
			t.Parallel()
			w, db := rejoinWorld(t)
			a := w.App(t, "shop")
			live := w.Queue(t, a, pipeline.Push, commit("a"))
			w.GoLive(t, live.ID)
			begun := w.Queue(t, a, pipeline.Push, commit("b"))
			w.Walk(t, begun.ID, under...)
			manual, push := w.Queue(t, a, pipeline.Manual, commit("c")), w.Queue(t, a, pipeline.Push, commit("d"))
			lose(t, db)
			rejoin(t, w, db, begun.ID, manual.ID, push.ID)
		})
	}
}

func TestRejoin_AJobThatIsThereIsKept(t *testing.T) {
	t.Parallel()
	w, db := rejoinWorld(t)
	a := w.App(t, "shop")
	running := w.Queue(t, a, pipeline.Push, commit("a"))
	w.Walk(t, running.ID, pipeline.Running)
	if _, err := db.Write.ExecContext(t.Context(), `update jobs set state = 'running', attempt = 3, worker = 'before', lease_until = 1, cancel = 'by ada'`); err != nil {
		t.Fatal(err)
	}
	waits := w.Queue(t, a, pipeline.Manual, commit("b"))
	rejoin(t, w, db, running.ID, waits.ID)
	var (
		attempt int
		cancel  string
	)
	if err := db.Read.QueryRowContext(t.Context(), `select attempt, cancel from jobs where unique_key = $1`, running.ID).Scan(&attempt, &cancel); err != nil {
		t.Fatal(err)
	}
	if attempt != 3 || cancel != "by ada" {
		t.Errorf("attempt %d, cancel %q: the job was replaced", attempt, cancel)
	}
}

func TestRejoin_WhatIsOverOrHeldGetsNoJob(t *testing.T) {
	t.Parallel()
	w, db := rejoinWorld(t)
	over := w.App(t, "over")
	for _, letter := range []string{"a", "b"} { // the first one retires
		w.GoLive(t, w.Queue(t, over, pipeline.Push, commit(letter)).ID)
	}
	w.Walk(t, w.Queue(t, over, pipeline.Push, commit("c")).ID, pipeline.Running, pipeline.Failed)
	stuck := w.App(t, "stuck")
	w.Walk(t, w.Queue(t, stuck, pipeline.Push, commit("d")).ID, pipeline.Running, pipeline.Stuck)
	w.Queue(t, stuck, pipeline.Manual, commit("e"))
	paused := w.App(t, "paused")
	w.Queue(t, paused, pipeline.Push, commit("f"))
	manual := w.Queue(t, paused, pipeline.Manual, commit("1"))
	paused.Paused = true
	if _, err := w.UpdateApp(t.Context(), paused); err != nil {
		t.Fatal(err)
	}
	gone := w.App(t, "gone")
	w.Queue(t, gone, pipeline.Push, commit("2"))
	if err := w.RemoveApp(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	lose(t, db)
	rejoin(t, w, db, manual.ID)
}
