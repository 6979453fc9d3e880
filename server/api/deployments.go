package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
)

// ListDeployments is GET /apps/{app}/deployments, newest first; ?state= (may be
// repeated) selects.
func (a *API) ListDeployments(w http.ResponseWriter, r *http.Request) {
	p, err := page(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	query := pipeline.DeploymentQuery{Page: oneMore(p)}
	for _, text := range r.URL.Query()["state"] {
		state := pipeline.State(text)
		if !slices.Contains(pipeline.States(), state) {
			a.fail(w, r, invalid("state", "there is no state "+strings.ToValidUTF8(text, "?")))
			return
		}
		query.States = append(query.States, state)
	}
	app, err := a.store.AppByName(r.Context(), r.PathValue("app"))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	query.AppID = app.ID
	found, err := a.store.Deployments(r.Context(), query)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.write(w, r, http.StatusOK, listOf(found, p, func(d pipeline.Deployment) string { return d.ID }, a.deployment))
}

// Deploy is POST /apps/{app}/deployments.
func (a *API) Deploy(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Commit string `json:"commit"`
	}
	if err := decodeOptional(w, r, &body); err != nil {
		a.fail(w, r, err)
		return
	}
	by := ActorFrom(r.Context())
	d, err := a.commands.Deploy(r.Context(), by, r.PathValue("app"), body.Commit, pipeline.Manual)
	a.answerDeployment(w, r, http.StatusAccepted, d, err)
}

// Rollback is POST /apps/{app}/rollback.
func (a *API) Rollback(w http.ResponseWriter, r *http.Request) {
	var body struct {
		To string `json:"to"`
	}
	if err := decodeOptional(w, r, &body); err != nil {
		a.fail(w, r, err)
		return
	}
	d, err := a.commands.Rollback(r.Context(), ActorFrom(r.Context()), r.PathValue("app"), body.To)
	a.answerDeployment(w, r, http.StatusAccepted, d, err)
}

// GetDeployment is GET /deployments/{id}.
func (a *API) GetDeployment(w http.ResponseWriter, r *http.Request) {
	d, err := a.store.Deployment(r.Context(), r.PathValue("id"))
	a.answerDeployment(w, r, http.StatusOK, d, err)
}

// Cancel is POST /deployments/{id}/cancel.
func (a *API) Cancel(w http.ResponseWriter, r *http.Request) {
	d, err := a.commands.Cancel(r.Context(), ActorFrom(r.Context()), r.PathValue("id"))
	a.answerDeployment(w, r, http.StatusOK, d, err)
}

// Resolve is POST /deployments/{id}/resolve.
func (a *API) Resolve(w http.ResponseWriter, r *http.Request) {
	var body struct {
		As pipeline.State `json:"as"`
	}
	if err := decode(w, r, &body); err != nil {
		a.fail(w, r, err)
		return
	}
	if !pipeline.Stuck.CanBecome(body.As) {
		a.fail(w, r, invalid("as", "as must be live, rolled_back or failed"))
		return
	}
	d, err := a.commands.Resolve(r.Context(), ActorFrom(r.Context()), r.PathValue("id"), body.As)
	a.answerDeployment(w, r, http.StatusOK, d, err)
}

func (a *API) deployment(d pipeline.Deployment) Deployment { return deploymentJSON(d, a.now()) }

func (a *API) answerDeployment(w http.ResponseWriter, r *http.Request, status int, d pipeline.Deployment, err error) {
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if status == http.StatusAccepted {
		w.Header().Set("Location", "/api/v1/deployments/"+d.ID)
	}
	a.write(w, r, status, a.deployment(d))
}
