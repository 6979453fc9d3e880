package server

import (
	"net/http"
)

// Pages are the pages for people. One that is nil answers like an unknown page.
// A page finds who is signed in with api.ActorFrom.
type Pages struct {
	Apps         http.HandlerFunc // GET /
	NewApp       http.HandlerFunc // GET /apps/new
	AddApp       http.HandlerFunc // POST /apps
	App          http.HandlerFunc // GET /apps/{app}
	Plan         http.HandlerFunc // GET /apps/{app}/plan
	AppSettings  http.HandlerFunc // GET /apps/{app}/settings
	ChangeApp    http.HandlerFunc // POST /apps/{app}/settings
	SetMode      http.HandlerFunc // POST /apps/{app}/mode
	SetEnv       http.HandlerFunc // POST /apps/{app}/env
	SetFile      http.HandlerFunc // POST /apps/{app}/files
	UnsetFile    http.HandlerFunc // POST /apps/{app}/files/unset
	UnsetEnv     http.HandlerFunc // POST /apps/{app}/env/{name}/unset
	RedeployApp  http.HandlerFunc // POST /apps/{app}/redeploy
	RollBackApp  http.HandlerFunc // POST /apps/{app}/rollback
	Deployment   http.HandlerFunc // GET /deployments/{id}
	Log          http.HandlerFunc // GET /deployments/{id}/log
	Stream       http.HandlerFunc // GET /deployments/{id}/stream: server-sent HTML fragments
	Cancel       http.HandlerFunc // POST /deployments/{id}/cancel
	RollBack     http.HandlerFunc // POST /deployments/{id}/rollback
	Redeploy     http.HandlerFunc // POST /deployments/{id}/redeploy
	Resolve      http.HandlerFunc // POST /deployments/{id}/resolve
	Deliveries   http.HandlerFunc // GET /deliveries
	Replay       http.HandlerFunc // POST /deliveries/{id}/replay
	Audit        http.HandlerFunc // GET /audit
	Doctor       http.HandlerFunc // GET /doctor
	Settings     http.HandlerFunc // GET /settings
	CreateToken  http.HandlerFunc // POST /settings/tokens
	RevokeToken  http.HandlerFunc // POST /settings/tokens/{token}/revoke
	Login        http.HandlerFunc // GET /login
	DoLogin      http.HandlerFunc // POST /login
	Logout       http.HandlerFunc // POST /logout
	Setup        http.HandlerFunc // GET /setup
	DoSetup      http.HandlerFunc // POST /setup
	Static       http.Handler     // GET /static/*, with the whole path
	NotFound     http.HandlerFunc // an unknown page: writes the status 404 itself
	NotPermitted http.HandlerFunc // a page that the role may not see: writes the status 403 itself
}

// page is the handler of a page, or that of an unknown one.
func (p Pages) page(h http.HandlerFunc) http.HandlerFunc {
	if h == nil {
		return p.notFound
	}
	return h
}

func (p Pages) static() http.HandlerFunc {
	if p.Static == nil {
		return p.notFound
	}
	return p.Static.ServeHTTP
}

func (p Pages) notFound(w http.ResponseWriter, r *http.Request) {
	if p.NotFound == nil {
		http.Error(w, "There is no such page.", http.StatusNotFound)
		return
	}
	p.NotFound(w, r)
}

func (p Pages) notPermitted(w http.ResponseWriter, r *http.Request) {
	if p.NotPermitted == nil {
		http.Error(w, "Your role does not permit this.", http.StatusForbidden)
		return
	}
	p.NotPermitted(w, r)
}
