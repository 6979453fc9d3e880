package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// settled is an app of which no deployment is under way, with what is live of it.
type settled struct {
	*Runner
	app  App
	live Deployment // zero ID if none is
	rel  Release
}

// settledOf is false while a run or a person decides what runs of the app.
func (r *Runner) settledOf(ctx context.Context, a App, active []Deployment) (s settled, ok bool, err error) {
	s = settled{Runner: r, app: a}
	for _, d := range active {
		switch {
		case d.AppID != a.ID:
		case d.State != Live:
			return s, false, nil
		default:
			s.live = d
		}
	}
	if s.live.ID == "" {
		return s, true, nil
	}
	if s.rel, err = r.Ledger.Release(ctx, s.live.ReleaseID); err != nil {
		return s, false, fmt.Errorf("read the release of %s: %w", s.live.Color, err)
	}
	return s, true, nil
}

// mending is one thing that is not as the live release wants it.
type mending struct {
	what string
	do   func(context.Context) error
}

// mendAll makes what runs of settled apps equal to their live releases, and
// touches nothing that is right.
func (r *Runner) mendAll(ctx context.Context, apps []App, there []Container, active []Deployment, current Current) error {
	var errs []error
	var all []chore
	for _, a := range apps {
		wants, err := r.inWant(ctx, a, there, active)
		if err != nil {
			errs = append(errs, fmt.Errorf("app %s: %w", a.Name, err))
		}
		if wants {
			all = append(all, r.mending(a, current))
		}
	}
	return errors.Join(append(errs, r.each(ctx, all))...)
}

// inWant reports whether something of a settled app is not as it should be.
func (r *Runner) inWant(ctx context.Context, a App, there []Container, active []Deployment) (bool, error) {
	s, ok, err := r.settledOf(ctx, a, active)
	if err != nil || !ok {
		return false, err
	}
	mine := ofApp(there, a.ID)
	r.drifts.note(r.Logger, a, s.drift(mine), r.Now())
	todo, err := s.mendings(mine)
	return len(todo) > 0, err
}

func (r *Runner) mending(a App, current Current) chore {
	return chore{"mend " + a.ID, func(ctx context.Context) error {
		if err := r.mend(ctx, a, current); err != nil {
			return fmt.Errorf("app %s: %w", a.Name, err)
		}
		return nil
	}}
}

// mend does what is to do. A run may have begun meanwhile: it is looked for in the
// app's turn.
func (r *Runner) mend(ctx context.Context, a App, current Current) error {
	done, err := r.Turn(ctx, a.ID)
	if err != nil {
		return err
	}
	defer done()
	_, active, err := current(ctx)
	if err != nil {
		return fmt.Errorf("read what should run: %w", err)
	}
	s, ok, err := r.settledOf(ctx, a, active)
	if err != nil || !ok {
		return err
	}
	mine, err := r.Engine.List(ctx, Filter{AppID: a.ID})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	todo, err := s.mendings(mine)
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range todo {
		r.Logger.Info(m.what, "app", a.Name)
		if err := m.do(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.what, err))
		}
	}
	return errors.Join(errs...)
}

// mendOne has the app of that ID mended, and waits for nothing: what others are in
// want of may be more urgent.
func (r *Runner) mendOne(ctx context.Context, appID string, current Current) error {
	apps, _, err := current(ctx)
	if err != nil {
		return fmt.Errorf("read what should run: %w", err)
	}
	if i := slices.IndexFunc(apps, func(a App) bool { return a.ID == appID }); i >= 0 {
		r.soon(ctx, r.mending(apps[i], current))
	}
	return nil
}

func ofApp(there []Container, appID string) []Container {
	var out []Container
	for _, c := range there {
		if c.Owner.AppID == appID {
			out = append(out, c)
		}
	}
	return out
}

// mendings are what is to do, kept services first: the others need them.
func (s settled) mendings(there []Container) ([]mending, error) {
	var out []mending
	kept := keptOf(there)
	for _, svc := range keptServices(s.rel.Stack) {
		order, err := s.keptOrder(s.app, s.rel, svc)
		if err != nil {
			return nil, err
		}
		out = append(out, s.mendKept(order, kept[svc.Name])...)
		delete(kept, svc.Name)
	}
	for _, strangers := range kept {
		for _, c := range strangers {
			if s.live.Trigger != Rollback && (c.up() || len(c.Anonymous) == 0) {
				out = append(out, mending{"ending a kept service that is in no live release: " + c.Name, func(ctx context.Context) error {
					return s.putAway(ctx, c)
				}})
			}
		}
	}
	for _, svc := range s.rel.Stack.Services {
		if svc.Role.Colored() {
			out = append(out, s.mendColored(svc, there)...)
		}
	}
	for _, h := range s.hops(s.app, s.rel.Stack, s.live.StackID(), there) {
		out = append(out, mending{"bringing " + h.container.Name + " to where the live color is called", func(ctx context.Context) error {
			return s.hop(ctx, h)
		}})
	}
	return out, nil
}

