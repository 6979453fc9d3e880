package docker

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/network"

	"github.com/swingbridge/swingbridge/pipeline"
)

func TestEdge_HostReachesContainersAndTheyDoNotReachEachOther(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	one := w.run(w.order("one", 10))
	two := w.order("two", 11)
	two.Links = nil // else they meet on the app's own network
	other := w.run(two)
	for _, c := range []pipeline.Container{one, other} {
		if got := w.get(c, "/"); got != "hello" {
			t.Errorf("%s answers %q", c.Name, got)
		}
	}
	if got := w.get(one, "/dial?to="+netip.AddrPortFrom(other.Edge, 8080).String()); !strings.HasPrefix(got, "refused") {
		t.Errorf("a container reached another one over the edge: %s", got)
	}
	// The control: on the app's network they do reach each other, by name.
	w.run(w.order("three", 12))
	if got := w.get(one, "/dial?to=web:8080"); got != "reached" {
		t.Errorf("the app's own network: %s", got)
	}
}

func TestEdge_AppNetworkGivesTheDefaultRoute(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	c := w.run(w.order("d1", 10))
	there, err := w.api.NetworkInspect(t.Context(), w.AppNetwork("shop", ""), network.InspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	table := w.get(c, "/file?path=/proc/net/route")
	gateway := netip.MustParseAddr(there.IPAM.Config[0].Gateway).As4()
	want := strings.ToUpper(hexReversed(gateway))
	for _, line := range strings.Split(table, "\n") {
		if fields := strings.Fields(line); len(fields) > 2 && fields[1] == "00000000" {
			if fields[2] != want {
				t.Errorf("the default route goes to %s, not to %s", fields[2], want)
			}
			return
		}
	}
	t.Errorf("no default route:\n%s", table)
}

func hexReversed(b [4]byte) string {
	const digits = "0123456789abcdef"
	var out []byte
	for i := 3; i >= 0; i-- {
		out = append(out, digits[b[i]>>4], digits[b[i]&15])
	}
	return string(out)
}

func TestEdge_FixedAddressOutsideTheRangeIsKeptOverStopAndStart(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	o := w.order("d1", 77)
	if w.edge.Range.Contains(o.Edge.Address) {
		t.Fatal("the test chose an address of the range")
	}
	c := w.run(o)
	for range 2 {
		if c = w.inspect(c.ID); c.Edge != o.Edge.Address {
			t.Errorf("address %s, want %s", c.Edge, o.Edge.Address)
		}
		if err := w.Stop(t.Context(), c.ID); err != nil {
			t.Fatal(err)
		}
		if stopped := w.inspect(c.ID); stopped.Edge != o.Edge.Address {
			t.Errorf("stopped: address %s", stopped.Edge)
		}
		if err := w.Start(t.Context(), c.ID); err != nil {
			t.Fatal(err)
		}
	}
	second := w.ensure(w.order("d2", 77))
	if err := w.Start(t.Context(), second.ID); err == nil || !strings.Contains(strings.ToLower(err.Error()), "address") {
		t.Errorf("two containers have one address: %v", err)
	}
}

func TestEnsureNetwork_OtherSubnetOrOwnerIsAClearError(t *testing.T) {
	t.Parallel()
	w, stranger := setup(t), setup(t)
	n := w.ensureFree(w.freeNetwork(w.AppNetwork("shop", ""), 26))
	if err := w.EnsureNetwork(t.Context(), n); err != nil {
		t.Errorf("the same again: %v", err)
	}
	other := n
	other.Subnet = netip.PrefixFrom(n.Subnet.Addr(), 27)
	if err := w.EnsureNetwork(t.Context(), other); !errors.Is(err, pipeline.ErrConflict) || !strings.Contains(err.Error(), "subnet") {
		t.Errorf("other subnet: %v", err)
	}
	other = n
	other.AppID = "2"
	if err := w.EnsureNetwork(t.Context(), other); !errors.Is(err, pipeline.ErrConflict) {
		t.Errorf("other app: %v", err)
	}
	other = n
	other.Isolated = true
	if err := w.EnsureNetwork(t.Context(), other); !errors.Is(err, pipeline.ErrConflict) {
		t.Errorf("isolated: %v", err)
	}
	other = n
	other.Name = stranger.AppNetwork("shop", "")
	if err := w.EnsureNetwork(t.Context(), other); err == nil {
		t.Error("made a network with another installation's name")
	}
	if err := stranger.EnsureNetwork(t.Context(), other); !errors.Is(err, pipeline.ErrConflict) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("subnet in use: %v", err)
	}
	if err := stranger.RemoveNetwork(t.Context(), n.Name); err == nil {
		t.Error("removed another installation's network")
	}
	for range 2 {
		if err := w.RemoveNetwork(t.Context(), n.Name); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
}

func TestEnsureNetwork_TwoAtOnceBothFindIt(t *testing.T) {
	t.Parallel()
	w := setup(t)
	n := w.ensureFree(w.freeNetwork(w.EdgeName(), 24))
	for range 3 {
		if err := w.RemoveNetwork(t.Context(), n.Name); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if err := w.EnsureNetwork(t.Context(), n); err != nil {
					t.Errorf("got %v", err)
				}
			})
		}
		all.Wait()
		used, err := w.Subnets(t.Context())
		if err != nil || len(used[n.Name]) != 1 {
			t.Errorf("%s has %v, %v", n.Name, used[n.Name], err)
		}
	}
}

