package minihub

import (
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// CheckRun is a check run as the hub has it.
type CheckRun struct {
	ID          int64
	Repo        string
	Name        string
	HeadSHA     string
	ExternalID  string
	DetailsURL  string
	Status      string
	Conclusion  string
	Title       string
	Summary     string
	Text        string
	Actions     []Action
	StartedAt   time.Time
	CompletedAt time.Time
	History     []Transition // how status, conclusion and title came about, oldest first
}

// Action is a button of a check run.
type Action struct {
	Label       string `json:"label"`
	Description string `json:"description"`
	Identifier  string `json:"identifier"`
}

// Transition is one write that something went through.
type Transition struct {
	State      string // status of a check run, state of a deployment
	Conclusion string // of a completed check run
	Text       string // title or description
	Closes     bool   // of a check run: this very write completed it, or said so again
	At         time.Time
}

// checkOrder is the body of a call that makes or updates a check run. What is
// nil stays as it is.
type checkOrder struct {
	Name        *string    `json:"name"`
	HeadSHA     *string    `json:"head_sha"`
	ExternalID  *string    `json:"external_id"`
	DetailsURL  *string    `json:"details_url"`
	Status      *string    `json:"status"`
	Conclusion  *string    `json:"conclusion"`
	StartedAt   *time.Time `json:"started_at"`
	CompletedAt *time.Time `json:"completed_at"`
	Output      *struct {
		Title   string `json:"title"`
		Summary string `json:"summary"`
		Text    string `json:"text"`
	} `json:"output"`
	Actions []Action `json:"actions"`
}

// problem names the field that GitHub would refuse, and why.
func (o checkOrder) problem(making bool) (field, why string) {
	switch {
	case making && (o.Name == nil || *o.Name == ""):
		return "name", "is missing"
	case making && (o.HeadSHA == nil || *o.HeadSHA == ""):
		return "head_sha", "is missing"
	case o.Status != nil && !slices.Contains([]string{"queued", "in_progress", "completed"}, *o.Status):
		return "status", "is not one of queued, in_progress, completed"
	case o.Status != nil && *o.Status == "completed" && o.Conclusion == nil:
		return "conclusion", "is missing"
	case o.Output != nil && (o.Output.Title == "" || o.Output.Summary == ""):
		return "output", "needs title and summary"
	case o.Output != nil && (utf8.RuneCountInString(o.Output.Summary) > 65535 || utf8.RuneCountInString(o.Output.Text) > 65535):
		return "output", "is too long (maximum is 65535 characters)"
	case len(o.Actions) > 3:
		return "actions", "are more than 3"
	}
	for _, a := range o.Actions {
		if utf8.RuneCountInString(a.Label) > 20 || utf8.RuneCountInString(a.Identifier) > 20 || utf8.RuneCountInString(a.Description) > 40 {
			return "actions", "have texts that are too long"
		}
	}
	return "", ""
}

// apply writes the order into the check run.
func (o checkOrder) apply(c *CheckRun, now time.Time) {
	for field, value := range map[*string]*string{
		&c.Name: o.Name, &c.ExternalID: o.ExternalID, &c.DetailsURL: o.DetailsURL,
		&c.Status: o.Status, &c.Conclusion: o.Conclusion,
	} {
		if value != nil {
			*field = *value
		}
	}
	if o.Conclusion != nil {
		c.Status = "completed"
	}
	if c.Status != "completed" {
		c.Conclusion, c.CompletedAt = "", time.Time{}
	}
	if o.StartedAt != nil {
		c.StartedAt = *o.StartedAt
	}
	if o.CompletedAt != nil {
		c.CompletedAt = *o.CompletedAt
	} else if c.Status == "completed" && c.CompletedAt.IsZero() {
		c.CompletedAt = now
	}
	if o.Output != nil {
		c.Title, c.Summary, c.Text = o.Output.Title, o.Output.Summary, o.Output.Text
	}
	if o.Actions != nil {
		c.Actions = o.Actions
	}
	c.History = append(c.History, Transition{
		State: c.Status, Conclusion: c.Conclusion, Text: c.Title, Closes: o.Conclusion != nil, At: now,
	})
}

// MarkStale completes a check run as GitHub does after 14 days.
func (h *Hub) MarkStale(id int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.checks {
		if c.ID == id {
			c.Status, c.Conclusion, c.CompletedAt = "completed", "stale", time.Now()
			c.History = append(c.History, Transition{State: c.Status, Conclusion: c.Conclusion, Text: c.Title, Closes: true, At: c.CompletedAt})
		}
	}
}

func (h *Hub) createCheckRun(w http.ResponseWriter, r *http.Request) {
	var order checkOrder
	if !decode(w, r, &order) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	repo := h.enterRepo(w, r, "checks", "write")
	if repo == nil {
		return
	}
	if field, why := order.problem(true); field != "" {
		invalid(w, "CheckRun", field, why)
		return
	}
	now := time.Now()
	c := &CheckRun{ID: h.nextID(), Repo: repo.fullName, HeadSHA: *order.HeadSHA, Status: "queued", StartedAt: now}
	order.apply(c, now)
	h.checks = append(h.checks, c)
	answer(w, http.StatusCreated, h.checkBody(repo, c))
}

func (h *Hub) updateCheckRun(w http.ResponseWriter, r *http.Request) {
	var order checkOrder
	if !decode(w, r, &order) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	repo := h.enterRepo(w, r, "checks", "write")
	if repo == nil {
		return
	}
	c := h.checkRun(repo, r.PathValue("id"))
	if c == nil {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	if field, why := order.problem(false); field != "" {
		invalid(w, "CheckRun", field, why)
		return
	}
	order.apply(c, time.Now())
	answer(w, http.StatusOK, h.checkBody(repo, c))
}

func (h *Hub) getCheckRun(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	repo := h.enterRepo(w, r, "checks", "read")
	if repo == nil {
		return
	}
	c := h.checkRun(repo, r.PathValue("id"))
	if c == nil {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	answer(w, http.StatusOK, h.checkBody(repo, c))
}

func (h *Hub) listCheckRuns(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	repo := h.enterRepo(w, r, "checks", "read")
	if repo == nil {
		return
	}
	name, filter := r.URL.Query().Get("check_name"), r.URL.Query().Get("filter")
	found := []object{}
	seen := map[string]bool{}
	for _, c := range slices.Backward(h.checks) {
		if c.Repo != repo.fullName || c.HeadSHA != r.PathValue("ref") || name != "" && c.Name != name {
			continue
		}
		if filter != "all" && seen[c.Name] { // the default is the newest of each name
			continue
		}
		seen[c.Name] = true
		found = append(found, h.checkBody(repo, c))
	}
	answer(w, http.StatusOK, object{"total_count": len(found), "check_runs": page(w, r, found)})
}

// checkRun finds a check run of a repository; h.mu is held.
func (h *Hub) checkRun(repo *repository, id string) *CheckRun {
	for _, c := range h.checks {
		if c.Repo == repo.fullName && strconv.FormatInt(c.ID, 10) == id {
			return c
		}
	}
	return nil
}

// checkBody is the check run as GitHub shows it; h.mu is held.
func (h *Hub) checkBody(repo *repository, c *CheckRun) object {
	id := strconv.FormatInt(c.ID, 10)
	at := repoURL(repo) + "/check-runs/" + id
	return object{
		"id": c.ID, "node_id": node("CR", c.ID), "head_sha": c.HeadSHA, "name": c.Name, "url": at,
		"html_url": web + repo.fullName + "/runs/" + id, "details_url": orNull(c.DetailsURL), "external_id": c.ExternalID,
		"status": c.Status, "conclusion": orNull(c.Conclusion),
		"started_at": stampOrNull(c.StartedAt), "completed_at": stampOrNull(c.CompletedAt),
		"output": object{
			"title": orNull(c.Title), "summary": orNull(c.Summary), "text": orNull(c.Text),
			"annotations_count": 0, "annotations_url": at + "/annotations",
		},
		"check_suite": object{"id": repo.id}, "app": appBody(h.anyApp()), "pull_requests": []object{},
	}
}
