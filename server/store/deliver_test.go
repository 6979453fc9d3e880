package store_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/store"
	"github.com/swingbridge/swingbridge/server/store/storetest"
)

func TestDeliver_AFailingCommitIsAnErrorForTheWholeGroup(t *testing.T) {
	t.Parallel()
	db := openDatabase(t, t.TempDir())
	w := &storetest.World{Clock: storetest.NewClock()}
	o := w.Options()
	var fail atomic.Bool
	o.Enqueue = func(ctx context.Context, tx *sql.Tx, _ pipeline.Deployment) error {
		if !fail.Load() {
			return nil
		}
		// A foreign key that is looked at only by the commit.
		_, err := tx.ExecContext(ctx, `pragma defer_foreign_keys = on`)
		_, err2 := tx.ExecContext(ctx, `insert into subnets (app_id, key, subnet) values ('nobody', '', 'nothing')`)
		return errors.Join(err, err2)
	}
	w.Store = store.New(db, o)
	defer closeAll(t, w.Store)
	a := w.App(t, "shop")
	w.Changes()

	fail.Store(true)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			d := delivery(fmt.Sprint("lost-", i))
			if _, err := w.Deliver(t.Context(), d, queued(d, a)); err == nil || !strings.Contains(err.Error(), "commit") {
				t.Errorf("%s was answered although its commit failed: %v", d.ID, err)
			}
		})
	}
	wg.Wait()
	_, err := w.QueueDeployment(t.Context(), pipeline.NewDeployment{AppID: a.ID, Trigger: pipeline.Manual})
	if err == nil {
		t.Error("a deployment was answered although its commit failed")
	}
	fail.Store(false)
	if list, err := w.Deliveries(t.Context(), pipeline.Page{}); err != nil || len(list) != 0 {
		t.Errorf("stored %d deliveries, %v; want none", len(list), err)
	}
	if got := w.Changes(); got != nil {
		t.Errorf("announced what was not committed: %+v", got)
	}
	d := delivery("kept")
	if _, err := w.Deliver(t.Context(), d, queued(d, a)); err != nil {
		t.Errorf("the store did not recover: %v", err)
	}
}

func TestDeliver_AFullDiskIsAnErrorAndPasses(t *testing.T) {
	t.Parallel()
	db := openDatabase(t, t.TempDir())
	s := store.New(db, store.Options{})
	defer closeAll(t, s)
	pages := func(n int) {
		if _, err := db.Write.ExecContext(t.Context(), fmt.Sprintf("pragma max_page_count = %d", n)); err != nil {
			t.Fatal(err)
		}
	}
	pages(1) // SQLite takes what there is as the least
	var acked []string
	var mu sync.Mutex
	var failed atomic.Int64
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			id := fmt.Sprint("guid-", i)
			if _, err := s.Deliver(t.Context(), delivery(id), ignored(id)); err != nil {
				failed.Add(1)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			acked = append(acked, id)
		})
	}
	wg.Wait()
	if failed.Load() == 0 {
		t.Error("no delivery failed on a full disk")
	}
	pages(1 << 30)
	for _, id := range acked {
		if _, err := s.DeliveryByID(t.Context(), id); err != nil {
			t.Errorf("acknowledged, but not stored: %v", err)
		}
	}
	if _, err := s.Deliver(t.Context(), delivery("later"), ignored("later")); err != nil {
		t.Errorf("with space again: %v", err)
	}
}

