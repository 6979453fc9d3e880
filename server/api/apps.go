package api

import (
	"net/http"
	"slices"

	"github.com/swingbridge/swingbridge/pipeline"
)

// ListApps is GET /apps, in the store's order.
func (a *API) ListApps(w http.ResponseWriter, r *http.Request) {
	p, err := page(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	apps, err := a.store.Apps(r.Context())
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if p.After != "" {
		seen := slices.IndexFunc(apps, func(app pipeline.App) bool { return app.ID == p.After })
		if seen < 0 {
			a.fail(w, r, invalid("after", "there is no app with the id given as after"))
			return
		}
		apps = apps[seen+1:]
	}
	list := List[App]{Items: mapped(apps[:min(len(apps), p.Limit)], a.app)}
	if len(apps) > p.Limit {
		list.Next = apps[p.Limit-1].ID
	}
	a.write(w, r, http.StatusOK, list)
}

// CreateApp is POST /apps.
func (a *API) CreateApp(w http.ResponseWriter, r *http.Request) {
	var body AppChange
	if err := decode(w, r, &body); err != nil {
		a.fail(w, r, err)
		return
	}
	app, err := a.commands.CreateApp(r.Context(), ActorFrom(r.Context()), body.onto(pipeline.App{}))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	w.Header().Set("Location", "/api/v1/apps/"+app.Name)
	a.write(w, r, http.StatusCreated, a.app(app))
}

// GetApp is GET /apps/{app}.
func (a *API) GetApp(w http.ResponseWriter, r *http.Request) {
	app, err := a.store.AppByName(r.Context(), r.PathValue("app"))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.write(w, r, http.StatusOK, a.app(app))
}

// UpdateApp is PATCH /apps/{app}: what the body does not name stays.
func (a *API) UpdateApp(w http.ResponseWriter, r *http.Request) {
	var body AppChange
	if err := decode(w, r, &body); err != nil {
		a.fail(w, r, err)
		return
	}
	app, err := a.store.AppByName(r.Context(), r.PathValue("app"))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if app, err = a.commands.UpdateApp(r.Context(), ActorFrom(r.Context()), body.onto(app)); err != nil {
		a.fail(w, r, err)
		return
	}
	a.write(w, r, http.StatusOK, a.app(app))
}

// RemoveApp is DELETE /apps/{app}.
func (a *API) RemoveApp(w http.ResponseWriter, r *http.Request) {
	if err := a.commands.RemoveApp(r.Context(), ActorFrom(r.Context()), r.PathValue("app")); err != nil {
		a.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a *API) app(app pipeline.App) App { return appJSON(app, a.drift(app.ID), a.now()) }
