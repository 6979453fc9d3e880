package web_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/web"
)

var (
	errUnauthorized = errors.New("no valid token or session")
	errLimited      = errors.New("too many failed attempts")
	errClosed       = errors.New("the setup link was used")
)

// memory is everything that pages read and cause, without a database.
type memory struct {
	mu         sync.Mutex
	apps       []pipeline.App
	dep        []pipeline.Deployment // newest first
	releases   map[string]pipeline.Release
	env        map[string][]pipeline.EnvVar
	files      map[string][]pipeline.HeldFile
	drift      map[string][]pipeline.Drift
	deliveries []pipeline.Delivery
	audit      []pipeline.AuditEntry
	tokens     []pipeline.Token
	services   map[string][]pipeline.ServiceStatus
	numbers    web.Stats
	logs       map[string]string
	chunks     chan string // what followers see after what is there; closed: the end

	calls []string // commands that were given
	fail  error    // what every command answers
}

func (m *memory) Apps(context.Context) ([]pipeline.App, error) { return m.apps, nil }

func (m *memory) app(of func(pipeline.App) bool) (pipeline.App, error) {
	if i := slices.IndexFunc(m.apps, of); i >= 0 {
		return m.apps[i], nil
	}
	return pipeline.App{}, fmt.Errorf("app: %w", pipeline.ErrNotFound)
}

func (m *memory) AppByName(_ context.Context, name string) (pipeline.App, error) {
	return m.app(func(a pipeline.App) bool { return a.Name == name })
}

func (m *memory) AppByID(_ context.Context, id string) (pipeline.App, error) {
	return m.app(func(a pipeline.App) bool { return a.ID == id })
}

func (m *memory) EnvVars(_ context.Context, id string) ([]pipeline.EnvVar, error) {
	return m.env[id], nil
}

func (m *memory) HeldFiles(_ context.Context, id string) ([]pipeline.HeldFile, error) {
	return m.files[id], nil
}

func (m *memory) driftOf(id string) []pipeline.Drift { return m.drift[id] }

func (m *memory) Deployments(_ context.Context, q pipeline.DeploymentQuery) ([]pipeline.Deployment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []pipeline.Deployment
	for _, d := range m.dep {
		if d.AppID == q.AppID && (len(q.States) == 0 || slices.Contains(q.States, d.State)) && (q.After == "" || d.ID < q.After) {
			out = append(out, d)
		}
	}
	return out[:min(len(out), q.Limit)], nil
}

func (m *memory) Deployment(_ context.Context, id string) (pipeline.Deployment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.IndexFunc(m.dep, func(d pipeline.Deployment) bool { return d.ID == id }); i >= 0 {
		return m.dep[i], nil
	}
	return pipeline.Deployment{}, fmt.Errorf("deployment %s: %w", id, pipeline.ErrNotFound)
}

func (m *memory) set(id string, change func(*pipeline.Deployment)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.dep {
		if m.dep[i].ID == id {
			change(&m.dep[i])
		}
	}
}

func (m *memory) Release(_ context.Context, id string) (pipeline.Release, error) {
	if r, ok := m.releases[id]; ok {
		return r, nil
	}
	return pipeline.Release{}, pipeline.ErrNotFound
}

func (m *memory) Deliveries(_ context.Context, p pipeline.Page) ([]pipeline.Delivery, error) {
	return m.deliveries[:min(len(m.deliveries), p.Limit)], nil
}

func (m *memory) Audit(context.Context, pipeline.Page) ([]pipeline.AuditEntry, error) {
	return m.audit, nil
}
func (m *memory) Tokens(context.Context) ([]pipeline.Token, error) { return m.tokens, nil }

func (m *memory) did(format string, args ...any) (pipeline.Deployment, error) {
	m.calls = append(m.calls, fmt.Sprintf(format, args...))
	return pipeline.Deployment{ID: "new"}, m.fail
}

func (m *memory) Deploy(_ context.Context, by pipeline.Actor, app, commit string, t pipeline.Trigger) (pipeline.Deployment, error) {
	return m.did("%s deploys %q of %s as %s", by.Name, commit, app, t)
}

func (m *memory) Rollback(_ context.Context, by pipeline.Actor, app, to string) (pipeline.Deployment, error) {
	return m.did("%s rolls %s back to %q", by.Name, app, to)
}

func (m *memory) Cancel(_ context.Context, by pipeline.Actor, id string) (pipeline.Deployment, error) {
	return m.did("%s cancels %s", by.Name, id)
}

func (m *memory) Resolve(_ context.Context, by pipeline.Actor, id string, as pipeline.State) (pipeline.Deployment, error) {
	return m.did("%s resolves %s as %s", by.Name, id, as)
}

func (m *memory) CreateApp(_ context.Context, by pipeline.Actor, a pipeline.App) (pipeline.App, error) {
	_, err := m.did("%s adds %s: %s %s %v %v %v", by.Name, a.Name, a.Repo, a.Branch, a.Compose, a.Routes, a.Redirects)
	return a, err
}

