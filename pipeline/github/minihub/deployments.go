package minihub

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// Deployment is a deployment record as the hub has it.
type Deployment struct {
	ID          int64
	Repo        string
	SHA         string
	Environment string
	Description string
	Payload     string // JSON
	CreatedAt   time.Time
	History     []DeploymentStatus // oldest first
}

// DeploymentStatus is one status of a deployment record.
type DeploymentStatus struct {
	ID             int64
	State          string
	Description    string
	EnvironmentURL string
	LogURL         string
	CreatedAt      time.Time
}

// State is the newest state of the record, empty if it has none.
func (d Deployment) State() string {
	if len(d.History) == 0 {
		return ""
	}
	return d.History[len(d.History)-1].State
}

func (h *Hub) createDeployment(w http.ResponseWriter, r *http.Request) {
	var order struct {
		Ref              string          `json:"ref"`
		AutoMerge        *bool           `json:"auto_merge"`
		RequiredContexts *[]string       `json:"required_contexts"`
		Payload          json.RawMessage `json:"payload"`
		Environment      string          `json:"environment"`
		Description      string          `json:"description"`
	}
	if !decode(w, r, &order) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	repo := h.enterRepo(w, r, "deployments", "write")
	if repo == nil {
		return
	}
	switch {
	case order.Ref == "":
		invalid(w, "Deployment", "ref", "is missing")
		return
	case order.RequiredContexts == nil || len(*order.RequiredContexts) > 0: // our own check is not green yet
		refuse(w, http.StatusConflict, "Conflict: Commit status checks failed for "+order.Ref+".")
		return
	case order.AutoMerge == nil || *order.AutoMerge: // the default would merge the default branch into the ref
		answer(w, http.StatusAccepted, object{"message": "Auto-merged main into " + order.Ref + " on deployment."})
		return
	}
	if order.Environment == "" {
		order.Environment = "production"
	}
	if len(order.Payload) == 0 {
		order.Payload = json.RawMessage(`""`)
	}
	d := &Deployment{
		ID: h.nextID(), Repo: repo.fullName, SHA: order.Ref, Environment: order.Environment,
		Description: order.Description, Payload: string(order.Payload), CreatedAt: time.Now(),
	}
	h.deployments = append(h.deployments, d)
	answer(w, http.StatusCreated, deploymentBody(repo, d))
}

func (h *Hub) listDeployments(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	repo := h.enterRepo(w, r, "deployments", "read")
	if repo == nil {
		return
	}
	query := r.URL.Query()
	matches := func(field, value string) bool { return query.Get(field) == "" || query.Get(field) == value }
	found := []object{}
	for _, d := range slices.Backward(h.deployments) {
		if d.Repo == repo.fullName && matches("sha", d.SHA) && matches("ref", d.SHA) && matches("environment", d.Environment) {
			found = append(found, deploymentBody(repo, d))
		}
	}
	answer(w, http.StatusOK, page(w, r, found))
}

func (h *Hub) getDeployment(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	repo := h.enterRepo(w, r, "deployments", "read")
	if repo == nil {
		return
	}
	if d := h.deployment(w, r, repo); d != nil {
		answer(w, http.StatusOK, deploymentBody(repo, d))
	}
}

func (h *Hub) createDeploymentStatus(w http.ResponseWriter, r *http.Request) {
	var order struct {
		State          string `json:"state"`
		LogURL         string `json:"log_url"`
		Description    string `json:"description"`
		EnvironmentURL string `json:"environment_url"`
	}
	if !decode(w, r, &order) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	repo := h.enterRepo(w, r, "deployments", "write")
	if repo == nil {
		return
	}
	d := h.deployment(w, r, repo)
	if d == nil {
		return
	}
	states := []string{"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}
	switch {
	case !slices.Contains(states, order.State):
		invalid(w, "DeploymentStatus", "state", "is not included in the list")
		return
	case utf8.RuneCountInString(order.Description) > 140:
		invalid(w, "DeploymentStatus", "description", "is too long (maximum is 140 characters)")
		return
	}
	s := DeploymentStatus{
		ID: h.nextID(), State: order.State, Description: order.Description, EnvironmentURL: order.EnvironmentURL,
		LogURL: order.LogURL, CreatedAt: time.Now(),
	}
	d.History = append(d.History, s)
	answer(w, http.StatusCreated, deploymentStatusBody(repo, d, s))
}

func (h *Hub) listDeploymentStatuses(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	repo := h.enterRepo(w, r, "deployments", "read")
	if repo == nil {
		return
	}
	d := h.deployment(w, r, repo)
	if d == nil {
		return
	}
	found := []object{}
	for _, s := range slices.Backward(d.History) {
		found = append(found, deploymentStatusBody(repo, d, s))
	}
	answer(w, http.StatusOK, page(w, r, found))
}

// deployment finds the record that the path names and answers itself if there
// is none; h.mu is held.
func (h *Hub) deployment(w http.ResponseWriter, r *http.Request, repo *repository) *Deployment {
	for _, d := range h.deployments {
		if d.Repo == repo.fullName && strconv.FormatInt(d.ID, 10) == r.PathValue("id") {
			return d
		}
	}
	refuse(w, http.StatusNotFound, "Not Found")
	return nil
}

func deploymentURL(repo *repository, d *Deployment) string {
	return repoURL(repo) + "/deployments/" + strconv.FormatInt(d.ID, 10)
}

func deploymentBody(repo *repository, d *Deployment) object {
	updated := d.CreatedAt
	if n := len(d.History); n > 0 {
		updated = d.History[n-1].CreatedAt
	}
	return object{
		"id": d.ID, "node_id": node("DE", d.ID), "url": deploymentURL(repo, d), "sha": d.SHA, "ref": d.SHA, "task": "deploy",
		"environment": d.Environment, "original_environment": d.Environment, "description": orNull(d.Description),
		"payload": json.RawMessage(d.Payload), "creator": userBody("swingbridge"), "repository_url": repoURL(repo),
		"statuses_url": deploymentURL(repo, d) + "/statuses", "transient_environment": false, "production_environment": true,
		"created_at": stamp(d.CreatedAt), "updated_at": stamp(updated),
	}
}

func deploymentStatusBody(repo *repository, d *Deployment, s DeploymentStatus) object {
	at := deploymentURL(repo, d)
	return object{
		"id": s.ID, "node_id": node("DES", s.ID), "url": at + "/statuses/" + strconv.FormatInt(s.ID, 10), "state": s.State,
		"creator": userBody("swingbridge"), "description": s.Description, "environment": d.Environment,
		"environment_url": s.EnvironmentURL, "log_url": s.LogURL, "target_url": s.LogURL, "deployment_url": at,
		"repository_url": repoURL(repo), "created_at": stamp(s.CreatedAt), "updated_at": stamp(s.CreatedAt),
	}
}
