package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// hop is a container's way onto a network of the live color, or off it.
type hop struct {
	container Container
	link      Link
	off       bool
}

// hops bring the containers of a deployment, and kept services, onto the
// networks of the live color, and those of all other deployments off them.
func (r *Runner) hops(a App, s stack.Stack, deployment string, there []Container) []hop {
	var on, off []hop
	var live []string
	for _, c := range crowds(s) {
		live = append(live, r.AppNetwork(a, c.liveKey()))
	}
	for _, c := range there {
		svc, ok := s.Service(c.Owner.Service)
		var links []Link
		switch {
		case c.Owner.Deployment != "" && c.Owner.Deployment != deployment:
			for _, network := range c.Networks {
				if slices.Contains(live, network) {
					off = append(off, hop{c, Link{Network: network}, true})
				}
			}
		case !ok || c.Purpose != "":
		case c.Owner.Deployment == "":
			links = slices.DeleteFunc(r.linksOf(a, s, svc, ""), func(l Link) bool { return !l.nameless() })
		default:
			links = r.liveLinks(a, s, svc)
		}
		for _, l := range links {
			if !slices.Contains(c.Networks, l.Network) {
				on = append(on, hop{c, l, false})
			}
		}
	}
	return append(on, off...)
}

func (r *Runner) hop(ctx context.Context, h hop) error {
	if h.off {
		if err := r.Engine.Leave(ctx, h.container.ID, h.link.Network); err != nil {
			return fmt.Errorf("take %s off the network of the live color: %w", h.container.Name, err)
		}
		return nil
	}
	if err := r.Engine.Join(ctx, h.container.ID, h.link); err != nil {
		return fmt.Errorf("join %s to the network of the live color: %w", h.container.Name, err)
	}
	return nil
}

// hasLive reports whether kept services of the stack may call colored ones.
func hasLive(s stack.Stack) bool { return slices.ContainsFunc(crowds(s), crowd.live) }

// comesLive lets kept services call this run's containers.
func (x *run) comesLive(ctx context.Context) error {
	return x.hopAll(ctx, x.dep, x.rel, func(h hop) bool { return !h.off })
}

// leavesLive lets them call no others.
func (x *run) leavesLive(ctx context.Context) error {
	return x.hopAll(ctx, x.dep, x.rel, func(h hop) bool { return h.off })
}

// liveBack lets them call the color before this one again, and no other.
func (x *run) liveBack(ctx context.Context) error {
	if err := x.hopAll(ctx, x.live, x.liveRel, func(h hop) bool { return !h.off }); err != nil {
		return err
	}
	return x.hopAll(ctx, x.live, x.rel, func(h hop) bool { return h.off })
}

func (x *run) hopAll(ctx context.Context, d Deployment, rel Release, which func(hop) bool) error {
	if !hasLive(rel.Stack) {
		return nil
	}
	there, err := x.Engine.List(ctx, Filter{AppID: x.app.ID})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	for _, h := range x.hops(x.app, rel.Stack, d.StackID(), there) {
		if which(h) {
			if err := x.hop(ctx, h); err != nil {
				return err
			}
		}
	}
	return nil
}
