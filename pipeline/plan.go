package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// plan reads the commit's compose files, chooses the idle color and says in the
// log what will happen.
func (x *run) plan(ctx context.Context) (string, error) {
	if err := x.alone(ctx); err != nil {
		return "", err
	}
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
		o, err := x.outlook(ctx)
		if err != nil {
			return "", err
		}
		x.describe(o)
		return fmt.Sprintf("release of %s as it was, on %s", Short(rel.Commit), x.dep.Color), nil
	}
	rendered, err := Render(ctx, x.app, x.tree, x.env)
	if err != nil {
		return "", x.withDiff(rendered, err)
	}
	x.rel = Release{
		AppID: x.app.ID, Commit: x.dep.Commit, Stack: rendered, EnvVersion: x.envVersion,
		Images: map[string]string{}, CreatedAt: x.Now(),
	}
	o, err := x.outlook(ctx)
	if err != nil {
		return "", err
	}
	if said, carried := x.carryOn(ctx, o); carried {
		return said, nil
	}
	x.describe(o)
	return fmt.Sprintf("%d service(s) on %s", len(rendered.Services), x.dep.Color), nil
}

// alone waits for a look that took the app for settled, because this run had not
// begun: it would go on to start what this run stops. Who looks from now on sees
// that a deployment is under way.
func (x *run) alone(ctx context.Context) error {
	done, err := x.Turn(ctx, x.app.ID)
	if err != nil {
		return err
	}
	done()
	return nil
}

// Render reads the app's compose files from the tree and converts them. Where
// nothing but permissions is missing, it returns the stack with the refusal.
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
	out, refused := stack.Load(ctx, in)
	if refusal := (*stack.Refusal)(nil); refused != nil && !(errors.As(refused, &refusal) && refusal.OnlyMissing()) {
		return stack.Stack{}, refused
	}
	out.Redirects = redirectsOf(app, out.Redirects)
	for _, r := range out.Redirects {
		if out.Preview != nil && r.Host == out.Preview.Host {
			return stack.Stack{}, fmt.Errorf("x-swingbridge.preview: the host %s is one that the app redirects: the preview needs one of its own", r.Host)
		}
	}
	return out, refused
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
