package server_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
)

func (m *memory) queue(appName, commit string, by pipeline.Actor, t pipeline.Trigger) (pipeline.Deployment, error) {
	defer m.lock()()
	m.writes++
	a, err := m.app(appName)
	if err != nil {
		return pipeline.Deployment{}, err
	}
	if commit == "absent" {
		return pipeline.Deployment{}, fmt.Errorf("%s: %w", commit, pipeline.ErrNoCommit)
	}
	d := pipeline.Deployment{
		ID: pipeline.NewID(m.now()), AppID: a.ID, AppName: a.Name, Commit: commit, Trigger: t, Actor: by.Name,
		State: pipeline.Queued, Attempt: 1, CreatedAt: m.now(),
	}
	m.deployments = append([]pipeline.Deployment{d}, m.deployments...)
	return d, nil
}

func (m *memory) Deploy(_ context.Context, by pipeline.Actor, app, commit string, t pipeline.Trigger) (pipeline.Deployment, error) {
	return m.queue(app, commit, by, t)
}

func (m *memory) Rollback(_ context.Context, by pipeline.Actor, app, _ string) (pipeline.Deployment, error) {
	return m.queue(app, "c0ffee", by, pipeline.Rollback)
}

func (m *memory) move(id string, to pipeline.State) (pipeline.Deployment, error) {
	defer m.lock()()
	m.writes++
	i, err := m.find(id)
	if err != nil {
		return pipeline.Deployment{}, err
	}
	if d := m.deployments[i]; !d.State.CanBecome(to) {
		return d, fmt.Errorf("deployment %s is %s: %w", id, d.State, pipeline.ErrConflict)
	}
	m.deployments[i].State = to
	return m.deployments[i], nil
}

func (m *memory) Cancel(_ context.Context, _ pipeline.Actor, id string) (pipeline.Deployment, error) {
	return m.move(id, pipeline.Canceled)
}

func (m *memory) Resolve(_ context.Context, _ pipeline.Actor, id string, as pipeline.State) (pipeline.Deployment, error) {
	return m.move(id, as)
}

func (m *memory) CreateApp(_ context.Context, _ pipeline.Actor, a pipeline.App) (pipeline.App, error) {
	defer m.lock()()
	m.writes++
	if err := a.Validate(); err != nil {
		return a, err
	}
	if _, err := m.app(a.Name); err == nil {
		return a, fmt.Errorf("app %q: %w", a.Name, pipeline.ErrExists)
	}
	a.ID, a.CreatedAt, a.UpdatedAt = pipeline.NewID(m.now()), m.now(), m.now()
	m.apps = append(m.apps, a)
	return a, nil
}

func (m *memory) UpdateApp(_ context.Context, _ pipeline.Actor, a pipeline.App) (pipeline.App, error) {
	defer m.lock()()
	m.writes++
	if err := a.Validate(); err != nil {
		return a, err
	}
	i := slices.IndexFunc(m.apps, func(old pipeline.App) bool { return old.ID == a.ID })
	m.apps[i] = a
	return a, nil
}

func (m *memory) RemoveApp(_ context.Context, _ pipeline.Actor, name string) error {
	defer m.lock()()
	m.writes++
	_, err := m.app(name)
	m.apps = slices.DeleteFunc(m.apps, func(a pipeline.App) bool { return a.Name == name })
	return err
}

func (m *memory) SetMode(_ context.Context, _ pipeline.Actor, name string, mode pipeline.Mode) (pipeline.ModeSet, error) {
	defer m.lock()()
	m.writes++
	a, err := m.app(name)
	if err != nil {
		return pipeline.ModeSet{}, err
	}
	if err := mode.Validate(); err != nil {
		return pipeline.ModeSet{}, err
	}
	i := slices.IndexFunc(m.apps, func(old pipeline.App) bool { return old.ID == a.ID })
	m.apps[i].Mode = mode
	set := pipeline.ModeSet{Mode: mode}
	if name == "blog" {
		set.Pending = "no visitors are sent to it yet"
	}
	return set, nil
}

func (m *memory) SetEnv(_ context.Context, _ pipeline.Actor, app, name, _ string) (int64, error) {
	defer m.lock()()
	m.writes++
	a, err := m.app(app)
	if err != nil {
		return 0, err
	}
	version := int64(len(m.env[a.ID]) + 1)
	m.env[a.ID] = append(m.env[a.ID], pipeline.EnvVar{Name: name, Version: version, UpdatedAt: m.now()})
	return version, nil
}

