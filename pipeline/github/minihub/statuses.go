package minihub

import (
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Status is a commit status. None is ever changed: a new one hides the one
// before it in its context.
type Status struct {
	ID          int64
	Repo        string
	SHA         string
	Context     string
	State       string
	Description string
	TargetURL   string
	CreatedAt   time.Time
}

func (h *Hub) createStatus(w http.ResponseWriter, r *http.Request) {
	var order struct {
		State       string `json:"state"`
		TargetURL   string `json:"target_url"`
		Description string `json:"description"`
		Context     string `json:"context"`
	}
	if !decode(w, r, &order) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	repo := h.enterRepo(w, r, "statuses", "write")
	if repo == nil {
		return
	}
	switch {
	case !slices.Contains([]string{"error", "failure", "pending", "success"}, order.State):
		invalid(w, "Status", "state", "is not one of error, failure, pending, success")
		return
	case utf8.RuneCountInString(order.Description) > 140:
		invalid(w, "Status", "description", "is too long (maximum is 140 characters)")
		return
	}
	if order.Context == "" {
		order.Context = "default"
	}
	s := Status{
		ID: h.nextID(), Repo: repo.fullName, SHA: r.PathValue("sha"), Context: order.Context, State: order.State,
		Description: order.Description, TargetURL: order.TargetURL, CreatedAt: time.Now(),
	}
	if h.statusCount(s) >= 1000 {
		invalid(w, "Status", "context", "has reached the maximum of 1000 for this commit")
		return
	}
	h.statuses = append(h.statuses, s)
	answer(w, http.StatusCreated, statusBody(repo, s))
}

// statusCount counts the statuses in one context of a commit; h.mu is held.
func (h *Hub) statusCount(like Status) int {
	n := 0
	for _, s := range h.statuses {
		if s.Repo == like.Repo && s.SHA == like.SHA && strings.EqualFold(s.Context, like.Context) {
			n++
		}
	}
	return n
}

func (h *Hub) listStatuses(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	repo := h.enterRepo(w, r, "statuses", "read")
	if repo == nil {
		return
	}
	found := []object{}
	for _, s := range slices.Backward(h.statuses) {
		if s.Repo == repo.fullName && s.SHA == r.PathValue("ref") {
			found = append(found, statusBody(repo, s))
		}
	}
	answer(w, http.StatusOK, page(w, r, found))
}

func statusBody(repo *repository, s Status) object {
	return object{
		"id": s.ID, "node_id": node("SC", s.ID), "url": repoURL(repo) + "/statuses/" + s.SHA,
		"avatar_url": "https://avatars.githubusercontent.com/u/1", "state": s.State, "description": orNull(s.Description),
		"target_url": orNull(s.TargetURL), "context": s.Context, "creator": userBody("swingbridge"),
		"created_at": stamp(s.CreatedAt), "updated_at": stamp(s.CreatedAt),
	}
}
