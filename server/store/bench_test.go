package store_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/store"
)

// BenchmarkDeliver has 16 senders of 7.6 kB bodies, each waiting for its
// answer, as the webhook does.
func BenchmarkDeliver(b *testing.B) {
	b.Run("one repository", func(b *testing.B) {
		benchmarkDeliver(b, func(n int64) pipeline.Delivery { return delivery(guid(n)) }, nil)
	})
	b.Run("many repositories", func(b *testing.B) {
		benchmarkDeliver(b, func(n int64) pipeline.Delivery {
			d := delivery(guid(n))
			d.Repo, d.RepoID = fmt.Sprint("Owner/repo", n%1000), 100+n%1000
			return d
		}, nil)
	})
	b.Run("each queues", func(b *testing.B) {
		benchmarkDeliver(b, func(n int64) pipeline.Delivery { return delivery(guid(n)) }, queued)
	})
}

func guid(n int64) string { return fmt.Sprintf("%08x-0000-4000-8000-%012d", uint32(n*2654435761), n) }

func benchmarkDeliver(b *testing.B, of func(int64) pipeline.Delivery, decide func(pipeline.Delivery, pipeline.App) func([]pipeline.Standing) pipeline.Delivery) {
	db, err := store.OpenDatabase(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	s := store.New(db, store.Options{})
	app, err := s.CreateApp(b.Context(), pipeline.App{Name: "shop", Repo: "Owner/shop", Branch: "main"})
	if err != nil {
		b.Fatal(err)
	}
	const senders = 16
	took := [senders][]time.Duration{}
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for sender := range senders {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				d := of(n)
				answer := ignored(d.ID)
				if decide != nil {
					answer = decide(d, app)
				}
				begun := time.Now()
				if _, err := s.Deliver(b.Context(), d, answer); err != nil {
					b.Error(err)
				}
				took[sender] = append(took[sender], time.Since(begun))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Concat(took[:]...)
	slices.Sort(all)
	b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "deliveries/s")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
	var stored int
	if err := db.Read.QueryRowContext(b.Context(), `select count(*) from deliveries`).Scan(&stored); err != nil || stored != b.N {
		b.Errorf("%d of %d are stored, %v", stored, b.N, err)
	}
	if err := errors.Join(s.Close(), db.Close()); err != nil {
		b.Error(err)
	}
}
