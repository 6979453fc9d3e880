package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// outlook is all that a deployment's plan depends on. A run that says what it
// will do and an operator who asks first get the same sentences from it.
type outlook struct {
	app      App
	rel      Release // as far as its images are known
	color    Color
	trigger  Trigger
	live     Deployment // zero ID if none
	env      int64      // version of the environment that the live release has
	supplies []supply   // none for a rollback
	kept     []keptFate
	left     []left   // kept services that the files no longer have
	networks []string // that are to be made
	ran      bool     // what runs once for this release did so before
	same     bool     // nothing but the commit is another one than the live release's
	asks     PermissionDiff
}

// keptFate is what becomes of one kept service.
type keptFate struct {
	service stack.Service
	fate    fate
	up      bool     // its container runs
	why     []string // it is replaced: what is different
	pulled  bool     // it is replaced only if the registry has another image
	unused  []string // volumes without a name that its new container does not have
}

// left is a kept service that the files no longer have.
type left struct {
	service string
	kept    bool // its container is stopped only: nothing else leads to its volumes
}

// Plan says what a deployment of the tree's commit would do to the app as it is
// now. Errors wrap ErrInvalid where the files cannot be deployed at all; what
// only lacks a permission is planned, and says so.
func (r *Runner) Plan(ctx context.Context, a App, tree Tree) (PlanSummary, error) {
	x := &run{Runner: r, app: a, tree: tree, dep: Deployment{AppID: a.ID, Commit: tree.Commit().SHA, Color: Blue}}
	var err error
	if x.env, x.envVersion, err = r.Ledger.Env(ctx, a.ID); err != nil {
		return PlanSummary{}, fmt.Errorf("read environment: %w", err)
	}
	if x.files, err = r.Ledger.FilesAt(ctx, a.ID, x.envVersion); err != nil {
		return PlanSummary{}, fmt.Errorf("read files: %w", err)
	}
	if x.tree, err = WithHeld(ctx, tree, x.files); err != nil {
		return PlanSummary{Commit: x.dep.Commit}, err
	}
	if x.secrets, err = r.secretsOf(ctx, x.dep, x.env, x.files); err != nil {
		return PlanSummary{}, err
	}
	if err := x.loadLive(ctx); err != nil {
		return PlanSummary{}, err
	}
	if x.live.ID != "" {
		x.dep.Color = x.live.Color.Other()
	}
	rendered, err := Render(ctx, a, x.tree, x.env)
	refusal := (*stack.Refusal)(nil)
	if err != nil && !(errors.As(err, &refusal) && refusal.OnlyMissing()) {
		return PlanSummary{Commit: x.dep.Commit}, fmt.Errorf("%w plan: %w", ErrInvalid, err)
	}
	x.rel = Release{AppID: a.ID, Commit: x.dep.Commit, Stack: rendered, EnvVersion: x.envVersion}
	o, err := x.outlook(ctx)
	if err != nil {
		return PlanSummary{}, err
	}
	out := o.summary()
	if refusal != nil {
		out.Permissions = x.permissionDiff(rendered, refusal)
		for _, p := range refusal.Missing() {
			out.Missing = append(out.Missing, fmt.Sprintf("the permission %s: %s", p, stack.Allow(a.Name, []stack.Permission{p})))
		}
	}
	for _, g := range out.groups() {
		for i := range g.lines {
			g.lines[i] = x.masked(g.lines[i])
		}
	}
	return out, nil
}

// describe says in the log what the run will do: all of it.
func (x *run) describe(o outlook) {
	x.supplies, o.same = o.supplies, false
	for _, g := range o.summary().groups() {
		for _, line := range g.lines {
			if g.name != "" {
				line = g.name + ": " + line
			}
			x.say("  %s", line)
		}
	}
}

// outlook looks at what there is. It changes nothing.
func (x *run) outlook(ctx context.Context) (outlook, error) {
	o := outlook{app: x.app, rel: x.rel, color: x.dep.Color, trigger: x.dep.Trigger, live: x.live, env: x.liveRel.EnvVersion, asks: x.permissionDiff(x.rel.Stack, nil)}
	var err error
	if x.dep.Trigger != Rollback {
		if o.supplies, err = x.suppliesOf(ctx, x.app, o.rel.Stack, x.tree, x.env); err != nil {
			return o, err
		}
		o.rel.Images = map[string]string{}
		for _, s := range o.supplies {
			for _, service := range s.services {
				o.rel.Images[service] = s.there
			}
		}
		if o.rel.Stack, err = x.whereBound(ctx, o.rel.Stack); err != nil {
			return o, err
		}
	}
	used, err := x.Engine.Subnets(ctx)
	if err != nil {
		return o, fmt.Errorf("list networks: %w", err)
	}
	for _, n := range x.networksOf(x.app, o.rel.Stack, o.color) {
		if _, there := used[n.Name]; !there {
			o.networks = append(o.networks, n.Name)
		}
	}
	if o.ran, err = x.ranBefore(ctx, o); err != nil {
		return o, err
	}
	if err := x.lookKept(ctx, &o); err != nil {
		return o, err
	}
	o.same, err = o.unchanged(x.liveRel)
	return o, err
}

