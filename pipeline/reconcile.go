package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// Current reads which apps there are and which of their deployments are
// running, cutting over, watching, live or stuck.
type Current func(context.Context) ([]App, []Deployment, error)

// Reconcile compares what the records say is live with what the engine runs
// and the proxy's table holds, and mends the difference: live containers that
// do not run are started, targets that are nobody's are dropped, containers of
// no current deployment are ended, the proxy is pointed at the live color and
// given the app's mode. While a deployment is under way, its run alone decides
// which color that is. Errors concern single apps; all apps are looked at.
func (r *Runner) Reconcile(ctx context.Context, current Current) error {
	// Containers first: a deployment's state is written before its containers
	// are made, so that none found here can be unknown below.
	there, err := r.Engine.List(ctx, Filter{})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	apps, active, err := current(ctx)
	if err != nil {
		return fmt.Errorf("read what should run: %w", err)
	}
	r.drifts.keep(apps)
	byStack := map[string]Deployment{}
	for _, d := range active {
		byStack[d.StackID()] = d
	}
	var errs []error
	for _, a := range apps {
		if err := r.loseStrangers(ctx, a, there); err != nil {
			errs = append(errs, fmt.Errorf("app %s: %w", a.Name, err))
		}
	}
	errs = append(errs, r.mendAll(ctx, apps, there, active, current))
	for _, c := range there {
		// What else runs of an app is its run's to decide, while there is one.
		if d := byStack[c.Owner.Deployment]; d.State == Live && c.Owner.Role == stack.Web && c.Purpose == "" && underWay(active, d.AppID) {
			if err := r.revive(ctx, c); err != nil {
				errs = append(errs, fmt.Errorf("container %s: %w", c.Name, err))
			}
		}
	}
	for _, a := range apps {
		if err := r.point(ctx, a, active); err != nil {
			errs = append(errs, fmt.Errorf("app %s: %w", a.Name, err))
		}
		if err := r.reconcileMode(ctx, a, current); err != nil {
			errs = append(errs, fmt.Errorf("app %s: %w", a.Name, err))
		}
	}
	// Last: visitors have left them by now, or they are not ended.
	return errors.Join(append(errs, r.endAll(ctx, apps, there, byStack))...)
}

// endAll ends the containers of no current deployment, and kept services of no
// app.
func (r *Runner) endAll(ctx context.Context, apps []App, there []Container, byStack map[string]Deployment) error {
	var all []chore
	for _, c := range there {
		var end func(context.Context, Container) error
		if _, current := byStack[c.Owner.Deployment]; !current && c.Owner.Deployment != "" {
			end = r.endOrphan
		} else if !current && !slices.ContainsFunc(apps, func(a App) bool { return a.ID == c.Owner.AppID }) {
			end = r.endStray
		}
		if end == nil {
			continue
		}
		all = append(all, chore{"end " + c.ID, func(ctx context.Context) error {
			if err := end(ctx, c); err != nil {
				return fmt.Errorf("container %s: %w", c.Name, err)
			}
			return nil
		}})
	}
	return r.each(ctx, all)
}

// underWay reports whether a run or a person decides about the app.
func underWay(active []Deployment, appID string) bool {
	return slices.ContainsFunc(active, func(d Deployment) bool { return d.AppID == appID && d.State != Live })
}

// revive makes a live container run, now and after the engine's restarts.
func (r *Runner) revive(ctx context.Context, c Container) error {
	if !c.Always {
		if err := r.Engine.SetRestart(ctx, c.ID, true); err != nil {
			return fmt.Errorf("set restart policy: %w", err)
		}
	}
	if c.Running {
		return nil
	}
	r.Logger.Info("starting a live container that does not run", "container", c.Name, "status", c.Status)
	return r.Engine.Start(ctx, c.ID)
}

// endStray ends the kept service of an app that there is no more.
func (r *Runner) endStray(ctx context.Context, c Container) error {
	if !c.up() && len(c.Anonymous) > 0 {
		return nil
	}
	r.Logger.Info("ending a kept service of no app", "container", c.Name)
	return r.putAway(ctx, c)
}

