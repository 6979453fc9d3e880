package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// entry is what the proxy is to have at the cutover: containers are looked at
// once more, for an address may have become another app's. All of them run, or
// there is no cutover.
func (x *run) entry(ctx context.Context) (Entry, error) {
	for _, c := range x.web() {
		now, err := x.Engine.Inspect(ctx, c.ID)
		if err != nil {
			return Entry{}, fmt.Errorf("look at container %s: %w", c.Name, err)
		}
		if !now.Running {
			return Entry{}, fmt.Errorf("container %s is %s (exit code %d)", c.Name, now.Status, now.ExitCode)
		}
		x.note(now)
	}
	return entryOf(x.app, x.dep, x.rel, x.colored())
}

// errNotRunning is why a route has nothing to lead to.
var errNotRunning = errors.New("does not run")

// EntryFor makes the table entry of a deployment from its containers that run.
// It fails where a route has none.
func EntryFor(ctx context.Context, engine Engine, app App, d Deployment, rel Release) (Entry, error) {
	there, err := engine.List(ctx, Filter{AppID: app.ID, Deployment: d.StackID()})
	if err != nil {
		return Entry{}, fmt.Errorf("list containers: %w", err)
	}
	var run []Container
	var last error
	for _, c := range there {
		if c.Running {
			run = append(run, c)
		} else {
			last = errors.Join(last, fmt.Errorf("container %s is %s (exit code %d)", c.Name, c.Status, c.ExitCode))
		}
	}
	e, err := entryOf(app, d, rel, run)
	if err != nil {
		return Entry{}, errors.Join(last, err)
	}
	return e, nil
}

// entryOf sends each route of the release to the replicas of its service.
func entryOf(app App, d Deployment, rel Release, containers []Container) (Entry, error) {
	e := Entry{
		AppID: app.ID, App: app.Name, Deployment: d.StackID(), Commit: d.Commit, Color: d.Color,
		Redirects: rel.Stack.Redirects, Front: rel.Stack.Front,
	}
	at := map[string][]netip.Addr{}
	for _, c := range containers {
		if !c.Edge.IsValid() || c.Purpose != "" {
			continue
		}
		at[c.Owner.Service] = append(at[c.Owner.Service], c.Edge)
	}
	for _, addrs := range at {
		slices.SortFunc(addrs, netip.Addr.Compare)
	}
	for _, r := range routesOf(app, rel) {
		p := Path{Host: r.Host, Prefix: r.Prefix(), Ask: askFor(r, routesOf(app, rel), rel.Stack)}
		for _, addr := range at[r.Service] {
			p.Targets = append(p.Targets, netip.AddrPortFrom(addr, uint16(r.Port)))
		}
		if len(p.Targets) == 0 {
			return Entry{}, fmt.Errorf("route %s names service %s, which %w", r, r.Service, errNotRunning)
		}
		e.Paths = append(e.Paths, p)
	}
	return e, nil
}

// askFor is the path of the service's probe, where it leads to this route: it
// answers below 500 and is made to be asked often.
func askFor(r Route, all []Route, s stack.Stack) string {
	svc, ok := s.Service(r.Service)
	if !ok || svc.Probe.Path == "" || svc.Probe.StatusMax >= 500 {
		return ""
	}
	path, _, _ := strings.Cut(svc.Probe.Path, "?")
	best := Route{}
	for _, other := range all {
		if other.Host == r.Host && covers(other.Prefix(), path) && len(other.Prefix()) > len(best.Path) {
			best = Route{Path: other.Prefix()}
		}
	}
	if best.Path != r.Prefix() {
		return ""
	}
	return svc.Probe.Path
}

// covers reports whether the prefix is of whole segments of the path.
func covers(prefix, path string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(prefix, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// routesOf are those of the release: what visitors reach changes with a
// deployment and with nothing else, in either direction.
func routesOf(app App, rel Release) []Route {
	if len(rel.Stack.Routes) == 0 {
		return app.Routes // a release from before routes were kept
	}
	var out []Route
	for _, r := range rel.Stack.Routes {
		out = append(out, Route{Host: r.Host, Path: r.Path, Service: r.Service, Port: r.Port})
	}
	return out
}

// sameEntry reports whether visitors would meet the same, whatever the versions
// and the previews.
func sameEntry(a, b Entry) bool {
	return a.Deployment == b.Deployment && a.Front == b.Front &&
		slices.EqualFunc(a.Paths, b.Paths, samePath) &&
		slices.Equal(plainRedirects(a), plainRedirects(b))
}

func samePath(a, b Path) bool {
	return a.Host == b.Host && a.Prefix == b.Prefix && slices.Equal(a.Targets, b.Targets)
}

// plainRedirects are the entry's with the default filled in.
func plainRedirects(e Entry) []stack.Redirect {
	out := slices.Clone(e.Redirects)
	for i := range out {
		out[i].Status = cmp.Or(out[i].Status, http.StatusPermanentRedirect)
	}
	return out
}

// amends is how often a change of an entry begins anew because the proxy
// changed it meanwhile.
const amends = 5

// amend changes what the table holds for the app, without moving visitors,
// until the change has nothing left to do.
func (r *Runner) amend(ctx context.Context, appID string, change func(*Entry) bool) error {
	for left := amends; ; left-- {
		e, err := r.Proxy.Entry(ctx, appID)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("ask the proxy: %w", err)
		}
		if !change(&e) {
			return nil
		}
		_, err = r.Proxy.Swing(ctx, e, e.Version)
		if err == nil {
			return nil
		}
		if !errors.Is(err, ErrConflict) || left == 0 {
			return fmt.Errorf("change the proxy's entry: %w", err)
		}
	}
}
