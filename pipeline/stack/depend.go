package stack

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// needs lists what a service waits for, in its depends_on and its links, by the
// names after folding. Nothing is said about what is wrong with it.
func (s *service) needs() []Dependency {
	found := map[string]Dependency{}
	for _, name := range slices.Sorted(maps.Keys(s.from.DependsOn)) {
		d := s.from.DependsOn[name]
		to := s.called(name)
		if s.folded[name] != s.name { // each color may wait for the other
			found[to] = Dependency{Service: to, Condition: d.Condition, Optional: !d.Required}
		}
	}
	for _, link := range s.from.Links {
		name, _, _ := strings.Cut(link, ":")
		to := s.called(name)
		if _, there := found[to]; !there && s.folded[name] != s.name {
			found[to] = Dependency{Service: to, Condition: Started}
		}
	}
	var out []Dependency
	for _, name := range slices.Sorted(maps.Keys(found)) {
		out = append(out, found[name])
	}
	return out
}

// dependsOn are the dependencies that a deployment waits for. What cannot be
// waited for is a problem, or said where it does no harm.
func (s *service) dependsOn() []Dependency {
	for name, d := range s.from.DependsOn {
		if d.Restart {
			s.l.found.note(s.entry("depends_on", name), s.name, "depends_on."+name+".restart", "has no effect: what depends on a service keeps running while that one is replaced")
		}
	}
	var out []Dependency
	for _, d := range s.needs() {
		on := s.all[d.Service]
		switch {
		case on != nil && on.front:
			s.l.found.note(s.entry("depends_on", d.Service), s.name, "depends_on", fmt.Sprintf("%s is not started, so nothing waits for it", on.name))
		case s.impossible(d, on):
		default:
			out = append(out, d)
		}
	}
	return out
}

// impossible says why a dependency cannot be waited for, and reports whether it
// is to be left out.
func (s *service) impossible(d Dependency, on *service) bool {
	key := "depends_on"
	if _, ok := s.from.DependsOn[d.Service]; !ok && len(s.from.Links) > 0 {
		key = "links"
	}
	at := s.entry(key, d.Service)
	gone := on == nil || on.idle()
	switch {
	case gone && d.Optional:
		return true
	case on == nil:
		s.l.found.add(at, s.name, key, "the files have no service %s: take it out, or name the file that has it among the app's compose files", d.Service)
	case on.idle() && on.none():
		s.l.found.note(at, s.name, key, fmt.Sprintf("does not wait for %s: %s", on.name, on.why))
	case on.idle():
		s.l.found.add(at, s.name, key, "the service %s is a task (%s), which a deployment does not start: take it out, write `required: false`, or name its profile in COMPOSE_PROFILES in the app's environment",
			on.name, on.reason())
	case d.Condition == Completed && on.role != Task:
		s.l.found.add(at, s.name, key, "waits for the end of %s, whose role is %s (%s): its role must be task", on.name, on.role, on.reason())
	case s.role == Keep && on.role.Colored():
		s.l.found.note(at, s.name, key, fmt.Sprintf("does not wait for %s: each deployment replaces that one, and this service stays", on.name))
	case s.once && on.role.Colored():
		s.l.found.add(at, s.name, key, "it runs to its end before the new color starts, so it cannot wait for %s: take that out", on.name)
	case s.role == Web && on.role == Worker:
		s.l.found.add(at, s.name, key, "%s is a worker (%s), which takes over after the web services: give it the role web with x-swingbridge.role, or take this out", on.name, on.reason())
	default:
		return false
	}
	return true
}

// entry is the place of one entry of a list or mapping of services, by its name
// or by one that was folded into it.
func (s *service) entry(key, name string) place {
	for _, it := range slices.Backward(s.view.items(key)) {
		text := it.key
		if text == "" {
			text, _, _ = s.l.vars.expand(it.node.Value)
			text, _, _ = strings.Cut(text, ":")
		}
		if text == name || s.called(text) == name {
			return it.place
		}
	}
	return s.view.at(key)
}

// idle reports whether no deployment starts the service.
func (s *service) idle() bool { return s.front || s.role == Task && !s.once }

// linkAliases gives the services that links name the further names in them.
func (c *conversion) linkAliases() {
	for _, s := range c.sorted() {
		for _, link := range s.from.Links {
			name, alias, _ := strings.Cut(link, ":")
			to := c.all[c.called(name)]
			if s.front || to == nil || to.front || alias == "" || alias == to.name || slices.Contains(to.names, alias) {
				continue
			}
			if taken := c.all[c.called(alias)]; taken != nil {
				c.l.found.add(s.entry("links", name), s.name, "links", "the alias %s is the name of another service: all services share their networks, choose another alias", alias)
				continue
			}
			to.names = append(to.names, alias)
		}
	}
}

// checkCycles refuses services that wait for each other.
func (c *conversion) checkCycles() {
	done := map[string]bool{}
	var visit func(s *service, way []string)
	visit = func(s *service, way []string) {
		if i := slices.Index(way, s.name); i >= 0 {
			circle := append(slices.Clone(way[i:]), s.name)
			s.l.found.add(s.view.at("depends_on"), s.name, "depends_on", "waits for itself: %s", strings.Join(circle, " → "))
			return
		}
		if done[s.name] {
			return
		}
		for _, d := range s.needs() {
			if on := c.all[d.Service]; on != nil && !on.idle() {
				visit(on, append(slices.Clone(way), s.name))
			}
		}
		done[s.name] = true
	}
	for _, s := range c.sorted() {
		if !s.idle() {
			visit(s, nil)
		}
	}
}