// endOrphan ends a container of no current deployment, unless requests are
// still open on it: then its run, or the next look, ends it.
func (r *Runner) endOrphan(ctx context.Context, c Container) error {
	if left, err := r.goesOn(ctx, c); left || err != nil {
		return err
	}
	if c.Running {
		e, err := r.Proxy.Entry(ctx, c.Owner.AppID)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("ask the proxy: %w", err)
		}
		if e.Deployment == c.Owner.Deployment {
			return errors.New("the proxy sends visitors to it, though no record says that it serves")
		}
		open, err := r.Proxy.Inflight(ctx, c.Owner.Deployment)
		if err != nil || open > 0 {
			return err
		}
	}
	if err := r.hidePreview(ctx, c.Owner.AppID, c.Owner.Deployment); err != nil {
		return err
	}
	if err := r.noteDone(ctx, c); err != nil {
		return err
	}
	r.Logger.Info("ending a container of no current deployment", "container", c.Name, "deployment", c.Owner.Deployment)
	x := &run{Runner: r}
	if err := x.stopOne(ctx, c); err != nil {
		return err
	}
	if err := r.Ledger.ReleaseAddresses(ctx, c.Owner.Deployment); err != nil {
		return fmt.Errorf("free addresses: %w", err)
	}
	return nil
}

// point makes the proxy's entry of an app equal to its live deployment. While a
// run or a person decides where visitors are, they stay where they are, but
// reach its containers that run now.
func (r *Runner) point(ctx context.Context, a App, active []Deployment) error {
	var to Deployment
	settled := true
	for _, d := range active {
		if d.AppID == a.ID {
			to, settled = d, settled && d.State == Live
		}
	}
	if to.ID == "" {
		return r.unpoint(ctx, a)
	}
	// Before its containers are listed: a target that is lost in between makes
	// the change below a conflict.
	have, err := r.Proxy.Entry(ctx, a.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("ask the proxy: %w", err)
	}
	if !settled {
		if to, err = r.pointed(ctx, have); to.ID == "" || err != nil {
			return err
		}
	}
	rel, err := r.Ledger.Release(ctx, to.ReleaseID)
	if err != nil {
		return fmt.Errorf("read the release of %s: %w", to.Color, err)
	}
	want, err := EntryFor(ctx, r.Engine, a, to, rel)
	if !settled && errors.Is(err, errNotRunning) {
		return nil // its run sees that too
	}
	if err != nil {
		return err
	}
	want.Preview = have.Preview
	if settled { // else it is the run's
		if want.Preview, err = r.keptPreview(ctx, have); err != nil {
			return err
		}
	}
	return r.pointAt(ctx, have, want)
}

// pointAt changes the proxy's entry, unless nothing is to change or it is of a
// deployment that went its way.
func (r *Runner) pointAt(ctx context.Context, have, want Entry) error {
	if sameEntry(have, want) && have.Preview == want.Preview {
		return nil
	}
	if have.Deployment != want.Deployment {
		if moved, err := r.movedOn(ctx, have); moved || err != nil {
			return err
		}
	}
	r.Logger.Info("pointing the proxy at what runs", "app", want.App, "color", want.Color, "deployment", want.Deployment)
	if _, err := r.Proxy.Swing(ctx, want, have.Version); err != nil {
		return fmt.Errorf("point the proxy at %s: %w", want.Color, err)
	}
	return nil
}

// pointed is the deployment that the proxy's entry names; the zero Deployment
// where that must not be touched.
func (r *Runner) pointed(ctx context.Context, have Entry) (Deployment, error) {
	if have.Deployment == "" {
		return Deployment{}, nil
	}
	d, err := r.onStack(ctx, have)
	if errors.Is(err, ErrNotFound) || err == nil && !d.State.Serves() {
		return Deployment{}, nil
	}
	if err != nil {
		return Deployment{}, fmt.Errorf("read the deployment that visitors are on: %w", err)
	}
	return d, nil
}

// onStack is the deployment to which the stack belongs that the entry names: the
// one that made it, or the live one that carries it on.
func (r *Runner) onStack(ctx context.Context, have Entry) (Deployment, error) {
	d, err := r.Ledger.Deployment(ctx, have.Deployment)
	if err != nil || d.State != Retired {
		return d, err
	}
	live, err := r.Ledger.LiveDeployment(ctx, have.AppID)
	switch {
	case err == nil && live.StackID() == d.ID:
		return live, nil
	case err == nil || errors.Is(err, ErrNotFound):
		return d, nil
	}
	return d, err
}

// unpoint takes an app out of the table of which nothing is live.
func (r *Runner) unpoint(ctx context.Context, a App) error {
	have, err := r.Proxy.Entry(ctx, a.ID)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask the proxy: %w", err)
	}
	if moved, err := r.movedOn(ctx, have); moved || err != nil {
		return err
	}
	r.Logger.Info("taking the routes of an app away of which nothing is live", "app", a.Name, "deployment", have.Deployment)
	return r.Proxy.Drop(ctx, a.ID)
}

// movedOn reports whether the proxy's entry belongs to a deployment that went
// its way after the records were read.
func (r *Runner) movedOn(ctx context.Context, have Entry) (bool, error) {
	if have.Deployment == "" {
		return false, nil
	}
	d, err := r.onStack(ctx, have)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && (d.State.Serves() || d.State == Running), err
}
