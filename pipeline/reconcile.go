package pipeline

import (
	"context"
	"errors"
	"fmt"
)

// Current reads which apps there are and which of their deployments are
// running, cutting over, watching, live or stuck.
type Current func(context.Context) ([]App, []Deployment, error)

// Reconcile compares what the records say is live with what the engine runs
// and the proxy's table holds, and mends the difference: live containers that
// do not run are started, targets that are nobody's are dropped, containers of
// no current deployment are ended, the proxy is pointed at the live color and
// given the app's mode. Deployments under way are left to their
// own run. Errors concern single apps; all apps are looked at.
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
	byID := map[string]Deployment{}
	for _, d := range active {
		byID[d.ID] = d
	}
	var errs []error
	for _, a := range apps {
		if err := r.loseStrangers(ctx, a, there); err != nil {
			errs = append(errs, fmt.Errorf("app %s: %w", a.Name, err))
		}
	}
	for _, c := range there {
		if d := byID[c.Owner.Deployment]; d.State == Live {
			if err := r.revive(ctx, c); err != nil {
				errs = append(errs, fmt.Errorf("container %s: %w", c.Name, err))
			}
		}
	}
	for _, a := range apps {
		if err := r.point(ctx, a, active); err != nil {
			errs = append(errs, fmt.Errorf("app %s: %w", a.Name, err))
		}
		if err := r.settleMode(ctx, a); err != nil {
			errs = append(errs, fmt.Errorf("app %s: %w", a.Name, err))
		}
	}
	// Last: visitors have left them by now, or they are not ended.
	for _, c := range there {
		if _, current := byID[c.Owner.Deployment]; !current {
			if err := r.endOrphan(ctx, c); err != nil {
				errs = append(errs, fmt.Errorf("container %s: %w", c.Name, err))
			}
		}
	}
	return errors.Join(errs...)
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

// endOrphan ends a container of no current deployment, unless requests are
// still open on it: then its run, or the next look, ends it.
func (r *Runner) endOrphan(ctx context.Context, c Container) error {
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

// point makes the proxy's entry of an app equal to its live deployment.
func (r *Runner) point(ctx context.Context, a App, active []Deployment) error {
	var live Deployment
	for _, d := range active {
		if d.AppID != a.ID {
			continue
		}
		if d.State != Live {
			return nil // its run, or a person, decides
		}
		live = d
	}
	if live.ID == "" {
		return r.unpoint(ctx, a)
	}
	rel, err := r.Ledger.Release(ctx, live.ReleaseID)
	if err != nil {
		return fmt.Errorf("read the live release: %w", err)
	}
	want, err := EntryFor(ctx, r.Engine, a, live, rel)
	if err != nil {
		return err
	}
	have, err := r.Proxy.Entry(ctx, a.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("ask the proxy: %w", err)
	}
	if want.Preview, err = r.keptPreview(ctx, have); err != nil {
		return err
	}
	if sameEntry(have, want) && have.Preview == want.Preview {
		return nil
	}
	if have.Deployment != want.Deployment {
		if moved, err := r.movedOn(ctx, have); moved || err != nil {
			return err
		}
	}
	r.Logger.Info("pointing the proxy at the live color", "app", a.Name, "color", live.Color, "deployment", live.ID)
	if _, err := r.Proxy.Swing(ctx, want, have.Version); err != nil {
		return fmt.Errorf("point the proxy at %s: %w", live.Color, err)
	}
	return nil
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
	d, err := r.Ledger.Deployment(ctx, have.Deployment)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && (d.State.Serves() || d.State == Running), err
}
