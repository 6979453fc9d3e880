package auth

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

const (
	// addressBurst failed attempts in a row are allowed per address, then one
	// each addressEvery.
	addressBurst = 10
	addressEvery = 10 * time.Second
	// globalBurst and globalEvery are the same for all addresses together.
	globalBurst = 100
	globalEvery = time.Second
	// shelves is how many buckets there are for addresses. An attacker with
	// more addresses than that fills them all, but never makes one forgotten.
	shelves = 4096
)

// limiter bounds failed attempts. Its size never changes: an address is hashed
// to a bucket, which others may share.
type limiter struct {
	seed maphash.Seed

	mu      sync.Mutex
	global  bucket
	buckets [shelves]bucket
}

// bucket is how much was taken, and when that was reckoned.
type bucket struct {
	taken float64
	at    time.Time
}

func newLimiter() *limiter { return &limiter{seed: maphash.MakeSeed()} }

// take counts an attempt of an address; false means it must wait. An attempt
// that succeeds is given back.
func (l *limiter) take(from string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.shelf(from)
	own.leak(now, addressEvery)
	l.global.leak(now, globalEvery)
	if own.taken+1 > addressBurst || l.global.taken+1 > globalBurst {
		return false
	}
	own.taken++
	l.global.taken++
	return true
}

func (l *limiter) giveBack(from string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.shelf(from)
	own.taken = max(0, own.taken-1)
	l.global.taken = max(0, l.global.taken-1)
}

// shelf is the bucket of an address: of the whole /64 for IPv6, which one
// customer has to himself.
func (l *limiter) shelf(from string) *bucket {
	key := from
	if addr, err := netip.ParseAddr(from); err == nil {
		addr = addr.Unmap().WithZone("")
		if addr.Is6() {
			if prefix, err := addr.Prefix(64); err == nil {
				addr = prefix.Addr()
			}
		}
		key = addr.String()
	}
	return &l.buckets[maphash.String(l.seed, key)%shelves]
}

func (b *bucket) leak(now time.Time, every time.Duration) {
	if !now.After(b.at) {
		return
	}
	b.taken = max(0, b.taken-float64(now.Sub(b.at))/float64(every))
	b.at = now
}
