package pipelinetest

import (
	"context"
	"slices"

	"github.com/swingbridge/swingbridge/pipeline"
)

// AppByID implements pipeline.Records.
func (l *Ledger) AppByID(ctx context.Context, _ string) (pipeline.App, error) {
	return l.app, l.w.call(ctx, "ledger.AppByID")
}

// Deployment implements pipeline.Records.
func (l *Ledger) Deployment(ctx context.Context, id string) (pipeline.Deployment, error) {
	if err := l.w.call(ctx, "ledger.Deployment"); err != nil {
		return pipeline.Deployment{}, err
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	d, ok := l.deployments[id]
	if !ok {
		return pipeline.Deployment{}, pipeline.ErrNotFound
	}
	return *d, nil
}

// LiveDeployment implements pipeline.Records.
func (l *Ledger) LiveDeployment(ctx context.Context, _ string) (pipeline.Deployment, error) {
	if err := l.w.call(ctx, "ledger.LiveDeployment"); err != nil {
		return pipeline.Deployment{}, err
	}
	for _, d := range l.All() {
		if d.State == pipeline.Live {
			return d, nil
		}
	}
	return pipeline.Deployment{}, pipeline.ErrNotFound
}

// Release implements pipeline.Records.
func (l *Ledger) Release(ctx context.Context, id string) (pipeline.Release, error) {
	if err := l.w.call(ctx, "ledger.Release"); err != nil {
		return pipeline.Release{}, err
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	r, ok := l.releases[id]
	if !ok {
		return pipeline.Release{}, pipeline.ErrNotFound
	}
	return r, nil
}

// KeptReleases implements pipeline.Releases.
func (l *Ledger) KeptReleases(ctx context.Context, _ string, n int) ([]pipeline.Release, error) {
	if err := l.w.call(ctx, "ledger.KeptReleases"); err != nil {
		return nil, err
	}
	var out []pipeline.Release
	for _, d := range slices.Backward(l.All()) {
		if d.State == pipeline.Live || d.State == pipeline.Retired && d.Carries == "" && len(out) < n {
			out = append(out, l.releases[d.ReleaseID])
		}
	}
	return out, nil
}

// CommandDone implements pipeline.Commands.
func (l *Ledger) CommandDone(ctx context.Context, appID, fingerprint string) (bool, error) {
	if err := l.w.call(ctx, "ledger.CommandDone"); err != nil {
		return false, err
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.commands[appID+" "+fingerprint], nil
}

// SetCommandDone implements pipeline.Commands.
func (l *Ledger) SetCommandDone(ctx context.Context, appID, fingerprint, _ string) error {
	if err := l.w.call(ctx, "ledger.SetCommandDone"); err != nil {
		return err
	}
	l.w.mu.Lock()
	l.commands[appID+" "+fingerprint] = true
	l.w.mu.Unlock()
	return l.w.ask("ledger.SetCommandDone", true)
}