func (m *memory) UnsetEnv(_ context.Context, _ pipeline.Actor, app, name string) (int64, error) {
	defer m.lock()()
	m.writes++
	a, err := m.app(app)
	if err != nil {
		return 0, err
	}
	if !slices.ContainsFunc(m.env[a.ID], func(v pipeline.EnvVar) bool { return v.Name == name }) {
		return 0, fmt.Errorf("variable %q: %w", name, pipeline.ErrNotFound)
	}
	return int64(len(m.env[a.ID]) + 1), nil
}

func (m *memory) SetFile(_ context.Context, _ pipeline.Actor, app, path string, content []byte) (int64, error) {
	defer m.lock()()
	m.writes++
	a, err := m.app(app)
	if err != nil {
		return 0, err
	}
	if m.files == nil {
		m.files = map[string][]pipeline.HeldFile{}
	}
	m.files[a.ID] = append(m.files[a.ID], pipeline.HeldFile{Path: path, Version: 7, Size: int64(len(content)), UpdatedAt: m.now()})
	return 7, nil
}

func (m *memory) UnsetFile(_ context.Context, _ pipeline.Actor, app, path string) (int64, error) {
	defer m.lock()()
	m.writes++
	a, err := m.app(app)
	if err != nil {
		return 0, err
	}
	if !slices.ContainsFunc(m.files[a.ID], func(f pipeline.HeldFile) bool { return f.Path == path }) {
		return 0, fmt.Errorf("file %q: %w", path, pipeline.ErrNotFound)
	}
	return 8, nil
}

func (m *memory) Replay(_ context.Context, _ pipeline.Actor, id string) (pipeline.Delivery, error) {
	defer m.lock()()
	m.writes++
	for _, d := range m.deliveries {
		if d.ID == id {
			return d, nil
		}
	}
	return pipeline.Delivery{}, fmt.Errorf("delivery %q: %w", id, pipeline.ErrNotFound)
}

func (m *memory) Services(ctx context.Context, app string) ([]pipeline.ServiceStatus, error) {
	if app == "far" {
		return nil, fmt.Errorf("engine: %w", pipeline.ErrUnreachable)
	}
	_, err := m.AppByName(ctx, app)
	return []pipeline.ServiceStatus{{
		Name: "web", Color: pipeline.Blue, Commit: "c0ffee", Deployment: "d1", Health: "healthy",
		Status: "running", Restarts: 1, StartedAt: m.now(), Live: true,
	}}, err
}

func (m *memory) ServiceLog(ctx context.Context, at pipeline.ServicePlace, o pipeline.LogOrder) (io.ReadCloser, error) {
	if _, err := m.AppByName(ctx, at.App); err != nil {
		return nil, err
	}
	text := fmt.Sprintf("%s tail=%d since=%v", at.Service, o.Tail, !o.Since.IsZero())
	if at.Color != "" {
		text += fmt.Sprintf(" on %s, replica %d", at.Color, at.Replica)
	}
	if !o.Follow {
		return io.NopCloser(strings.NewReader(text)), nil
	}
	r, w := io.Pipe()
	go func() { _, _ = io.WriteString(w, text) }() // the reader is closed when the client goes
	return r, nil
}

func (m *memory) Plan(ctx context.Context, app, commit string) (pipeline.PlanSummary, error) {
	_, err := m.AppByName(ctx, app)
	return pipeline.PlanSummary{Commit: commit, Build: []string{"web from Dockerfile"}}, err
}

func (m *memory) CreateToken(_ context.Context, _ pipeline.Actor, name string, role pipeline.Role) (pipeline.Token, string, error) {
	defer m.lock()()
	m.writes++
	t := pipeline.Token{ID: pipeline.NewID(m.now()), Name: name, Role: role, CreatedAt: m.now()}
	for _, old := range m.tokens {
		if old.Name == name {
			return t, "", fmt.Errorf("token %q: %w", name, pipeline.ErrExists)
		}
	}
	m.tokens = append(m.tokens, t)
	return t, plainToken, nil
}

func (m *memory) RevokeToken(_ context.Context, _ pipeline.Actor, idOrName string) error {
	defer m.lock()()
	m.writes++
	for i, t := range m.tokens {
		if t.ID == idOrName || t.Name == idOrName {
			m.tokens[i].RevokedAt = m.now()
			return nil
		}
	}
	return fmt.Errorf("token %q: %w", idOrName, pipeline.ErrNotFound)
}
