package api

import (
	"net/http"
)

// ListEnv is GET /apps/{app}/env: names and versions, never values.
func (a *API) ListEnv(w http.ResponseWriter, r *http.Request) {
	app, err := a.store.AppByName(r.Context(), r.PathValue("app"))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	vars, err := a.store.EnvVars(r.Context(), app.ID)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.write(w, r, http.StatusOK, List[EnvVar]{Items: mapped(vars, envJSON)})
}

// SetEnv is PUT /apps/{app}/env/{name}; it answers with the version the
// environment has now.
func (a *API) SetEnv(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Value *string `json:"value"`
	}
	if err := decode(w, r, &body); err != nil {
		a.fail(w, r, err)
		return
	}
	if body.Value == nil {
		a.fail(w, r, invalid("value", "value is missing"))
		return
	}
	name := r.PathValue("name")
	version, err := a.commands.SetEnv(r.Context(), ActorFrom(r.Context()), r.PathValue("app"), name, *body.Value)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.write(w, r, http.StatusOK, EnvVar{Name: name, Version: version})
}

// UnsetEnv is DELETE /apps/{app}/env/{name}; it answers like SetEnv.
func (a *API) UnsetEnv(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	version, err := a.commands.UnsetEnv(r.Context(), ActorFrom(r.Context()), r.PathValue("app"), name)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.write(w, r, http.StatusOK, EnvVar{Name: name, Version: version})
}
