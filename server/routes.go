package server

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Permission is who may use a route. A route without one does not start.
type Permission string

// The permissions. Those of roles include the roles above.
const (
	Public   Permission = "public"  // anyone
	Session  Permission = "session" // anyone who is signed in
	Viewer   Permission = Permission(pipeline.Viewer)
	Deployer Permission = Permission(pipeline.Deployer)
	Admin    Permission = Permission(pipeline.Admin)
)

// Route is one thing that the server answers.
type Route struct {
	Method     string
	Pattern    string
	Permission Permission
	Handler    http.HandlerFunc
	Stream     bool // goes on for long: it ends when the server begins to shut down
}

const apiPrefix = "/api/v1"

// Routes is the whole table: nothing else is answered.
func (s *Server) Routes() []Route {
	const get, post, put, patch, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete
	a, p := s.api, s.pages
	return []Route{
		{get, "/healthz", Public, s.healthz, false},
		{get, "/readyz", Public, s.readyz, false},
		{get, "/metrics", Public, s.ownMetrics, false},
		{post, webhookPath, Public, s.webhook.ServeHTTP, false},

		{get, apiPrefix + "/openapi.json", Viewer, a.OpenAPI, false},
		{get, apiPrefix + "/apps", Viewer, a.ListApps, false},
		{post, apiPrefix + "/apps", Admin, a.CreateApp, false},
		{get, apiPrefix + "/apps/{app}", Viewer, a.GetApp, false},
		{patch, apiPrefix + "/apps/{app}", Admin, a.UpdateApp, false},
		{del, apiPrefix + "/apps/{app}", Admin, a.RemoveApp, false},
		{get, apiPrefix + "/apps/{app}/deployments", Viewer, a.ListDeployments, false},
		{post, apiPrefix + "/apps/{app}/deployments", Deployer, a.Deploy, false},
		{post, apiPrefix + "/apps/{app}/rollback", Deployer, a.Rollback, false},
		{put, apiPrefix + "/apps/{app}/mode", Deployer, a.SetMode, false},
		{get, apiPrefix + "/apps/{app}/env", Viewer, a.ListEnv, false},
		{put, apiPrefix + "/apps/{app}/env/{name}", Admin, a.SetEnv, false},
		{del, apiPrefix + "/apps/{app}/env/{name}", Admin, a.UnsetEnv, false},
		{get, apiPrefix + "/apps/{app}/files", Viewer, a.ListFiles, false},
		{put, apiPrefix + "/apps/{app}/files/{path}", Admin, a.SetFile, false},
		{del, apiPrefix + "/apps/{app}/files/{path}", Admin, a.UnsetFile, false},
		{get, apiPrefix + "/apps/{app}/services", Viewer, a.Services, false},
		{get, apiPrefix + "/apps/{app}/services/{service}/log", Viewer, a.ServiceLog, true},
		{get, apiPrefix + "/apps/{app}/plan", Viewer, a.Plan, false},
		{get, apiPrefix + "/deployments/{id}", Viewer, a.GetDeployment, false},
		{post, apiPrefix + "/deployments/{id}/cancel", Deployer, a.Cancel, false},
		{post, apiPrefix + "/deployments/{id}/resolve", Deployer, a.Resolve, false},
		{get, apiPrefix + "/deployments/{id}/log", Viewer, a.Log, true},
		{get, apiPrefix + "/events", Viewer, a.Events, true},
		{get, apiPrefix + "/deliveries", Viewer, a.ListDeliveries, false},
		{post, apiPrefix + "/deliveries/{id}/replay", Deployer, a.Replay, false},
		{get, apiPrefix + "/audit", Viewer, a.Audit, false},
		{get, apiPrefix + "/tokens", Admin, a.ListTokens, false},
		{post, apiPrefix + "/tokens", Admin, a.CreateToken, false},
		{del, apiPrefix + "/tokens/{token}", Admin, a.RevokeToken, false},
		{get, apiPrefix + "/doctor", Viewer, a.Doctor, false},

		{get, "/", Viewer, p.page(p.Apps), false},
		{get, "/apps/new", Admin, p.page(p.NewApp), false},
		{post, "/apps", Admin, p.page(p.AddApp), false},
		{get, "/apps/{app}", Viewer, p.page(p.App), false},
		{get, "/apps/{app}/plan", Viewer, p.page(p.Plan), false},
		{get, "/apps/{app}/settings", Admin, p.page(p.AppSettings), false},
		{post, "/apps/{app}/settings", Admin, p.page(p.ChangeApp), false},
		{post, "/apps/{app}/mode", Deployer, p.page(p.SetMode), false},
		{post, "/apps/{app}/env", Admin, p.page(p.SetEnv), false},
		{post, "/apps/{app}/env/{name}/unset", Admin, p.page(p.UnsetEnv), false},
		{post, "/apps/{app}/files", Admin, p.page(p.SetFile), false},
		{post, "/apps/{app}/files/unset", Admin, p.page(p.UnsetFile), false},
		{post, "/apps/{app}/redeploy", Deployer, p.page(p.RedeployApp), false},
		{post, "/apps/{app}/rollback", Deployer, p.page(p.RollBackApp), false},
		{get, "/deployments/{id}", Viewer, p.page(p.Deployment), false},
		{get, "/deployments/{id}/log", Viewer, p.page(p.Log), false},
		{get, "/deployments/{id}/stream", Session, p.page(p.Stream), true},
		{post, "/deployments/{id}/cancel", Deployer, p.page(p.Cancel), false},
		{post, "/deployments/{id}/rollback", Deployer, p.page(p.RollBack), false},
		{post, "/deployments/{id}/redeploy", Deployer, p.page(p.Redeploy), false},
		{post, "/deployments/{id}/resolve", Deployer, p.page(p.Resolve), false},
		{get, "/deliveries", Viewer, p.page(p.Deliveries), false},
		{post, "/deliveries/{id}/replay", Deployer, p.page(p.Replay), false},
		{get, "/audit", Viewer, p.page(p.Audit), false},
		{get, "/doctor", Viewer, p.page(p.Doctor), false},
		{get, "/settings", Admin, p.page(p.Settings), false},
		{post, "/settings/tokens", Admin, p.page(p.CreateToken), false},
		{post, "/settings/tokens/{token}/revoke", Admin, p.page(p.RevokeToken), false},
		{get, "/login", Public, p.page(p.Login), false},
		{post, "/login", Public, p.page(p.DoLogin), false},
		{post, "/logout", Session, p.page(p.Logout), false},
		{get, "/setup", Public, p.page(p.Setup), false},
		{post, "/setup", Public, p.page(p.DoSetup), false},
		{get, "/static/*", Public, p.static(), false},
	}
}

