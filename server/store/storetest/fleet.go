package storetest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/store"
)

// testFleet shows that the default range bears 200 apps of three services: a
// web, a worker and a kept one, on a network of the app, one for each color and
// one for the live color; both colors of the web on the edge.
func testFleet(t *testing.T, open Open) {
	w := Setup(t, open)
	pool := netip.MustParsePrefix("10.201.0.0/16")
	edge := netip.PrefixFrom(pool.Addr(), pipeline.EdgeBits)
	must(t, w.SetEdge(t.Context(), edge, pool))
	keys := []string{"", "default/blue", "default/green", "default/live"}
	subnets, addresses := []netip.Prefix{edge}, map[netip.Addr]string{}
	network := func(app, key string) error {
		got, err := w.AppSubnet(t.Context(), app, key, nil)
		if err != nil {
			return err
		}
		subnets = append(subnets, got)
		return nil
	}
	for i := range 200 {
		a := w.App(t, fmt.Sprintf("app-%d", i))
		for _, key := range keys {
			must(t, network(a.ID, key))
		}
		for _, color := range []string{"blue", "green"} {
			got, err := w.Reserve(t.Context(), a.ID+"-"+color, "web", 0)
			must(t, err)
			if who := addresses[got]; who != "" || !edge.Contains(got) {
				t.Fatalf("%s of %s has %s, as has %q", color, a.Name, got, who)
			}
			addresses[got] = a.Name
		}
	}
	apart(t, pool, subnets)
	// The controls: what is free is found, to the last one, and then no more.
	last, left := w.App(t, "last"), free(pool, subnets)
	middle := len(left) / 2
	used := slices.Concat(left[:middle], left[middle+1:])
	got, err := w.AppSubnet(t.Context(), last.ID, "last", used)
	must(t, err)
	if got != left[middle] {
		t.Errorf("of all but %s in use, %s was chosen", left[middle], got)
	}
	_, err = w.AppSubnet(t.Context(), last.ID, "none", used)
	wantErr(t, err, store.ErrNoAddress, pool.String())
	t.Logf("200 apps have %d networks and %d addresses; %d more networks are free", 200*len(keys), len(addresses), len(left))
}

// free lists the networks of an app's size in the pool that overlap with none of
// the subnets.
func free(pool netip.Prefix, subnets []netip.Prefix) (out []netip.Prefix) {
	raw := pool.Addr().As4()
	first := binary.BigEndian.Uint32(raw[:])
	for n := range uint32(1) << (26 - pool.Bits()) {
		binary.BigEndian.PutUint32(raw[:], first+n<<6)
		p := netip.PrefixFrom(netip.AddrFrom4(raw), 26)
		if !slices.ContainsFunc(subnets, p.Overlaps) {
			out = append(out, p)
		}
	}
	return out
}

// apart fails the test unless the subnets are of the pool and overlap nowhere.
func apart(t *testing.T, pool netip.Prefix, subnets []netip.Prefix) {
	t.Helper()
	slices.SortFunc(subnets, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	for i, s := range subnets {
		if !pool.Overlaps(s) || i > 0 && s.Overlaps(subnets[i-1]) {
			t.Errorf("%s is outside of %s, or overlaps with %s", s, pool, subnets[max(i, 1)-1])
		}
	}
}
