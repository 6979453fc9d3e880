package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// proofBudget bounds the proof through the public listener.
const proofBudget = 15 * time.Second

// cutOver swings all visitors over and proves it. An operator's cancel does
// not stop it midway: it is carried through, then taken back.
func (x *run) cutOver(ctx context.Context) (string, error) {
	ctx, cancel := x.steady(ctx)
	defer cancel()
	entry, err := x.entry(ctx)
	if err != nil {
		return "", err
	}
	for _, c := range x.containers {
		if err := x.Engine.SetRestart(ctx, c.ID, true); err != nil {
			return "", fmt.Errorf("set restart policy of %s: %w", c.Name, err)
		}
	}
	swung, err := x.swing(ctx, entry)
	if err != nil {
		return "", err
	}
	x.cutAt = x.Now()
	proof, done := context.WithTimeout(ctx, proofBudget)
	defer done()
	if err := x.Prover.Prove(proof, entry); err != nil {
		return "", fmt.Errorf("prove through the public listener: %w", err)
	}
	return fmt.Sprintf("visitors moved to %s in %s (durable in %s, table version %d), proved through the public listener",
		x.dep.Color, swung.Swap, swung.Durable.Round(10*time.Microsecond), swung.Version), nil
}

// entry is what the proxy is to have: containers are looked at once more, for
// an address may have become another app's.
func (x *run) entry(ctx context.Context) (Entry, error) {
	e := Entry{AppID: x.app.ID, App: x.app.Name, Deployment: x.dep.ID, Commit: x.dep.Commit, Color: x.dep.Color,
		Redirects: x.rel.Stack.Redirects}
	at := map[string]netip.Addr{}
	for i, c := range x.containers {
		now, err := x.Engine.Inspect(ctx, c.ID)
		if err != nil {
			return Entry{}, fmt.Errorf("look at container %s: %w", c.Name, err)
		}
		if !now.Running {
			return Entry{}, fmt.Errorf("container %s is %s (exit code %d)", c.Name, now.Status, now.ExitCode)
		}
		x.containers[i], at[c.Owner.Service] = now, now.Edge
	}
	for _, r := range x.routes() {
		addr, ok := at[r.Service]
		if !ok {
			return Entry{}, fmt.Errorf("route %s names service %s, which does not run", r, r.Service)
		}
		e.Paths = append(e.Paths, Path{
			Host: r.Host, Prefix: r.Prefix(), Targets: []netip.AddrPort{netip.AddrPortFrom(addr, uint16(r.Port))},
		})
	}
	return e, nil
}

// routes are those of the release: what visitors reach changes with a
// deployment and with nothing else, in either direction.
func (x *run) routes() []Route {
	if len(x.rel.Stack.Routes) == 0 {
		return x.app.Routes // a release from before routes were kept
	}
	var out []Route
	for _, r := range x.rel.Stack.Routes {
		out = append(out, Route{Host: r.Host, Path: r.Path, Service: r.Service, Port: r.Port})
	}
	return out
}

// swing changes the table, or finds it changed already: after an interruption,
// or where the answer of the proxy was lost.
func (x *run) swing(ctx context.Context, entry Entry) (Swung, error) {
	for {
		was, err := x.askProxy(ctx)
		if err != nil {
			return Swung{}, err
		}
		if sameEntry(was, entry) {
			return Swung{Version: was.Version}, nil
		}
		swung, err := x.Proxy.Swing(ctx, entry, was.Version)
		if err == nil {
			return swung, nil
		}
		if !errors.Is(err, ErrUnreachable) {
			return Swung{}, fmt.Errorf("swing to %s: %w", x.dep.Color, err)
		}
	}
}

// cutBack swings visitors back to the color they came from, or to nothing
// where there was none, and lets what they have open on the new one end.
func (x *run) cutBack(ctx context.Context) error {
	now, err := x.askProxy(ctx)
	if err != nil {
		return err
	}
	if now.Deployment == x.dep.ID {
		if err := x.returnTo(ctx, now); err != nil {
			return err
		}
	}
	for _, c := range x.containers {
		if err := x.Engine.SetRestart(ctx, c.ID, false); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("set restart policy of %s: %w", c.Name, err)
		}
	}
	// What is open on a color that was given up must not keep the undo from
	// ending: its budget bounds the drain too.
	left, err := x.waitDrained(ctx, x.dep.ID, x.Now().Add(min(drainLimit(x.rel), undoBudget/2)))
	if err != nil {
		return err
	}
	if left > 0 {
		x.say("%d request(s) still open on %s at the drain limit", left, x.dep.Color)
	}
	return nil
}

func (x *run) returnTo(ctx context.Context, now Entry) error {
	if x.live.ID == "" {
		x.say("no earlier version to go back to: the routes are taken away")
		if err := x.Proxy.Drop(ctx, x.app.ID); err != nil {
			return fmt.Errorf("drop routes: %w", err)
		}
		return nil
	}
	back, err := EntryFor(ctx, x.Engine, x.app, x.live, x.liveRel)
	if err != nil {
		return fmt.Errorf("go back to %s: %w", x.live.Color, err)
	}
	swung, err := x.Proxy.Swing(ctx, back, now.Version)
	if err != nil {
		return fmt.Errorf("swing back to %s: %w", x.live.Color, err)
	}
	x.say("visitors are back on %s after %s", x.live.Color, swung.Swap)
	return nil
}

// EntryFor makes the table entry of a deployment from the containers that run.
func EntryFor(ctx context.Context, engine Engine, app App, d Deployment, rel Release) (Entry, error) {
	there, err := engine.List(ctx, Filter{AppID: app.ID, Deployment: d.ID})
	if err != nil {
		return Entry{}, fmt.Errorf("list containers: %w", err)
	}
	x := &run{Runner: &Runner{Engine: engine}, app: app, dep: d, rel: rel, containers: there}
	return x.entry(ctx)
}