func (m *memory) UpdateApp(_ context.Context, by pipeline.Actor, a pipeline.App) (pipeline.App, error) {
	_, err := m.did("%s changes %s: %s %s %v %v %v %q paused %v %v", by.Name, a.Name, a.Repo, a.Branch, a.Compose, a.Routes, a.Redirects, a.Overlay, a.Paused, a.Allow)
	return a, err
}

func (m *memory) SetMode(_ context.Context, by pipeline.Actor, app string, mode pipeline.Mode) (pipeline.ModeSet, error) {
	_, err := m.did("%s lets %s %s, page %q, wait %s, until %s", by.Name, app, mode.Kind, mode.Page, mode.Wait, mode.Until.Format(time.TimeOnly))
	set := pipeline.ModeSet{Mode: mode}
	if app == "fresh" {
		set.Pending = "no visitors are sent to it yet"
	}
	return set, err
}

func (m *memory) SetEnv(_ context.Context, by pipeline.Actor, app, name, value string) (int64, error) {
	_, err := m.did("%s sets %s of %s to %q", by.Name, name, app, value)
	return 1, err
}

func (m *memory) UnsetEnv(_ context.Context, by pipeline.Actor, app, name string) (int64, error) {
	_, err := m.did("%s unsets %s of %s", by.Name, name, app)
	return 1, err
}

func (m *memory) SetFile(_ context.Context, by pipeline.Actor, app, path string, content []byte) (int64, error) {
	_, err := m.did("%s holds %s of %s: %q", by.Name, path, app, content)
	return 1, err
}

func (m *memory) UnsetFile(_ context.Context, by pipeline.Actor, app, path string) (int64, error) {
	_, err := m.did("%s takes %s of %s away", by.Name, path, app)
	return 1, err
}

func (m *memory) CreateToken(_ context.Context, by pipeline.Actor, name string, role pipeline.Role) (pipeline.Token, string, error) {
	_, err := m.did("%s makes token %s for a %s", by.Name, name, role)
	return pipeline.Token{Name: name, Role: role}, "the-new-token", err
}

func (m *memory) RevokeToken(_ context.Context, by pipeline.Actor, token string) error {
	_, err := m.did("%s revokes %s", by.Name, token)
	return err
}

func (m *memory) Replay(_ context.Context, by pipeline.Actor, id string) (pipeline.Delivery, error) {
	_, err := m.did("%s replays %s", by.Name, id)
	return pipeline.Delivery{}, err
}

func (m *memory) Services(_ context.Context, app string) ([]pipeline.ServiceStatus, error) {
	return m.services[app], nil
}

func (m *memory) Plan(_ context.Context, app, commit string) (pipeline.PlanSummary, error) {
	if app != "djangopackages" {
		return pipeline.PlanSummary{}, fmt.Errorf("%w plan: compose.yml:3: service web: image: names nothing", pipeline.ErrInvalid)
	}
	return samplePlan(commit), nil
}

func (m *memory) ReadAt(id string, offset int64, limit int) ([]byte, error) {
	text := m.logs[id]
	return []byte(text[min(offset, int64(len(text))):min(offset+int64(limit), int64(len(text)))]), nil
}

func (m *memory) Size(id string) (int64, error) { return int64(len(m.logs[id])), nil }

type chunk struct {
	Data   []byte
	Offset int64
}

func (m *memory) follow(ctx context.Context, id string, offset int64) iter.Seq2[chunk, error] {
	return func(yield func(chunk, error) bool) {
		rest := m.logs[id][offset:]
		offset += int64(len(rest))
		if rest != "" && !yield(chunk{[]byte(rest), offset}, nil) {
			return
		}
		for {
			select {
			case text, open := <-m.chunks:
				offset += int64(len(text))
				if !open || !yield(chunk{[]byte(text), offset}, nil) {
					return
				}
			case <-ctx.Done():
				yield(chunk{}, ctx.Err())
				return
			}
		}
	}
}

func (m *memory) Login(_ context.Context, token, _ string) (*http.Cookie, error) {
	switch token {
	case "good":
		return &http.Cookie{Name: "swingbridge_session", Value: "s", Path: "/", HttpOnly: true}, nil
	case "many":
		return nil, errLimited
	}
	return nil, errUnauthorized
}

func (m *memory) Logout(context.Context, *http.Request) (*http.Cookie, error) {
	return &http.Cookie{Name: "swingbridge_session", MaxAge: -1, Path: "/"}, nil
}
func (m *memory) From(*http.Request) string { return "192.0.2.7" }

func (m *memory) CheckSetup(token, _ string) error {
	if token != "link" {
		return errClosed
	}
	return nil
}

func (m *memory) FirstToken(_ context.Context, token, name, _ string) (string, error) {
	if token != "link" {
		return "", errClosed
	}
	m.calls = append(m.calls, "first token for "+name)
	return "the-new-secret", nil
}

func (m *memory) stats(context.Context) (web.Stats, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := m.numbers
	out.Traffic = slices.Clone(m.numbers.Traffic)
	return out, nil
}

func (m *memory) doctor(context.Context) []web.Check {
	return []web.Check{
		{Name: "database", OK: true, Message: "answers"}, {Name: "docker", OK: true, Message: "answers, version 28.5.2"},
		{Name: "github", Message: "the token may not write commit statuses", Fix: "give the token the permission Commit statuses: write"},
	}
}
