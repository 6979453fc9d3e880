package pipeline

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// drifts are the differences that somebody made by hand to what runs: sentences
// by container ID, by app ID.
type drifts struct {
	mu sync.Mutex
	of map[string]map[string][]string
}

// note keeps an app's differences, and logs those that are new.
func (d *drifts) note(log *slog.Logger, a App, found map[string][]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, sentences := range found {
		for _, s := range sentences {
			if !slices.Contains(d.of[a.ID][id], s) {
				log.Warn("something was changed by hand", "app", a.Name, "what", s)
			}
		}
	}
	if d.of == nil {
		d.of = map[string]map[string][]string{}
	}
	d.of[a.ID] = found
	if len(found) == 0 {
		delete(d.of, a.ID)
	}
}

// drift compares what runs of the live release with what it was made of, as far
// as it can be changed while it runs.
func (s settled) drift(there []Container) map[string][]string {
	out := map[string][]string{}
	seen := map[string]string{} // name of the first container that is one thing
	for _, c := range there {
		svc, ok := s.rel.Stack.Service(c.Owner.Service)
		if !ok || c.Purpose != "" || c.Owner.Deployment != "" && c.Owner.Deployment != s.live.ID {
			continue
		}
		if !c.up() && c.Owner.Deployment == "" {
			continue // what it was before, on its way out
		}
		key := fmt.Sprintf("%s %s %d", c.Owner.Deployment, c.Owner.Service, c.Replica)
		if first, twice := seen[key]; twice {
			out[c.ID] = append(out[c.ID], fmt.Sprintf("%s is a second container of %s beside %s: remove the one that is not to be", c.Name, svc.Name, first))
			continue
		}
		seen[key] = c.Name
		if found := s.driftOf(svc, c); len(found) > 0 {
			out[c.ID] = found
		}
	}
	return out
}

func (s settled) driftOf(svc stack.Service, c Container) []string {
	var out []string
	add := func(format string, args ...any) {
		out = append(out, c.Name+fmt.Sprintf(format, args...))
	}
	if c.MadeAs != "" && c.MadeAs != c.Name {
		add(" was called %s when it was made", c.MadeAs)
	}
	if c.Status == "paused" {
		add(" is paused")
	}
	was, is := svc.Limits, c.Limits
	for _, l := range []struct {
		name    string
		was, is any
	}{
		{"memory limit", was.Memory, is.Memory},
		{"memory reservation", was.MemoryReservation, is.MemoryReservation},
		{"limit of CPUs", was.CPUs, is.CPUs},
		{"limit of processes", was.Pids, is.Pids},
	} {
		if l.was != l.is {
			add(": its %s is %v, was made with %v", l.name, l.is, l.was)
		}
	}
	if want := restartOf(svc); c.Owner.Deployment == "" && c.Policy != want && c.Policy != "no" {
		add(": its restart policy is %s, its file says %s", c.Policy, want)
	}
	return append(out, s.driftOfNetworks(svc, c)...)
}

func (s settled) driftOfNetworks(svc stack.Service, c Container) []string {
	var out []string
	links := s.linksOf(s.app, s.rel.Stack, svc, c.Owner.Color)
	if routed(s.app, s.rel, svc) {
		links = append(links, Link{Network: s.Edge, External: true})
	}
	may := slices.Clone(links)
	may = append(may, s.liveLinks(s.app, s.rel.Stack, svc)...)
	for _, network := range c.Networks {
		is := func(l Link) bool { return l.Network == network }
		if !slices.ContainsFunc(may, is) && network != "host" && network != "none" {
			out = append(out, fmt.Sprintf("%s was put on network %s", c.Name, network))
		}
	}
	for _, l := range links {
		live := svc.Role == stack.Keep && l.nameless() // reconciling brings it there
		if !live && !slices.Contains(c.Networks, l.Network) {
			out = append(out, fmt.Sprintf("%s was taken off network %s", c.Name, l.Network))
		}
	}
	slices.SortFunc(out, strings.Compare)
	return out
}