func TestSubnets_TellsOfTheEngineAndTheHost(t *testing.T) {
	t.Parallel()
	w := setup(t)
	n := w.ensureFree(w.freeNetwork(w.EdgeName(), 24))
	used, err := w.Subnets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := used[n.Name]; len(got) != 1 || got[0] != n.Subnet {
		t.Errorf("%s has %v", n.Name, got)
	}
	host := false
	for name, list := range used {
		host = host || strings.HasPrefix(name, "host:")
		for _, prefix := range list {
			if prefix == n.Subnet && name != n.Name {
				t.Errorf("%s names our network a second time", name)
			}
			if prefix.Addr().IsLoopback() || prefix.Bits() == 0 {
				t.Errorf("%s: %s", name, prefix)
			}
		}
	}
	if !host {
		t.Errorf("nothing of the host: %v", used)
	}
}

func TestRemoveNetwork_TakesOwnContainersOff(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	c := w.run(w.order("d1", 10))
	if err := w.RemoveNetwork(t.Context(), w.AppNetwork("shop", "")); err != nil {
		t.Fatal(err)
	}
	if now := w.inspect(c.ID); !now.Running {
		t.Errorf("%+v", now)
	}
}

func TestAnAppCalledEdgeHasANetworkOfItsOwn(t *testing.T) {
	t.Parallel()
	e, err := New(context.Background(), Options{Host: "tcp://127.0.0.1:1", Installation: "abc123"})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if e.AppNetwork("edge", "") == e.EdgeName() {
		t.Error("the app would sit on the edge")
	}
	if got := e.AppNetwork("shop", ""); got != "swingbridge-shop-abc123" {
		t.Errorf("got %s", got)
	}
}

// The engine answers to a container's own host name on each of its networks.
func TestEnsure_NoHostNameIsAnsweredToAcrossAppsOrByTwoColors(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	asking := w.run(w.order("d1", 10))
	same := w.order("d2", 11)
	same.Service.Settings.Hostname = "api.example.org"
	w.run(same)
	other := w.order("d3", 12)
	other.Owner.App, other.Owner.AppID, other.Links = "bank", "2", nil
	other.Service.Settings.Hostname = "other.example.org"
	w.run(other)
	kept := w.order("", 0)
	kept.Owner.Color, kept.Edge, kept.Fingerprint = "", pipeline.Attachment{}, "f1"
	kept.Owner.Service, kept.Service.Name, kept.Service.Settings.Hostname = "db", "db", "storage"
	w.run(kept)
	for name, want := range map[string]bool{"api.example.org": false, "other.example.org": false, "storage": true} {
		got := w.get(asking, "/dial?to="+name+":8080")
		if known := got == "reached" || strings.Contains(got, ":8080: "); known != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
