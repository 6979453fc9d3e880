package pipeline

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// Drift is one thing that somebody changed by hand of what runs. Nothing undoes
// it: it may be meant.
type Drift struct {
	Service   string
	Container string    // its name as it is now
	What      string    // what is different: it goes on from the container's name
	Fix       string    // what to do about it, where it is not meant
	Since     time.Time // when it was first seen
}

func (d Drift) String() string { return d.Container + " " + d.What }

// drifts are the latest findings, by app ID.
type drifts struct {
	mu sync.Mutex
	of map[string]drifted
}

// drifted is what was found of one app when it was looked at last.
type drifted struct {
	app   string // its name
	found []difference
}

// difference is a drift with the container that it is about: names can be
// changed by hand.
type difference struct {
	Drift
	id string
}

// note keeps an app's differences, and logs those that are new.
func (d *drifts) note(log *slog.Logger, a App, found []difference, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, f := range found {
		seen := slices.IndexFunc(d.of[a.ID].found, func(old difference) bool { return old.id == f.id && old.What == f.What })
		if seen >= 0 {
			found[i].Since = d.of[a.ID].found[seen].Since
			continue
		}
		found[i].Since = now
		log.Warn("something was changed by hand", "app", a.Name, "what", f.String())
	}
	if d.of == nil {
		d.of = map[string]drifted{}
	}
	d.of[a.ID] = drifted{a.Name, found}
}

// keep forgets all apps but those that there are.
func (d *drifts) keep(apps []App) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range d.of {
		if !slices.ContainsFunc(apps, func(a App) bool { return a.ID == id }) {
			delete(d.of, id)
		}
	}
}

// Drift is what somebody changed by hand of what runs of the app, as it was
// found when it was looked at last. While a deployment is under way nobody looks.
func (r *Runner) Drift(appID string) []Drift {
	r.drifts.mu.Lock()
	defer r.drifts.mu.Unlock()
	var out []Drift
	for _, f := range r.drifts.of[appID].found {
		out = append(out, f.Drift)
	}
	return out
}

// Drifts counts by name of the app; apps without a drift have 0.
func (r *Runner) Drifts() map[string]int {
	r.drifts.mu.Lock()
	defer r.drifts.mu.Unlock()
	out := map[string]int{}
	for _, of := range r.drifts.of {
		out[of.app] = len(of.found)
	}
	return out
}

// drift compares what runs of the live release with what it was made of, as far
// as it can be changed while it runs.
func (s settled) drift(there []Container) []difference {
	var out []difference
	seen := map[string]string{} // name of the first container that is one thing
	for _, c := range there {
		svc, ok := s.rel.Stack.Service(c.Owner.Service)
		if !ok || c.Purpose != "" || c.Owner.Deployment != "" && c.Owner.Deployment != s.live.StackID() {
			continue
		}
		if !c.up() && c.Owner.Deployment == "" {
			continue // what it was before, on its way out
		}
		key := fmt.Sprintf("%s %s %d", c.Owner.Deployment, c.Owner.Service, c.Replica)
		l := look{service: svc, container: c}
		if first, twice := seen[key]; twice {
			l.add("remove the one that is not to be", "is a second container of %s beside %s", svc.Name, first)
		} else {
			seen[key] = c.Name
			s.look(&l)
		}
		out = append(out, l.found...)
	}
	return out
}

// look is one container that is looked at, and what was found.
type look struct {
	service   stack.Service
	container Container
	found     []difference
}

// add notes what is different, and the command that undoes it; empty: there is
// none. A deployment makes what is colored anew, and leaves kept services alone.
func (l *look) add(undo, format string, args ...any) {
	var fix []string
	if l.container.Owner.Deployment != "" {
		fix = append(fix, "deploy again")
	}
	if undo != "" {
		fix = append(fix, undo)
	}
	l.found = append(l.found, difference{id: l.container.ID, Drift: Drift{
		Service: l.service.Name, Container: l.container.Name, What: fmt.Sprintf(format, args...), Fix: strings.Join(fix, ", or "),
	}})
}

func (s settled) look(l *look) {
	c := l.container
	if c.MadeAs != "" && c.MadeAs != c.Name {
		l.add("docker rename "+c.Name+" "+c.MadeAs, "was called %s when it was made", c.MadeAs)
	}
	if c.Status == "paused" {
		l.add("docker unpause "+c.Name, "is paused")
	}
	l.limits()
	if want := restartOf(l.service); c.Owner.Deployment == "" && c.Policy != want && c.Policy != "no" {
		l.add("docker update --restart "+want+" "+c.Name, "has the restart policy %s, its file says %s", c.Policy, want)
	}
	s.lookAtNetworks(l)
}

// limits compares what a container may use at most.
func (l *look) limits() {
	was, is := l.service.Limits, l.container.Limits
	for _, of := range []struct {
		name    string
		was, is string
	}{
		{"memory limit", bytesOf(was.Memory), bytesOf(is.Memory)},
		{"memory reservation", bytesOf(was.MemoryReservation), bytesOf(is.MemoryReservation)},
		{"limit of CPUs", limitOf(was.CPUs), limitOf(is.CPUs)},
		{"limit of processes", limitOf(was.Pids), limitOf(is.Pids)},
	} {
		if of.was != of.is {
			l.add("set it back with docker update", "has the %s %s, it was made with %s", of.name, of.is, of.was)
		}
	}
}

func (s settled) lookAtNetworks(l *look) {
	c := l.container
	links := s.linksOf(s.app, s.rel.Stack, l.service, c.Owner.Color)
	if routed(s.app, s.rel, l.service) {
		links = append(links, Link{Network: s.Edge, External: true})
	}
	may := slices.Clone(links)
	may = append(may, s.liveLinks(s.app, s.rel.Stack, l.service)...)
	for _, network := range c.Networks {
		is := func(l Link) bool { return l.Network == network }
		if !slices.ContainsFunc(may, is) && network != "host" && network != "none" {
			l.add("docker network disconnect "+network+" "+c.Name, "was put on network %s", network)
		}
	}
	for _, to := range links {
		live := l.service.Role == stack.Keep && to.nameless() // reconciling brings it there
		if live || slices.Contains(c.Networks, to.Network) {
			continue
		}
		undo := "" // an address or a name of a color is given by a deployment only
		if c.Owner.Deployment == "" {
			undo = "docker network connect"
			for _, name := range to.Aliases {
				undo += " --alias " + name
			}
			undo += " " + to.Network + " " + c.Name
		}
		l.add(undo, "was taken off network %s", to.Network)
	}
}

// bytesOf is a limit for people.
func bytesOf(n int64) string {
	const mebi = 1 << 20
	switch {
	case n == 0:
		return "none"
	case n%mebi == 0:
		return strconv.FormatInt(n/mebi, 10) + " MiB"
	}
	return strconv.FormatInt(n, 10) + " bytes"
}

func limitOf[T int64 | float64](n T) string {
	if n == 0 {
		return "none"
	}
	return fmt.Sprint(n)
}
