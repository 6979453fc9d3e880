package pipeline

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// Each Compose network is one stable network of the app, where kept services
// have their names and colored ones none: two colors would both answer. Colored
// services call each other on a network of their color. Where kept services are
// to call colored ones, a third network has the names of the live color.
//
// defaultNetwork is the Compose network of services that name none.
const defaultNetwork = "default"

// joinsOf are the service's places on Compose networks; none in the host's own
// and without any network.
func joinsOf(svc stack.Service) []stack.Join {
	switch {
	case slices.Contains(svc.Rights.Host, "network"), svc.Rights.Other["network"] == "none":
		return nil
	case len(svc.Networks) == 0:
		return []stack.Join{{Network: defaultNetwork}}
	}
	return svc.Networks
}

// crowd is who is on a Compose network.
type crowd struct {
	network       stack.Network
	colored, kept int // services
}

// crowds are the Compose networks that services of the stack are on, by name.
func crowds(s stack.Stack) []crowd {
	on := map[string]crowd{}
	for _, svc := range s.Services {
		for _, j := range joinsOf(svc) {
			c := on[j.Network]
			c.network = networkOf(s, j.Network)
			switch {
			case svc.Role.Colored():
				c.colored++
			case svc.Role == stack.Keep:
				c.kept++
			}
			on[j.Network] = c
		}
	}
	var out []crowd
	for _, name := range slices.Sorted(maps.Keys(on)) {
		out = append(out, on[name])
	}
	return out
}

func networkOf(s stack.Stack, name string) stack.Network {
	for _, n := range s.Networks {
		if n.Name == name {
			return n
		}
	}
	return stack.Network{Name: name}
}

// perColor reports whether colored services call each other on it.
func (c crowd) perColor() bool { return c.colored > 1 }

// live reports whether kept services may call colored ones on it.
func (c crowd) live() bool { return c.colored > 0 && c.kept > 0 }

// stableKey is the key of a Compose network's own network. One that turns
// internal, or no longer is, becomes another network: it cannot be changed while
// containers are on it.
func (c crowd) stableKey() string {
	switch {
	case c.network.Internal:
		return c.network.Name + "/internal"
	case c.network.Name == defaultNetwork:
		return ""
	}
	return c.network.Name
}

func (c crowd) colorKey(color Color) string { return c.network.Name + "/" + string(color) }

func (c crowd) liveKey() string { return c.network.Name + "/live" }

// stable is the link to a Compose network's own network.
func (r *Runner) stable(a App, c crowd) Link {
	if c.network.External != "" {
		return Link{Network: c.network.External, External: true}
	}
	return Link{Network: r.AppNetwork(a, c.stableKey())}
}

// linksOf are the service's places on networks when its container is made. Kept
// services are on the live networks too, without names; colored ones join those
// when visitors are moved to them, see liveLinks.
func (r *Runner) linksOf(a App, s stack.Stack, svc stack.Service, color Color) []Link {
	var stable, further []Link
	for _, place := range placesOf(s, svc) {
		own := r.stable(a, place.crowd)
		switch {
		case svc.Role == stack.Keep:
			own.Aliases = place.names
			if place.live() {
				further = append(further, Link{Network: r.AppNetwork(a, place.liveKey())})
			}
		case svc.Role.Colored() && place.perColor():
			further = append(further, Link{Network: r.AppNetwork(a, place.colorKey(color)), Aliases: place.names})
		}
		stable = append(stable, own)
	}
	return append(stable, further...)
}

// liveLinks are where a colored service's containers are besides, while their
// color is live.
func (r *Runner) liveLinks(a App, s stack.Stack, svc stack.Service) []Link {
	var out []Link
	for _, place := range placesOf(s, svc) {
		if svc.Role.Colored() && place.live() {
			out = append(out, Link{Network: r.AppNetwork(a, place.liveKey()), Aliases: place.names})
		}
	}
	return out
}

// nameless reports whether the link is a kept service's to the live color.
func (l Link) nameless() bool { return !l.External && len(l.Aliases) == 0 }

// place is a service's place on a Compose network.
type place struct {
	crowd
	names []string // its own one first
}

func placesOf(s stack.Stack, svc stack.Service) []place {
	all := crowds(s)
	var out []place
	for _, j := range joinsOf(svc) {
		i := slices.IndexFunc(all, func(c crowd) bool { return c.network.Name == j.Network })
		if i < 0 { // a service that is not among the stack's
			all, i = append(all, crowd{network: networkOf(s, j.Network)}), len(all)
		}
		names := []string{svc.Name}
		for _, name := range slices.Concat(svc.Names, j.Aliases) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		out = append(out, place{all[i], names})
	}
	return out
}

// links is linksOf for a service of this run's release and color.
func (x *run) links(svc stack.Service) []Link { return x.linksOf(x.app, x.rel.Stack, svc, x.dep.Color) }

// networksOf are the networks that a stack needs for a color, in their order.
func (r *Runner) networksOf(a App, s stack.Stack, color Color) []keyed {
	var out []keyed
	add := func(key string, c crowd, internal bool) {
		out = append(out, keyed{key, Network{
			Name: r.AppNetwork(a, key), AppID: a.ID, App: a.Name, Internal: internal, Labels: c.network.Labels,
		}})
	}
	for _, c := range crowds(s) {
		if c.network.External == "" {
			add(c.stableKey(), c, c.network.Internal)
		}
		if c.perColor() {
			add(c.colorKey(color), c, true)
		}
		if c.live() {
			add(c.liveKey(), c, true)
		}
	}
	return out
}

// keyed is a network with its key within the app.
type keyed struct {
	key string
	Network
}

// ensureNetworks makes the networks of the run's stack, out of our subnets and
// beside all that are in use.
func (x *run) ensureNetworks(ctx context.Context) error {
	return x.Runner.ensureNetworks(ctx, x.app, x.rel.Stack, x.dep.Color)
}

func (r *Runner) ensureNetworks(ctx context.Context, a App, s stack.Stack, color Color) error {
	used, err := r.Engine.Subnets(ctx)
	if err != nil {
		return fmt.Errorf("list networks: %w", err)
	}
	for _, n := range r.networksOf(a, s, color) {
		subnet, err := r.Ledger.AppSubnet(ctx, a.ID, n.key, beside(n.Name, used))
		if err != nil {
			return fmt.Errorf("choose a subnet: %w", err)
		}
		n.Subnet, n.Gateway, n.Range = subnet, subnet.Addr().Next(), subnet
		if err := r.Engine.EnsureNetwork(ctx, n.Network); err != nil {
			return fmt.Errorf("make network %s: %w", n.Name, err)
		}
		used[n.Name] = []netip.Prefix{subnet}
	}
	return nil
}

// beside lists what others have than the network of that name. Where it is
// there already it stays, also if something came to overlap it since.
func beside(name string, used map[string][]netip.Prefix) []netip.Prefix {
	var others []netip.Prefix
	for network, subnets := range used {
		for _, s := range subnets {
			if network != name && !overlaps(s, used[name]) {
				others = append(others, s)
			}
		}
	}
	return others
}

// routed reports whether visitors reach the service.
func routed(a App, rel Release, svc stack.Service) bool {
	return svc.Role == stack.Web &&
		slices.ContainsFunc(routesOf(a, rel), func(r Route) bool { return r.Service == svc.Name })
}
