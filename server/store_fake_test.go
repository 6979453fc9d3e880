package server_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// memory is a store and the commands in one, and counts what would write.
type memory struct {
	mu          sync.Mutex
	writes      int
	now         func() time.Time
	apps        []pipeline.App
	deployments []pipeline.Deployment // newest first
	deliveries  []pipeline.Delivery
	audit       []pipeline.AuditEntry
	tokens      []pipeline.Token
	env         map[string][]pipeline.EnvVar
	files       map[string][]pipeline.HeldFile
	broken      error // every read fails with it
}

func (m *memory) lock() func() {
	m.mu.Lock()
	return m.mu.Unlock
}

func (m *memory) written() int {
	defer m.lock()()
	return m.writes
}

func (m *memory) Apps(context.Context) ([]pipeline.App, error) {
	defer m.lock()()
	return slices.Clone(m.apps), m.broken
}

func (m *memory) AppByName(_ context.Context, name string) (pipeline.App, error) {
	defer m.lock()()
	return m.app(name)
}

func (m *memory) AppByID(_ context.Context, id string) (pipeline.App, error) {
	defer m.lock()()
	for _, a := range m.apps {
		if a.ID == id {
			return a, nil
		}
	}
	return pipeline.App{}, fmt.Errorf("app %q: %w", id, pipeline.ErrNotFound)
}

func (m *memory) app(name string) (pipeline.App, error) {
	if m.broken != nil {
		return pipeline.App{}, m.broken
	}
	for _, a := range m.apps {
		if a.Name == name {
			return a, nil
		}
	}
	return pipeline.App{}, fmt.Errorf("app %q: %w", name, pipeline.ErrNotFound)
}

func (m *memory) EnvVars(_ context.Context, appID string) ([]pipeline.EnvVar, error) {
	defer m.lock()()
	return m.env[appID], nil
}

func (m *memory) HeldFiles(_ context.Context, appID string) ([]pipeline.HeldFile, error) {
	defer m.lock()()
	return m.files[appID], nil
}

func (m *memory) Deployments(_ context.Context, q pipeline.DeploymentQuery) ([]pipeline.Deployment, error) {
	defer m.lock()()
	var out []pipeline.Deployment
	for _, d := range m.deployments {
		if d.AppID == q.AppID && (len(q.States) == 0 || slices.Contains(q.States, d.State)) {
			out = append(out, d)
		}
	}
	return after(out, q.Page, func(d pipeline.Deployment) string { return d.ID }), m.broken
}

func after[T any](list []T, p pipeline.Page, id func(T) string) []T {
	if p.After != "" {
		list = list[slices.IndexFunc(list, func(t T) bool { return id(t) == p.After })+1:]
	}
	return list[:min(len(list), p.Limit, 200)]
}

func (m *memory) Deployment(_ context.Context, id string) (pipeline.Deployment, error) {
	defer m.lock()()
	i, err := m.find(id)
	if err != nil {
		return pipeline.Deployment{}, err
	}
	return m.deployments[i], nil
}

func (m *memory) find(id string) (int, error) {
	i := slices.IndexFunc(m.deployments, func(d pipeline.Deployment) bool { return d.ID == id })
	if i < 0 {
		return 0, fmt.Errorf("deployment %q: %w", id, pipeline.ErrNotFound)
	}
	return i, nil
}

func (m *memory) Deliveries(_ context.Context, p pipeline.Page) ([]pipeline.Delivery, error) {
	defer m.lock()()
	return after(m.deliveries, p, func(d pipeline.Delivery) string { return d.ID }), m.broken
}

func (m *memory) Audit(_ context.Context, p pipeline.Page) ([]pipeline.AuditEntry, error) {
	defer m.lock()()
	return after(m.audit, p, func(e pipeline.AuditEntry) string { return e.ID }), m.broken
}

func (m *memory) Tokens(context.Context) ([]pipeline.Token, error) {
	defer m.lock()()
	return slices.Clone(m.tokens), m.broken
}