func TestDeliver_NobodyWaitsForAClosedStore(t *testing.T) {
	t.Parallel()
	db := openDatabase(t, t.TempDir())
	s := store.New(db, store.Options{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	var acked []string
	for i := range 16 {
		wg.Go(func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("guid-%d-%d", i, n)
				_, err := s.Deliver(t.Context(), delivery(id), ignored(id))
				if errors.Is(err, store.ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("%s: %v", id, err)
					return
				}
				mu.Lock()
				acked = append(acked, id)
				if len(acked) == 100 {
					go closeAll(t, s)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	closeAll(t, s)
	for _, id := range acked {
		if _, err := s.DeliveryByID(t.Context(), id); err != nil {
			t.Errorf("acknowledged, but not stored: %v", err)
		}
	}
}

func TestDeliver_WhoGaveUpIsNotKeptWaiting(t *testing.T) {
	t.Parallel()
	db := openDatabase(t, t.TempDir())
	s := store.New(db, store.Options{})
	defer closeAll(t, s)
	held, err := db.Write.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	for i := range 3 {
		go func() {
			id := fmt.Sprint("guid-", i)
			_, err := s.Deliver(ctx, delivery(id), ignored(id))
			done <- err
		}()
	}
	cancel()
	for range 3 {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("gave up: %v", err)
		}
	}
	closeAll(t, held)
	if _, err := s.Deliver(t.Context(), delivery("next"), ignored("next")); err != nil {
		t.Error(err)
	}
}

func queued(d pipeline.Delivery, a pipeline.App) func([]pipeline.Standing) pipeline.Delivery {
	return func([]pipeline.Standing) pipeline.Delivery {
		d.Outcome, d.Reason = pipeline.OutcomeQueued, "push"
		d.Apps = []pipeline.Verdict{{AppID: a.ID, Outcome: pipeline.OutcomeQueued, Reason: "push",
			Queue: &pipeline.NewDeployment{Commit: d.Commit, Trigger: pipeline.Push}}}
		return d
	}
}

// TestDeliver_SurvivesKill kills a process while it delivers and compares what
// it acknowledged with what is stored. The control acknowledges before it
// delivers, which this test must see.
func TestDeliver_SurvivesKill(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"honest", "early"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			acked := killedWhileDelivering(t, dir, mode)
			s := store.New(openDatabase(t, dir), store.Options{})
			defer closeAll(t, s)
			lost := slices.DeleteFunc(acked, func(id string) bool {
				_, err := s.DeliveryByID(t.Context(), id)
				return err == nil
			})
			if mode == "honest" && len(lost) > 0 {
				t.Errorf("acknowledged, but lost: %v", lost)
			}
			if mode == "early" && len(lost) == 0 {
				t.Error("this test does not see a lost delivery")
			}
		})
	}
}

const (
	helperVariable = "STORE_TEST_DELIVER"
	killedAfter    = 300 // acknowledged deliveries
)

func killedWhileDelivering(t *testing.T, dir, mode string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelper_Delivers$", "-test.v")
	cmd.Env = append(os.Environ(), helperVariable+"="+mode+":"+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var acked []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if id, is := strings.CutPrefix(lines.Text(), "acknowledged "); is {
			acked = append(acked, id)
		}
		if len(acked) == killedAfter {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || len(acked) < killedAfter {
		t.Fatalf("the process ended by itself after %d deliveries: %v", len(acked), err)
	}
	return acked
}

// TestHelper_Delivers is the process that is killed; started as a test it does
// nothing.
func TestHelper_Delivers(t *testing.T) {
	mode, dir, is := strings.Cut(os.Getenv(helperVariable), ":")
	if !is {
		return
	}
	s := store.New(openDatabase(t, dir), store.Options{})
	var mu sync.Mutex
	acked := 0
	ack := func(id string) (last bool) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println("acknowledged " + id)
		acked++
		return acked >= killedAfter
	}
	for worker := range 16 {
		go func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("guid-%d-%d", worker, n)
				decide := ignored(id)
				if mode == "early" && ack(id) {
					decide = func([]pipeline.Standing) pipeline.Delivery { select {} } // until the kill
				}
				if _, err := s.Deliver(context.Background(), delivery(id), decide); err != nil {
					panic(err)
				}
				if mode != "early" {
					ack(id)
				}
			}
		}()
	}
	select {}
}
