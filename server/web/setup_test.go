package web_test

import (
	"context"
	"flag"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/web"
)

//nolint:gochecknoglobals // a flag of go test
var update = flag.Bool("update", false, "write the golden files anew")

type actorKey struct{}

// site is the pages on in-memory parts.
type site struct {
	*memory
	pages   *web.Web
	handler http.Handler
	now     time.Time
	clean   map[string]string // the logs as they were at first
}

// setup makes a site with the sample data of sample_test.go, at a fixed time.
func setup(t *testing.T, change ...func(*web.Options)) *site {
	t.Helper()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	m := sample(now)
	o := web.Options{
		Store: m, Commands: m, Logs: m, Auth: m, Stats: m.stats, Doctor: m.doctor, Drift: m.driftOf,
		AuthErrors: web.AuthErrors{Unauthorized: errUnauthorized, Limited: errLimited, SetupClosed: errClosed},
		Actor: func(ctx context.Context) (pipeline.Actor, bool) {
			by, ok := ctx.Value(actorKey{}).(pipeline.Actor)
			return by, ok
		},
		Follow: web.FollowLogOf(m.follow), Settings: sampleSettings(), Now: func() time.Time { return now },
		Every: time.Millisecond,
	}
	for _, f := range change {
		f(&o)
	}
	pages, err := web.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return &site{memory: m, pages: pages, handler: routes(pages), now: now, clean: maps.Clone(m.logs)}
}

// routes are the pages under the addresses that the server gives them.
func routes(p *web.Web) http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]http.HandlerFunc{
		"GET /{$}": p.Apps, "GET /apps/new": p.NewApp, "POST /apps": p.AddApp, "GET /apps/{app}": p.App,
		"GET /apps/{app}/plan": p.Plan, "GET /apps/{app}/settings": p.AppSettings, "POST /apps/{app}/settings": p.ChangeApp, "POST /apps/{app}/mode": p.SetMode,
		"POST /apps/{app}/env": p.SetEnv, "POST /apps/{app}/env/{name}/unset": p.UnsetEnv,
		"POST /apps/{app}/files": p.SetFile, "POST /apps/{app}/files/unset": p.UnsetFile,
		"POST /settings/tokens": p.CreateToken, "POST /settings/tokens/{token}/revoke": p.RevokeToken,
		"POST /apps/{app}/redeploy": p.RedeployApp, "POST /apps/{app}/rollback": p.RollBackApp,
		"GET /deployments/{id}": p.Deployment, "GET /deployments/{id}/log": p.Log, "GET /deployments/{id}/stream": p.Stream,
		"POST /deployments/{id}/cancel": p.Cancel, "POST /deployments/{id}/rollback": p.RollBack,
		"POST /deployments/{id}/redeploy": p.Redeploy, "POST /deployments/{id}/resolve": p.Resolve,
		"GET /deliveries": p.Deliveries, "POST /deliveries/{id}/replay": p.Replay, "GET /audit": p.Audit,
		"GET /doctor": p.Doctor, "GET /settings": p.Settings, "GET /login": p.Login, "POST /login": p.DoLogin,
		"POST /logout": p.Logout, "GET /setup": p.Setup, "POST /setup": p.DoSetup, "GET /static/": p.Static, "/": p.NotFound,
		"GET /forbidden": p.NotPermitted,
	} {
		mux.HandleFunc(pattern, h)
	}
	return mux
}

// as makes a request in the name of someone with the role; nobody if empty.
func (s *site) as(role pipeline.Role, r *http.Request) *httptest.ResponseRecorder {
	if role != "" {
		r = r.WithContext(context.WithValue(r.Context(), actorKey{}, pipeline.Actor{Name: "octocat", Role: role, From: "192.0.2.7"}))
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

func (s *site) get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	return s.as(pipeline.Admin, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
}

func (s *site) post(t *testing.T, path string, form url.Values) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.as(pipeline.Admin, r)
}
