package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// keep makes the kept services of the release be there: what is missing is made
// and started, what is unchanged is not touched, what changed is replaced. The
// old container of one that was replaced stays, stopped, until the deployment is
// live.
func (x *run) keep(ctx context.Context) (string, error) {
	services := keptServices(x.rel.Stack)
	done, err := x.Turn(ctx, x.app.ID)
	if err != nil {
		return "", err
	}
	defer done()
	there, err := x.keptThere(ctx, x.app.ID)
	if err != nil {
		return "", err
	}
	var told []string
	now := map[string]keptNow{}
	for _, svc := range services {
		if err := x.awaitNeeds(ctx, svc, now); err != nil {
			return "", fmt.Errorf("service %s: %w", svc.Name, err)
		}
		one, err := x.keepOne(ctx, svc, there[svc.Name])
		if err != nil {
			return "", fmt.Errorf("service %s: %w", svc.Name, err)
		}
		now[svc.Name], told = one, append(told, svc.Name+" "+one.did)
	}
	for _, svc := range services {
		if err := x.settleKept(ctx, now[svc.Name]); err != nil {
			return "", fmt.Errorf("service %s: %w", svc.Name, err)
		}
	}
	return strings.Join(told, ", "), nil
}

func (x *run) noKept() string {
	if len(keptServices(x.rel.Stack)) == 0 {
		return "no kept services"
	}
	return ""
}

// keptNow is a kept service as the step has brought it about.
type keptNow struct {
	order   ContainerOrder
	id      string
	did     string // what was done, for people
	started bool   // by this step
	healthy bool   // it must become so: somebody waits for it, or the one before it was
}

// keptServices are the stack's, each after those that it depends on.
func keptServices(s stack.Stack) []stack.Service {
	var out []stack.Service
	seen := map[string]bool{}
	var add func(stack.Service)
	add = func(svc stack.Service) {
		if seen[svc.Name] || svc.Role != stack.Keep {
			return
		}
		seen[svc.Name] = true
		for _, d := range svc.DependsOn {
			if needed, ok := s.Service(d.Service); ok {
				add(needed)
			}
		}
		out = append(out, svc)
	}
	for _, svc := range s.Services {
		add(svc)
	}
	return out
}

// keptThere are the containers of the app's kept services, by service.
func (r *Runner) keptThere(ctx context.Context, appID string) (map[string][]Container, error) {
	all, err := r.Engine.List(ctx, Filter{AppID: appID})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	return keptOf(all), nil
}

func keptOf(all []Container) map[string][]Container {
	out := map[string][]Container{}
	for _, c := range all {
		if c.Owner.Deployment == "" && c.Status != "removing" {
			out[c.Owner.Service] = append(out[c.Owner.Service], c)
		}
	}
	return out
}

// up reports whether the container runs, or will in a moment.
func (c Container) up() bool { return c.Running || c.Status == "restarting" }

// keptOrder is how the release wants a kept service.
func (r *Runner) keptOrder(a App, rel Release, svc stack.Service) (ContainerOrder, error) {
	o := ContainerOrder{
		Owner: Owner{App: a.Name, AppID: a.ID, Service: svc.Name, Repo: a.Repo, Role: stack.Keep},
		Image: rel.Images[svc.Name], Service: svc, Volumes: rel.Stack.Volumes,
		Links: r.linksOf(a, rel.Stack, svc, ""), Allowed: a.Allow,
	}
	var err error
	o.Fingerprint, err = fingerprintOf(o)
	return o, err
}

// fate is what becomes of a kept service's container.
type fate int

const (
	toMake    fate = iota // there is none
	toReplace             // it was made of something else
	toStart               // it stands still
	toLeave               // it runs, and is as it should be
)

// fateOf decides about the container that counts. A rollback leaves what is
// there.
func fateOf(current Container, o ContainerOrder, t Trigger) fate {
	switch {
	case current.ID == "":
		return toMake
	case current.Fingerprint != o.Fingerprint && t != Rollback:
		return toReplace
	case !current.up():
		return toStart
	}
	return toLeave
}

// keepOne makes one kept service be there, without waiting for it.
func (x *run) keepOne(ctx context.Context, svc stack.Service, there []Container) (keptNow, error) {
	order, err := x.keptOrder(x.app, x.rel, svc)
	if err != nil {
		return keptNow{}, err
	}
	now := keptNow{order: order, healthy: healthWanted(x.rel.Stack, svc.Name)}
	current, others := currentOf(there, order.Fingerprint)
	switch fateOf(current, order, x.dep.Trigger) {
	case toMake:
		c, err := x.create(ctx, order)
		if err != nil {
			return now, err
		}
		now.id, now.did = c.ID, "started"
	case toReplace:
		return x.replace(ctx, now, current, others)
	default:
		now.id, now.did = current.ID, "started again"
	}
	for _, c := range others { // of deployments that are over
		if err := x.Engine.Remove(ctx, c.ID); err != nil {
			return now, fmt.Errorf("remove container %s: %w", c.Name, err)
		}
	}
	if current.up() {
		now.did = "left alone"
		return now, nil
	}
	if err := x.Engine.Start(ctx, now.id); err != nil {
		return now, fmt.Errorf("start container: %w", err)
	}
	now.started = true
	return now, nil
}

// currentOf is the container that counts among those of a kept service: the one
// that runs, else the one of that fingerprint, else the one that ran last.
func currentOf(there []Container, fingerprint string) (current Container, others []Container) {
	ordered := slices.SortedFunc(slices.Values(there), func(a, b Container) int {
		return cmp.Or(
			first(a.up(), b.up()),
			first(a.Fingerprint == fingerprint, b.Fingerprint == fingerprint),
			b.StartedAt.Compare(a.StartedAt),
		)
	})
	if len(ordered) == 0 {
		return Container{}, nil
	}
	return ordered[0], ordered[1:]
}

// first orders what is so before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// tend gives a kept service's container what can be given while it runs: its
// restart policy, and its places on the networks of the live color.
func (r *Runner) tend(ctx context.Context, o ContainerOrder, c Container) error {
	if want := restartOf(o.Service); c.Policy != want {
		if err := r.Engine.SetPolicy(ctx, c.ID, want); err != nil {
			return fmt.Errorf("set restart policy of %s: %w", c.Name, err)
		}
	}
	for _, l := range o.Links {
		if l.nameless() && !slices.Contains(c.Networks, l.Network) {
			if err := r.Engine.Join(ctx, c.ID, l); err != nil {
				return fmt.Errorf("join %s to the network of the live color: %w", c.Name, err)
			}
		}
	}
	return nil
}

// restartOf is the restart policy of a kept service.
func restartOf(svc stack.Service) string { return cmp.Or(svc.Restart, "always") }