const webhookPath = "/webhooks/github"

// router makes the router of the table, or says which line of it is wrong.
func (s *Server) router(table []Route) (http.Handler, error) {
	mux := chi.NewRouter()
	seen := map[string]bool{}
	for _, route := range table {
		line := route.Method + " " + route.Pattern
		switch {
		case !route.Permission.known():
			return nil, fmt.Errorf("route %s: permission %q is none", line, route.Permission)
		case route.Handler == nil:
			return nil, fmt.Errorf("route %s: no handler", line)
		case seen[line]:
			return nil, fmt.Errorf("route %s: twice in the table", line)
		}
		seen[line] = true
		guarded := s.guard(route)
		mux.Method(route.Method, route.Pattern, guarded)
		if route.Method == http.MethodGet && !route.Stream {
			mux.Method(http.MethodHead, route.Pattern, guarded)
		}
	}
	mux.NotFound(s.unknown)
	mux.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) { s.wrongMethod(mux, w, r) })
	return mux, nil
}

func (p Permission) known() bool {
	switch p {
	case Public, Session, Viewer, Deployer, Admin:
		return true
	}
	return false
}

// isAPI reports whether a path belongs to programs and not to people.
func isAPI(path string) bool { return path == "/api" || strings.HasPrefix(path, "/api/") }
