package github_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// outbox is the store's part in memory: each put makes the next version wanted.
type outbox struct {
	mu      sync.Mutex
	targets []pipeline.ReportTarget
	apps    map[string]pipeline.App
	deps    map[string]pipeline.Deployment
	first   bool // the app's deployment is its first: there is nowhere to go back to
	rows    []*pipeline.Report
	failed  int
}

func newOutbox() *outbox {
	return &outbox{
		deps: map[string]pipeline.Deployment{},
		apps: map[string]pipeline.App{"app-1": {
			ID: "app-1", Name: "web", Repo: repo, Branch: "main",
			Routes: []pipeline.Route{{Host: "djangopackages.org", Service: "web", Port: 8000}},
		}},
	}
}

func (o *outbox) put(d pipeline.Deployment) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, known := o.deps[d.ID]
	o.deps[d.ID] = d
	if !known {
		for _, target := range o.targets {
			o.rows = append(o.rows, &pipeline.Report{Deployment: d.ID, Target: target})
		}
	}
	for _, r := range o.rows {
		if r.Deployment == d.ID {
			r.Wanted++
		}
	}
}

func (o *outbox) DueReports(_ context.Context, now time.Time, limit int) ([]pipeline.Report, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var due []pipeline.Report
	for _, r := range o.rows {
		if r.Wanted > r.Sent && !r.NextAt.After(now) && len(due) < limit {
			due = append(due, *r)
		}
	}
	return due, nil
}

func (o *outbox) ReportSent(_ context.Context, r pipeline.Report, version, remoteID int64) error {
	o.change(r, func(row *pipeline.Report) {
		row.Sent, row.RemoteID, row.Tries, row.NextAt, row.LastError = max(row.Sent, version), remoteID, 0, time.Time{}, ""
	})
	return nil
}

func (o *outbox) ReportFailed(_ context.Context, r pipeline.Report, next time.Time, cause string) error {
	o.change(r, func(row *pipeline.Report) {
		row.Tries++
		row.NextAt, row.LastError = next, cause
		o.failed++
	})
	return nil
}

func (o *outbox) change(r pipeline.Report, f func(*pipeline.Report)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, row := range o.rows {
		if row.Deployment == r.Deployment && row.Target == r.Target {
			f(row)
		}
	}
}

func (o *outbox) Deployment(_ context.Context, id string) (pipeline.Deployment, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if d, ok := o.deps[id]; ok {
		return d, nil
	}
	return pipeline.Deployment{}, fmt.Errorf("deployment %s: %w", id, pipeline.ErrNotFound)
}

func (o *outbox) AppByID(_ context.Context, id string) (pipeline.App, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if a, ok := o.apps[id]; ok {
		return a, nil
	}
	return pipeline.App{}, fmt.Errorf("app %s: %w", id, pipeline.ErrNotFound)
}

func (o *outbox) LastGood(_ context.Context, appID string) (pipeline.Deployment, error) {
	if o.first {
		return pipeline.Deployment{}, fmt.Errorf("earlier release of app %s: %w", appID, pipeline.ErrNotFound)
	}
	return pipeline.Deployment{ID: "000"}, nil
}

// unsent are the rows that GitHub does not have, as text.
func (o *outbox) unsent() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []string
	for _, r := range o.rows {
		if r.Wanted > r.Sent {
			out = append(out, fmt.Sprintf("%s %s: %s", r.Deployment, r.Target, r.LastError))
		}
	}
	return out
}

// due makes every row that waits due at once.
func (o *outbox) due() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.rows {
		r.NextAt = time.Time{}
	}
}
