package minihub

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tokenLife is how long an installation's token works.
const tokenLife = time.Hour

func (h *Hub) getApp(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	app, err := h.asApp(r)
	if err != nil {
		refuse(w, http.StatusUnauthorized, err.Error())
		return
	}
	answer(w, http.StatusOK, appBody(app))
}

func (h *Hub) getInstallation(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	app, err := h.asApp(r)
	if err != nil {
		refuse(w, http.StatusUnauthorized, err.Error())
		return
	}
	owner := strings.ToLower(r.PathValue("owner"))
	if h.repos[owner+"/"+strings.ToLower(r.PathValue("repo"))] == nil {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	if h.installations[owner] == 0 {
		h.installations[owner] = h.nextID()
	}
	answer(w, http.StatusOK, installationBody(app, h.installations[owner], r.PathValue("owner")))
}

func (h *Hub) createAccessToken(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Repositories []string          `json:"repositories"`
		Permissions  map[string]string `json:"permissions"`
	}
	if !decode(w, r, &asked) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	app, err := h.asApp(r)
	if err != nil {
		refuse(w, http.StatusUnauthorized, err.Error())
		return
	}
	p := principal{app: app.ID, permissions: app.Permissions, expires: time.Now().Add(tokenLife)}
	if p.owner = h.ownerOf(r.PathValue("installation")); p.owner == "" {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	if asked.Permissions != nil {
		p.permissions = maps.Clone(asked.Permissions)
		p.permissions["metadata"] = "read"
		for kind, level := range asked.Permissions {
			if have := app.Permissions[kind]; have != level && have != "write" {
				refuse(w, http.StatusUnprocessableEntity, "The permissions requested are not granted to this installation.")
				return
			}
		}
	}
	var repos []object
	for _, name := range asked.Repositories {
		repo := h.repos[p.owner+"/"+strings.ToLower(name)]
		if repo == nil {
			refuse(w, http.StatusUnprocessableEntity, "There is at least one repository that does not exist or is not accessible to the parent installation.")
			return
		}
		p.repos = append(p.repos, strings.ToLower(repo.fullName))
		repos = append(repos, repositoryBody(repo))
	}
	body := object{
		"token": h.issue(p), "expires_at": stamp(p.expires), "permissions": p.permissions,
		"repository_selection": "all",
	}
	if len(repos) > 0 {
		body["repositories"], body["repository_selection"] = repos, "selected"
	}
	answer(w, http.StatusCreated, body)
}

// ownerOf finds whose installation has this id; h.mu is held.
func (h *Hub) ownerOf(installation string) string {
	id, err := strconv.ParseInt(installation, 10, 64)
	if err != nil {
		return ""
	}
	for owner, have := range h.installations {
		if have == id {
			return owner
		}
	}
	return ""
}

func (h *Hub) getRateLimit(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	_, ok := h.caller(r)
	h.mu.Unlock()
	if !ok {
		refuse(w, http.StatusUnauthorized, "Bad credentials")
		return
	}
	limit := object{"limit": 5000, "used": 1, "remaining": 4999, "reset": time.Now().Add(time.Hour).Unix()}
	answer(w, http.StatusOK, object{"resources": object{"core": limit, "search": limit}, "rate": limit})
}

func (h *Hub) getMeta(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, object{"verifiable_password_authentication": false, "hooks": []string{"192.0.2.0/24"}})
}

func appBody(a App) object {
	slug := strings.ToLower(strings.ReplaceAll(a.Name, " ", "-"))
	return object{
		"id": a.ID, "node_id": node("A", a.ID), "slug": slug, "name": a.Name, "description": nil,
		"owner": userBody("swingbridge"), "external_url": "https://swingbridge.dev", "html_url": web + "apps/" + slug,
		"created_at": stamp(epoch()), "updated_at": stamp(epoch()),
		"permissions": a.Permissions, "events": []string{"push", "check_run"},
	}
}

func installationBody(a App, id int64, owner string) object {
	return object{
		"id": id, "app_id": a.ID, "app_slug": appBody(a)["slug"], "target_id": 1, "target_type": "User",
		"account": userBody(owner), "repository_selection": "all", "single_file_name": nil,
		"access_tokens_url": api + "app/installations/" + strconv.FormatInt(id, 10) + "/access_tokens",
		"repositories_url":  api + "installation/repositories",
		"html_url":          web + "settings/installations/" + strconv.FormatInt(id, 10),
		"events":            []string{"push", "check_run"}, "permissions": a.Permissions,
		"created_at": stamp(epoch()), "updated_at": stamp(epoch()), "suspended_by": nil, "suspended_at": nil,
	}
}

// anyApp is the App that made a check run: the hub has one in practice; h.mu is
// held.
func (h *Hub) anyApp() App {
	ids := slices.Sorted(maps.Keys(h.apps))
	if len(ids) == 0 {
		return App{ID: 1, Name: "Swingbridge"}
	}
	return h.apps[ids[0]]
}
