package stack

import (
	"maps"
	"slices"
)

// joins are the networks of a service; none is the default one alone.
func (s *service) joins() []Join {
	if s.from.NetworkMode != "" {
		return nil // refused, or the host's
	}
	var out []Join
	for _, name := range slices.Sorted(maps.Keys(s.from.Networks)) {
		join := Join{Network: name}
		if cfg := s.from.Networks[name]; cfg != nil {
			for _, alias := range cfg.Aliases {
				if alias != s.name && !slices.Contains(join.Aliases, alias) {
					join.Aliases = append(join.Aliases, alias)
				}
			}
		}
		if _, declared := s.project.Networks[name]; !declared && name != "default" {
			s.l.found.add(s.entry("networks", name), s.name, "networks", "the network %s is not declared: name it under the top-level networks", name)
			continue
		}
		out = append(out, join)
	}
	if len(out) == 1 && out[0].Network == "default" && len(out[0].Aliases) == 0 {
		return nil
	}
	return out
}

// checkJoins refuses what a service's place on a network cannot have.
func (l *loading) checkJoins(name string, v *view) {
	for _, it := range v.items("networks") {
		for _, c := range pairs(it.node) {
			key := "networks." + it.key + "." + c.key.Value
			at := place{l.fileOf(c.key, it.file), c.key.Line}
			switch c.key.Value {
			case "aliases":
			case "priority", "gw_priority":
				l.found.note(at, name, key, "has no effect: the engine orders a container's networks")
			case "ipv4_address", "ipv6_address", "link_local_ips", "mac_address":
				l.found.add(at, name, key, "addresses are Swingbridge's to choose, two colors cannot share one: let others call the service by its name or by aliases; %s", undo)
			default:
				l.found.add(at, name, key, "%s; %s", notHandled, undo)
			}
		}
	}
}

// networks are those that services are on, in their order.
func (c *conversion) networks(services []Service) []Network {
	used := map[string]bool{}
	for _, s := range services {
		for _, j := range s.Networks {
			used[j.Network] = true
		}
		if len(s.Networks) == 0 {
			used["default"] = true
		}
	}
	var out []Network
	for _, name := range slices.Sorted(maps.Keys(used)) {
		from := c.project.Networks[name]
		n := Network{Name: name, Internal: from.Internal, Labels: some(from.Labels)}
		add := func(key, message string) {
			c.l.found.add(c.top.at("networks", name, key), "", "networks."+name+"."+key, "%s", message)
		}
		if bool(from.External) {
			n.External = name
			if from.Name != "" {
				n.External = from.Name
			}
			for _, p := range n.Permissions() {
				c.l.need(c.top.at("networks", name, "external"), "", "networks."+name+".external", p)
			}
		} else if from.Name != "" {
			c.l.found.note(c.top.at("networks", name, "name"), "", "networks."+name+".name", "has no effect: networks are named after the app")
		}
		if from.Driver == "overlay" {
			c.l.found.note(c.top.at("networks", name, "driver"), "", "networks."+name+".driver", "has no effect: there is one host, which a network of the driver bridge reaches all of")
		} else if from.Driver != "" && from.Driver != "bridge" && from.Driver != "default" {
			add("driver", "only networks of the driver bridge are made; "+undo)
		}
		if len(from.DriverOpts) > 0 || len(from.Ipam.Config) > 0 || from.Ipam.Driver != "" {
			c.l.found.note(c.top.at("networks", name), "", "networks."+name, "ipam and driver_opts have no effect: Swingbridge chooses the subnets of its networks")
		}
		for label := range n.Labels {
			if ownLabel(label) {
				add("labels", "labels that begin with dev.swingbridge. are Swingbridge's own")
			}
		}
		if name != "default" || n.Internal || n.Labels != nil || n.External != "" {
			out = append(out, n)
		}
	}
	return out
}
