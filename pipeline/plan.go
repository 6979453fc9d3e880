package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// plan reads the commit's compose files, chooses the idle color and says in the
// log what will happen.
func (x *run) plan(ctx context.Context) (string, error) {
	x.dep.Color = Blue
	if x.live.ID != "" {
		x.dep.Color = x.live.Color.Other()
	}
	x.found.Move = &Move{To: Running, Color: x.dep.Color, Attempt: x.dep.Attempt}
	if x.dep.Trigger == Rollback {
		rel, err := x.Ledger.Release(ctx, x.dep.ReleaseID)
		if err != nil {
			return "", fmt.Errorf("read release: %w", err)
		}
		x.rel = rel
		return fmt.Sprintf("release of %s as it was, on %s", Short(rel.Commit), x.dep.Color), nil
	}
	rendered, err := Render(ctx, x.app, x.tree, x.env)
	if err != nil {
		return "", err
	}
	x.rel = Release{
		AppID: x.app.ID, Commit: x.dep.Commit, Stack: rendered, EnvVersion: x.envVersion,
		Images: map[string]string{}, CreatedAt: x.Now(),
	}
	if x.supplies, err = x.suppliesOf(ctx, x.app, rendered, x.tree, x.env); err != nil {
		return "", err
	}
	for _, line := range describe(x.app, x.rel.Stack, x.dep.Color, x.live) {
		x.say("  %s", line)
	}
	for _, line := range rendered.Aside {
		x.say("  aside: %s", line)
	}
	for _, note := range rendered.Notes {
		x.say("  note: %s", note)
	}
	return fmt.Sprintf("%d service(s) on %s", len(rendered.Services), x.dep.Color), nil
}

// Render reads the app's compose files from the tree and converts them.
func Render(ctx context.Context, app App, tree Tree, env map[string]string) (stack.Stack, error) {
	in := stack.Input{App: app.Name, Overlay: app.Overlay, Env: env, Allowed: app.Allow, Read: tree.ReadFile, Find: find(ctx, tree)}
	for _, path := range app.Compose {
		content, err := tree.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return stack.Stack{}, fmt.Errorf("compose file %s is not in commit %s: %w", path, Short(tree.Commit().SHA), err)
		}
		if err != nil {
			return stack.Stack{}, fmt.Errorf("read compose file %s: %w", path, err)
		}
		in.Files = append(in.Files, stack.File{Path: path, Content: content})
	}
	for _, r := range app.Routes {
		in.Routes = append(in.Routes, stack.Route{Host: r.Host, Path: r.Path, Service: r.Service, Port: r.Port})
	}
	out, err := stack.Load(ctx, in)
	if err != nil {
		return stack.Stack{}, err
	}
	out.Redirects = redirectsOf(app, out.Redirects)
	for _, r := range out.Redirects {
		if out.Preview != nil && r.Host == out.Preview.Host {
			return stack.Stack{}, fmt.Errorf("x-swingbridge.preview: the host %s is one that the app redirects: the preview needs one of its own", r.Host)
		}
	}
	return out, nil
}

// redirectsOf are the app's redirects and, of those in the files, the ones of
// hosts for which the app has none.
func redirectsOf(app App, files []stack.Redirect) []stack.Redirect {
	out := slices.Clone(app.Redirects)
	for _, r := range files {
		if !slices.ContainsFunc(app.Redirects, func(own stack.Redirect) bool { return own.Host == r.Host }) {
			out = append(out, r)
		}
	}
	return out
}

// describe says in sentences what a deployment of the stack does.
func describe(app App, s stack.Stack, color Color, live Deployment) []string {
	sum := Summarize(app, s, color, live)
	return slices.Concat(sum.Build, sum.Create, sum.Replace, sum.Keep)
}

// Summarize says what a deployment of the stack would do, before it does it.
func Summarize(app App, s stack.Stack, color Color, live Deployment) PlanSummary {
	var out PlanSummary
	for _, svc := range s.Services {
		if svc.Role == stack.Task && !svc.Once {
			continue // no deployment starts it: it is said aside
		}
		if svc.Build != nil {
			out.Build = append(out.Build, fmt.Sprintf("build %s from %s in %s", svc.Name, svc.Build.Dockerfile, svc.Build.Context))
		}
		name := svc.Name
		if svc.Replicas > 1 {
			name = fmt.Sprintf("%d replicas of %s", svc.Replicas, svc.Name)
		}
		out.Create = append(out.Create, fmt.Sprintf("start %s on %s, probe: %s", name, color, question(svc.Probe)))
	}
	hosts := map[string]bool{}
	for _, r := range app.Routes {
		hosts[r.Host+r.Path] = true
	}
	swing := fmt.Sprintf("swing %s to %s", strings.Join(slices.Sorted(maps.Keys(hosts)), ", "), color)
	if live.ID != "" {
		swing += fmt.Sprintf(", then drain and stop %s (%s)", live.Color, Short(live.Commit))
	}
	out.Replace = append(out.Replace, swing)
	for _, r := range s.Redirects {
		out.Replace = append(out.Replace, "send visitors of "+r.Host+" to "+r.To)
	}
	for _, v := range s.Volumes {
		out.Keep = append(out.Keep, "leave volume "+v.Name+" alone")
	}
	return out
}
