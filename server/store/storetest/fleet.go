package storetest

import (
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
	// It is not for want of looking that no two are the same: the range ends.
	last := w.App(t, "last")
	for i := range 1 << (26 - pool.Bits()) {
		if err := network(last.ID, fmt.Sprint(i)); err != nil {
			wantErr(t, err, store.ErrNoAddress, pool.String())
			apart(t, pool, subnets)
			t.Logf("200 apps have %d networks and %d addresses; %d more networks are free", 200*len(keys), len(addresses), i)
			return
		}
	}
	t.Error("the range never ended")
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
