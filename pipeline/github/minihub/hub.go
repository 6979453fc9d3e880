// Package minihub is a small GitHub in memory: the part of its REST API that
// Swingbridge speaks, with answers as complete as GitHub's own description asks
// for, its rules about who may do what, and faults on demand. The demo runs
// against it, and tests do.
//
// A repository exists once a branch of it was given a head. Who may call is told
// with AddApp and AddToken; reading branches of a repository needs nobody.
package minihub

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Hub is one GitHub. It is safe for concurrent use.
type Hub struct {
	mux *http.ServeMux

	mu            sync.Mutex
	lastID        int64
	repos         map[string]*repository // by lower-case full name
	tokens        map[string]principal
	apps          map[int64]App
	installations map[string]int64 // by lower-case owner
	checks        []*CheckRun
	statuses      []Status
	deployments   []*Deployment
	requests      []Request
	faults        []*Fault
	down          bool
}

// repository is what the hub knows of one.
type repository struct {
	id       int64
	fullName string
	heads    map[string]string
}

// Request is one call that reached the hub, faults included.
type Request struct {
	Method string
	Path   string
	At     time.Time
}

// maxRequests bounds the record of calls.
const maxRequests = 10000

// New makes a hub without repositories that knows nobody.
func New() *Hub {
	h := &Hub{
		mux: http.NewServeMux(), repos: map[string]*repository{}, tokens: map[string]principal{},
		apps: map[int64]App{}, installations: map[string]int64{},
	}
	for pattern, handle := range h.routes() {
		h.mux.HandleFunc(pattern, handle)
	}
	return h
}

// routes is every call that the hub answers.
func (h *Hub) routes() map[string]http.HandlerFunc {
	const repo = "/repos/{owner}/{repo}"
	return map[string]http.HandlerFunc{
		"GET /app":        h.getApp,
		"GET /rate_limit": h.getRateLimit,
		"GET /meta":       h.getMeta,
		"POST /app/installations/{installation}/access_tokens": h.createAccessToken,

		"GET " + repo + "/installation":      h.getInstallation,
		"GET " + repo + "/branches/{branch}": h.getBranch,
		"GET " + repo + "/git/ref/{ref...}":  h.getRef,

		"POST " + repo + "/check-runs":              h.createCheckRun,
		"GET " + repo + "/check-runs/{id}":          h.getCheckRun,
		"PATCH " + repo + "/check-runs/{id}":        h.updateCheckRun,
		"GET " + repo + "/commits/{ref}/check-runs": h.listCheckRuns,

		"POST " + repo + "/statuses/{sha}":        h.createStatus,
		"GET " + repo + "/commits/{ref}/statuses": h.listStatuses,

		"POST " + repo + "/deployments":               h.createDeployment,
		"GET " + repo + "/deployments":                h.listDeployments,
		"GET " + repo + "/deployments/{id}":           h.getDeployment,
		"POST " + repo + "/deployments/{id}/statuses": h.createDeploymentStatus,
		"GET " + repo + "/deployments/{id}/statuses":  h.listDeploymentStatuses,

		"/": func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, "Not Found") },
	}
}

// ServeHTTP answers one call.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := h.enter(r)
	if fault == nil {
		h.mux.ServeHTTP(w, r)
		return
	}
	fault.answer(w, r, h.mux)
}

// enter writes the call down and picks the fault that it meets, if any.
func (h *Hub) enter(r *http.Request) *Fault {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.requests) < maxRequests {
		h.requests = append(h.requests, Request{Method: r.Method, Path: r.URL.Path, At: time.Now()})
	}
	if h.down {
		return &Fault{Status: http.StatusServiceUnavailable}
	}
	for i, f := range h.faults {
		if f.Match != nil && !f.Match(r) {
			continue
		}
		met := *f
		if f.Times--; f.Times <= 0 {
			h.faults = slices.Delete(h.faults, i, i+1)
		}
		return &met
	}
	return nil
}

// SetHead makes a branch point at a commit, and the repository and branch if
// they are not there. An empty commit deletes the branch.
func (h *Hub) SetHead(repo, branch, commit string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := strings.ToLower(repo)
	r := h.repos[key]
	if r == nil {
		r = &repository{id: h.nextID(), fullName: repo, heads: map[string]string{}}
		h.repos[key] = r
	}
	if commit == "" {
		delete(r.heads, branch)
		return
	}
	r.heads[branch] = commit
}

// Requests returns the calls that reached the hub, oldest first.
func (h *Hub) Requests() []Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.requests)
}

// CheckRuns returns all check runs, oldest first.
func (h *Hub) CheckRuns() []CheckRun {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]CheckRun, len(h.checks))
	for i, c := range h.checks {
		out[i] = *c
		out[i].Actions, out[i].History = slices.Clone(c.Actions), slices.Clone(c.History)
	}
	return out
}

// Statuses returns all commit statuses, oldest first.
func (h *Hub) Statuses() []Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.statuses)
}

// Deployments returns all deployment records, oldest first.
func (h *Hub) Deployments() []Deployment {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]Deployment, len(h.deployments))
	for i, d := range h.deployments {
		out[i] = *d
		out[i].History = slices.Clone(d.History)
	}
	return out
}

// nextID hands out ids; h.mu is held.
func (h *Hub) nextID() int64 {
	h.lastID++
	return h.lastID
}
