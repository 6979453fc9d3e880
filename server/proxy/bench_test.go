package proxy

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// routes makes a proxy, not running, with one app for each of n hosts.
func routes(b *testing.B, n int) *Proxy {
	b.Helper()
	p, err := New(Options{HTTP: "127.0.0.1:0", DataDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Close() })
	write := p.save
	p.save = func(*table) error { return nil }
	for i := range n {
		swing(b, p, benchEntry(i, 0))
	}
	p.save = write
	return p
}

func benchEntry(app, generation int) pipeline.Entry {
	to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(app / 256), byte(app)}), uint16(8000+generation%2))
	return pipeline.Entry{
		AppID: fmt.Sprint("app", app), App: fmt.Sprint("app", app), Deployment: fmt.Sprintf("%d-%d", app, generation%2), Commit: "c0ffee",
		Paths: []pipeline.Path{{Host: fmt.Sprintf("h%d.example", app), Prefix: "/", Targets: []netip.AddrPort{to}}},
	}
}

// BenchmarkSwap reports the change in memory and, apart from it, the write and
// fsync before it.
func BenchmarkSwap(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			p := routes(b, n)
			var swap, durable time.Duration
			var i int
			for b.Loop() {
				i++
				s := swing(b, p, benchEntry(0, i))
				swap += s.Swap
				durable += s.Durable
			}
			b.ReportMetric(float64(swap.Microseconds())/float64(b.N), "swap-µs/op")
			b.ReportMetric(float64(durable.Microseconds())/float64(b.N), "durable-µs/op")
		})
	}
}

// BenchmarkLookup is what routing adds to a request: find, count, look again.
func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			p := routes(b, n)
			host := fmt.Sprintf("h%d.example", n/2)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					v := visit{proxy: p, ask: ask{host: canonicalHost(host + ":443"), path: "/some/path"}}
					if page := v.enter(b.Context()); page != nil {
						b.Error(page.text)
					}
					v.choose(true)
					v.done()
				}
			})
		})
	}
}
