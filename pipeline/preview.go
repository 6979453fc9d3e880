package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// showPreview lets those who may see it meet the new color before visitors do.
// A preview that cannot be shown fails no deployment.
func (x *run) showPreview(ctx context.Context) error {
	wish := x.rel.Stack.Preview
	if wish == nil {
		return nil
	}
	if x.live.ID == "" {
		x.say("  no preview: visitors have no version yet that the proxy could show it beside")
		return nil
	}
	e, err := entryOf(x.app, x.dep, x.rel, x.containers)
	if err != nil {
		return err
	}
	shown := false
	err = x.amend(ctx, x.app.ID, func(have *Entry) bool {
		if shown = have.Deployment == x.live.StackID(); shown {
			have.Preview = previewOf(x.dep, x.rel, e)
		}
		return shown
	})
	switch {
	case ctx.Err() != nil:
		return err
	case err != nil:
		x.say("  warning: no preview of %s: %v", x.dep.Color, err)
	case shown && wish.Host != "":
		x.say("  preview of %s: %s", x.dep.Color, wish.Host)
	case shown:
		x.say("  preview of %s: by the header Swingbridge-Preview", x.dep.Color)
	}
	return nil
}

// previewOld is how the color that visitors leave can be seen until it stops.
func (x *run) previewOld(ctx context.Context) (*Preview, error) {
	if x.rel.Stack.Preview == nil || x.live.ID == "" || x.live.ID == x.dep.ID {
		return nil, nil
	}
	e, err := EntryFor(ctx, x.Engine, x.app, x.live, x.liveRel)
	if err != nil {
		return nil, err
	}
	return previewOf(x.live, x.rel, e), nil
}

// previewOf shows the deployment whose entry it is, to whom the release lets.
func previewOf(d Deployment, rel Release, e Entry) *Preview {
	p := &Preview{Deployment: d.StackID(), Commit: d.Commit, Color: d.Color, Host: rel.Stack.Preview.Host, Paths: e.Paths}
	if token := rel.Stack.Preview.Token; token != "" {
		sum := sha256.Sum256([]byte(token))
		p.Token = hex.EncodeToString(sum[:])
	}
	return p
}

// hidePreview takes the preview of a deployment out of the table, before its
// containers end: their addresses may become another app's.
func (r *Runner) hidePreview(ctx context.Context, appID, deployment string) error {
	err := r.amend(ctx, appID, func(e *Entry) bool {
		if e.Preview == nil || e.Preview.Deployment != deployment {
			return false
		}
		e.Preview = nil
		return true
	})
	if err != nil {
		return fmt.Errorf("take the preview away: %w", err)
	}
	return nil
}

// keptPreview is the preview of an entry, as long as what it shows runs.
func (r *Runner) keptPreview(ctx context.Context, e Entry) (*Preview, error) {
	if e.Preview == nil {
		return nil, nil
	}
	there, err := r.Engine.List(ctx, Filter{AppID: e.AppID, Deployment: e.Preview.Deployment})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	for _, c := range there {
		if c.Running {
			return e.Preview, nil
		}
	}
	return nil, nil
}