// ranBefore reports whether what runs once for the release has done so. A release
// with an image that is still to be made is another one.
func (x *run) ranBefore(ctx context.Context, o outlook) (bool, error) {
	if x.dep.Trigger == Rollback || o.rel.Stack.Command == nil && len(o.rel.Stack.Once()) == 0 {
		return false, nil
	}
	for _, s := range o.supplies {
		if s.there == "" {
			return false, nil
		}
	}
	fingerprint, err := o.rel.Fingerprint()
	if err != nil {
		return false, err
	}
	done, err := x.Ledger.CommandDone(ctx, x.app.ID, fingerprint)
	if err != nil {
		return false, fmt.Errorf("look whether the release command has run: %w", err)
	}
	return done, nil
}

// whereBound is the stack with the paths that its binds will have.
func (x *run) whereBound(ctx context.Context, s stack.Stack) (stack.Stack, error) {
	s.Services = slices.Clone(s.Services)
	for i, svc := range s.Services {
		s.Services[i].Mounts = slices.Clone(svc.Mounts)
		for j, m := range svc.Mounts {
			if m.Bind == nil || m.Bind.Host != "" {
				continue
			}
			placed, err := x.Folders.Where(ctx, x.app.ID, x.tree, *m.Bind)
			if err != nil {
				return s, fmt.Errorf("service %s: mount at %s: %w", svc.Name, m.Target, err)
			}
			bind := *m.Bind
			bind.Placed = placed
			s.Services[i].Mounts[j].Bind = &bind
		}
	}
	return s, nil
}

// lookKept finds out what becomes of the kept services.
func (x *run) lookKept(ctx context.Context, o *outlook) error {
	all, err := x.Engine.List(ctx, Filter{AppID: x.app.ID})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	if err := x.onlyWriter(o.rel.Stack, all); err != nil {
		return err
	}
	there := keptOf(all)
	for _, svc := range keptServices(o.rel.Stack) {
		k, err := x.keptFate(*o, svc, there[svc.Name])
		if err != nil {
			return fmt.Errorf("service %s: %w", svc.Name, err)
		}
		o.kept = append(o.kept, k)
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		svc, ok := o.rel.Stack.Service(name)
		heirless := func(c Container) bool { return c.heirless(o.rel) }
		rests := !slices.ContainsFunc(there[name], func(c Container) bool { return c.up() || !heirless(c) })
		if x.dep.Trigger != Rollback && (!ok || svc.Role != stack.Keep) && !rests {
			o.left = append(o.left, left{name, slices.ContainsFunc(there[name], heirless)})
		}
	}
	return nil
}

// keptFate decides about one kept service as the step "keep" will, with the image
// that it has now where the next one is not known.
func (x *run) keptFate(o outlook, svc stack.Service, there []Container) (keptFate, error) {
	order, err := x.keptOrder(x.app, o.rel, svc)
	if err != nil {
		return keptFate{}, err
	}
	current, _ := currentOf(there, order.Fingerprint)
	k := keptFate{service: svc, fate: fateOf(current, order, x.dep.Trigger), up: current.up()}
	if k.fate != toReplace {
		return k, nil
	}
	k.unused = unusedOf(order, current)
	unknown := order.Image == ""
	if unknown {
		order.Image = current.Image
		if order.Fingerprint, err = fingerprintOf(order); err != nil {
			return k, err
		}
		if current.Fingerprint == order.Fingerprint && svc.Build == nil {
			k.pulled = true
			return k, nil
		}
	}
	was, kept, err := x.liveKept(svc.Name)
	switch {
	case err != nil:
		return k, err
	case !kept || was.Fingerprint != current.Fingerprint:
		k.why = []string{"it is not what the live release made"}
		return k, nil
	}
	k.why = changesOf(was, order)
	if unknown && svc.Build != nil {
		k.why = append(k.why, "image")
	}
	return k, nil
}

// group is one part of a plan, for the log.
type group struct {
	name  string // empty: the lines say it
	lines []string
}

func (p PlanSummary) groups() []group {
	return []group{
		{"", p.Build}, {"", p.Pull}, {"", p.Create}, {"", p.Release}, {"", p.Replace}, {"blink", p.Blink}, {"", p.Keep},
		{"aside", p.Aside}, {"note", p.Notes}, {"permission", p.Permissions.changes()}, {"missing", p.Missing},
	}
}

// list joins words as a sentence does.
func list(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}
