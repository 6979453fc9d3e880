package auth

import (
	"fmt"
	"testing"
	"time"
	"unsafe"
)

func TestLimiter_StaysSmallAndClosedUnderManyAddresses(t *testing.T) {
	t.Parallel()
	l := newLimiter()
	now := time.Unix(1_800_000_000, 0)
	size := unsafe.Sizeof(*l)
	if size > 1<<18 {
		t.Errorf("the limiter takes %d bytes", size)
	}
	var through int
	for i := range 100_000 {
		if l.take(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), now) {
			through++
		}
	}
	if through != globalBurst {
		t.Errorf("%d attempts went through at once, want %d", through, globalBurst)
	}
	if l.take("192.0.2.1", now) {
		t.Error("the flood made the limit forgotten")
	}
	if !l.take("192.0.2.1", now.Add(time.Minute)) {
		t.Error("nobody gets in a minute after the flood")
	}
}

func TestLimiter_AFloodOfOthersDoesNotForgetAnAddress(t *testing.T) {
	t.Parallel()
	l := newLimiter()
	now := time.Unix(1_800_000_000, 0)
	for range addressBurst {
		if !l.take("192.0.2.1", now) {
			t.Fatal("limited too early")
		}
	}
	for i := range 100_000 {
		l.take(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), now)
	}
	l.global = bucket{} // only the address's own limit is looked at
	if l.take("192.0.2.1", now) {
		t.Error("the address may try again")
	}
	if l.take("::ffff:192.0.2.1", now) {
		t.Error("another spelling of the address may try again")
	}
	if !l.take("192.0.2.1", now.Add(addressEvery+time.Millisecond)) || l.take("192.0.2.1", now.Add(addressEvery+time.Millisecond)) {
		t.Error("not one more attempt after its time")
	}
}

func TestLimiter_OneIPv6CustomerIsOneAddress(t *testing.T) {
	t.Parallel()
	l := newLimiter()
	now := time.Unix(1_800_000_000, 0)
	var through int
	for i := range 1000 {
		if l.take(fmt.Sprintf("2001:db8::%x", i), now) {
			through++
		}
	}
	if through != addressBurst {
		t.Errorf("%d attempts of one /64 went through", through)
	}
	l.giveBack("2001:db8::5")
	if !l.take("2001:db8::6", now) {
		t.Error("a successful attempt counted")
	}
	l.take("2001:db8::7", now.Add(-time.Hour)) // a clock that goes back is no way around
	if l.take("2001:db8::8", now) {
		t.Error("an attempt went through after the clock went back")
	}
}
