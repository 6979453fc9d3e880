package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/auth"
)

// memory is the stores of auth.
type memory struct {
	mu       sync.Mutex
	tokens   map[string]pipeline.Token
	sessions map[string]pipeline.Session
	settings map[string]string
	err      error
}

func (m *memory) lock() func() { m.mu.Lock(); return m.mu.Unlock }

func (m *memory) TokenByHash(_ context.Context, hash []byte) (pipeline.Token, error) {
	defer m.lock()()
	if t, ok := m.tokens[string(hash)]; ok {
		return t, m.err
	}
	return pipeline.Token{}, errors.Join(m.err, fmt.Errorf("token: %w", pipeline.ErrNotFound))
}

func (m *memory) CreateToken(_ context.Context, t pipeline.Token) (pipeline.Token, error) {
	defer m.lock()()
	m.tokens[string(t.Hash)] = t
	return t, m.err
}

func (m *memory) CreateSession(_ context.Context, s pipeline.Session) error {
	defer m.lock()()
	m.sessions[string(s.Hash)] = s
	return m.err
}

func (m *memory) SessionByHash(_ context.Context, hash []byte) (pipeline.Session, error) {
	defer m.lock()()
	if s, ok := m.sessions[string(hash)]; ok {
		return s, m.err
	}
	return pipeline.Session{}, fmt.Errorf("session: %w", pipeline.ErrNotFound)
}

func (m *memory) DeleteSession(_ context.Context, hash []byte) error {
	defer m.lock()()
	delete(m.sessions, string(hash))
	return m.err
}

func (m *memory) Setting(_ context.Context, key string) (string, error) {
	defer m.lock()()
	return m.settings[key], m.err
}

func (m *memory) SetSetting(_ context.Context, key, value string) error {
	defer m.lock()()
	m.settings[key] = value
	return m.err
}

type world struct {
	*auth.Auth
	memory *memory
	now    time.Time
}

func setup(t *testing.T, edit ...func(*auth.Options)) *world {
	t.Helper()
	w := &world{now: time.Unix(1_800_000_000, 0), memory: &memory{
		tokens: map[string]pipeline.Token{}, sessions: map[string]pipeline.Session{}, settings: map[string]string{},
	}}
	o := auth.Options{Store: w.memory, Setup: w.memory, AdminToken: "the admin's", Now: func() time.Time { return w.now }}
	for _, e := range edit {
		e(&o)
	}
	w.Auth = made(t, o)
	w.add("ci's", pipeline.Token{ID: "t1", Name: "ci", Role: pipeline.Deployer})
	w.add("gone", pipeline.Token{ID: "t2", Name: "old", Role: pipeline.Admin, RevokedAt: w.now})
	return w
}

func made(t *testing.T, o auth.Options) *auth.Auth {
	t.Helper()
	a, err := auth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (w *world) add(token string, t pipeline.Token) {
	t.Hash = auth.HashToken(token)
	w.memory.tokens[string(t.Hash)] = t
}

func request(header, cookie string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = "192.0.2.9:1234"
	if header != "" {
		r.Header.Set("Authorization", header)
	}
	if cookie != "" {
		r.AddCookie(&http.Cookie{Name: auth.CookieName, Value: cookie})
	}
	return r
}
