package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
	"github.com/swingbridge/swingbridge/server/auth"
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

func (m *memory) AddAudit(_ context.Context, e pipeline.AuditEntry) error {
	defer m.lock()()
	m.writes++
	m.audit = append([]pipeline.AuditEntry{e}, m.audit...)
	return nil
}

func (m *memory) Tokens(context.Context) ([]pipeline.Token, error) {
	defer m.lock()()
	return slices.Clone(m.tokens), m.broken
}

func (m *memory) CreateToken(_ context.Context, t pipeline.Token) (pipeline.Token, error) {
	defer m.lock()()
	m.writes++
	for _, old := range m.tokens {
		if old.Name == t.Name {
			return t, fmt.Errorf("token %q: %w", t.Name, pipeline.ErrExists)
		}
	}
	m.tokens = append(m.tokens, t)
	return t, nil
}

func (m *memory) RevokeToken(_ context.Context, idOrName string) error {
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

func (m *memory) ServiceLog(ctx context.Context, app, service string, o pipeline.LogOrder) (io.ReadCloser, error) {
	if _, err := m.AppByName(ctx, app); err != nil {
		return nil, err
	}
	text := fmt.Sprintf("%s tail=%d since=%v", service, o.Tail, !o.Since.IsZero())
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

// files holds logs that grow.
type files struct {
	mu    sync.Mutex
	texts map[string][]byte
	done  map[string]bool
	grown chan struct{} // closed and replaced at each change
	// piece says how many of n bytes a follower gets at once.
	piece func(n int) int
}

func (f *files) change(id string, text string, done bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.texts[id] = append(f.texts[id], text...)
	f.done[id] = done
	close(f.grown)
	f.grown = make(chan struct{})
}

func (f *files) Size(id string) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if text, ok := f.texts[id]; ok {
		return int64(len(text)), nil
	}
	return 0, fs.ErrNotExist
}

func (f *files) ReadAt(id string, offset int64, limit int) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := f.texts[id]
	if offset >= int64(len(text)) {
		return nil, io.EOF
	}
	return bytes.Clone(text[offset:min(int64(len(text)), offset+int64(limit))]), nil
}

// chunk is a type of another package than api's, as the real one is.
type chunk struct {
	Data   []byte
	Offset int64
}

func (f *files) Follow(ctx context.Context, id string, offset int64) iter.Seq2[chunk, error] {
	return func(yield func(chunk, error) bool) {
		for ctx.Err() == nil {
			f.mu.Lock()
			rest, done, grown := f.texts[id][min(offset, int64(len(f.texts[id]))):], f.done[id], f.grown
			if len(rest) > 0 && f.piece != nil {
				rest = rest[:f.piece(len(rest))]
			}
			rest = bytes.Clone(rest)
			f.mu.Unlock()
			if len(rest) > 0 {
				offset += int64(len(rest))
				if !yield(chunk{rest, offset}, nil) {
					return
				}
				continue
			}
			if done {
				return
			}
			select {
			case <-grown:
			case <-ctx.Done():
			}
		}
	}
}

// bus tells everyone who listens.
type bus struct {
	mu   sync.Mutex
	last uint64
	ears map[chan event]bool
	deaf bool // every subscription ends at once, as a slow reader's
}

type event struct {
	ID         uint64
	Kind       string
	App        string
	Deployment string
	State      string
	At         time.Time
}

func (b *bus) Subscribe(ctx context.Context) <-chan event {
	b.mu.Lock()
	defer b.mu.Unlock()
	ear := make(chan event, 16)
	if b.deaf {
		close(ear)
		return ear
	}
	b.ears[ear] = true
	context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.ears, ear)
		close(ear)
	})
	return ear
}

func (b *bus) publish(e event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	e.ID = b.last
	for ear := range b.ears {
		ear <- e
	}
}

// doors knows four tokens, which are sessions as well.
type doors struct{}

func (doors) Identify(r *http.Request) (pipeline.Actor, error) {
	token, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if cookie, err := r.Cookie("swingbridge_session"); err == nil && !isBearer {
		token = cookie.Value
	}
	switch token {
	case "viewer", "deployer", "admin":
		return pipeline.Actor{Name: "token-" + token, From: r.RemoteAddr, Role: pipeline.Role(token)}, nil
	case "later":
		return pipeline.Actor{}, errDown
	}
	return pipeline.Actor{}, auth.ErrUnauthorized
}

var (
	_ api.Store    = (*memory)(nil)
	_ api.Commands = (*memory)(nil)
	_ api.LogFiles = (*files)(nil)
)