// mendKept looks after one kept service. Of whatever making it runs: only a
// deployment replaces it.
func (s settled) mendKept(o ContainerOrder, there []Container) []mending {
	var out []mending
	current, others := currentOf(there, o.Fingerprint)
	switch {
	case current.ID == "":
		return []mending{{"making a kept service again that is gone: " + o.Owner.Service, func(ctx context.Context) error {
			return s.remakeKept(ctx, o)
		}}}
	case !current.up() && !mayEnd(o.Service, current):
		out = append(out, mending{"starting a kept service that does not run: " + current.Name, func(ctx context.Context) error {
			return errors.Join(s.Engine.Start(ctx, current.ID), s.tend(ctx, o, current))
		}})
	case current.up() && current.Policy == "no" && restartOf(o.Service) != "no": // a crash came between
		out = append(out, mending{"letting a kept service start again by itself: " + current.Name, func(ctx context.Context) error {
			return s.tend(ctx, o, current)
		}})
	}
	for _, c := range others {
		if !c.up() {
			out = append(out, mending{"removing what a kept service was before: " + c.Name, func(ctx context.Context) error {
				return s.Engine.Remove(ctx, c.ID)
			}})
		}
	}
	return out
}

func (s settled) remakeKept(ctx context.Context, o ContainerOrder) error {
	if err := s.imageThere(ctx, o); err != nil {
		return err
	}
	c, err := s.create(ctx, s.app, s.rel.Stack, o)
	if err != nil {
		return err
	}
	if err := s.Engine.Start(ctx, c.ID); err != nil {
		return fmt.Errorf("start container: %w", err)
	}
	return s.tend(ctx, o, c)
}

// mendColored looks after the containers of a live web service or worker.
func (s settled) mendColored(svc stack.Service, there []Container) []mending {
	var out []mending
	for replica := range max(svc.Replicas, 1) {
		i := slices.IndexFunc(there, func(c Container) bool {
			return c.Owner.Deployment == s.live.StackID() && c.Owner.Service == svc.Name && c.Replica == replica && c.Purpose == ""
		})
		switch {
		case svc.Single && (i < 0 || !there[i].up()) && runsElsewhere(there, svc, s.live.StackID()):
		case i < 0:
			out = append(out, mending{"making a live container again that is gone: " + svc.Name, func(ctx context.Context) error {
				return s.remake(ctx, svc, replica)
			}})
		case !there[i].Always || !there[i].up():
			out = append(out, mending{"letting a live container run: " + there[i].Name, func(ctx context.Context) error {
				return s.revive(ctx, there[i])
			}})
		}
	}
	return out
}

// runsElsewhere reports whether another deployment's container of the service
// still runs.
func runsElsewhere(there []Container, svc stack.Service, deployment string) bool {
	return slices.ContainsFunc(there, func(c Container) bool {
		return c.up() && c.Purpose == "" && c.Owner.Service == svc.Name && c.Owner.Deployment != deployment
	})
}

func (s settled) remake(ctx context.Context, svc stack.Service, replica int) error {
	x := &run{Runner: s.Runner, app: s.app, dep: s.live, rel: s.rel}
	o, err := x.order(ctx, svc, replica)
	if err != nil {
		return err
	}
	if err := s.imageThere(ctx, o); err != nil {
		return err
	}
	c, err := x.create(ctx, o)
	if err != nil {
		return err
	}
	for _, l := range s.liveLinks(s.app, s.rel.Stack, svc) {
		if err := s.Engine.Join(ctx, c.ID, l); err != nil {
			return fmt.Errorf("join %s to the network of the live color: %w", c.Name, err)
		}
	}
	return s.revive(ctx, c)
}

func (s settled) imageThere(ctx context.Context, o ContainerOrder) error {
	there, err := s.Engine.HasImage(ctx, o.Image)
	switch {
	case err != nil:
		return fmt.Errorf("look for its image: %w", err)
	case !there:
		return fmt.Errorf("its image is no longer on the engine: deploy commit %s again", Short(s.live.Commit))
	}
	return nil
}
