package github

import (
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// The identifiers of the buttons on check runs. GitHub sends one back in a
// check_run delivery with the action requested_action.
const (
	ActionRedeploy = "redeploy"
	ActionRollback = "rollback"
)

// CheckRun is the body with which a check run is made or updated.
type CheckRun struct {
	Name        string    `json:"name"`
	HeadSHA     string    `json:"head_sha,omitempty"` // only where it is made
	ExternalID  string    `json:"external_id"`
	DetailsURL  string    `json:"details_url,omitempty"`
	Status      string    `json:"status,omitempty"` // empty: as it is
	Conclusion  string    `json:"conclusion,omitempty"`
	StartedAt   time.Time `json:"started_at,omitzero"`
	CompletedAt time.Time `json:"completed_at,omitzero"`
	Output      Output    `json:"output"`
	Actions     []Action  `json:"actions"` // all of them each time: absent means as they are
}

// Output is what a check run shows: summary and text are Markdown of at most
// 65,535 characters each.
type Output struct {
	Title   string `json:"title"`
	Summary string `json:"summary"`
	Text    string `json:"text,omitempty"`
}

// Action is a button on a check run. GitHub shows it once the check run is
// completed.
type Action struct {
	Label       string `json:"label"`       // at most 20 characters
	Description string `json:"description"` // at most 40
	Identifier  string `json:"identifier"`  // at most 20
}

// CommitStatus is the body with which a commit status is made.
type CommitStatus struct {
	State       string `json:"state"`
	TargetURL   string `json:"target_url,omitempty"`
	Description string `json:"description"` // at most 140 characters
	Context     string `json:"context"`
}

// Record is the body with which a deployment record is made.
type Record struct {
	Ref                   string            `json:"ref"`
	AutoMerge             bool              `json:"auto_merge"`
	RequiredContexts      []string          `json:"required_contexts"` // empty, not absent: absent means all
	Payload               map[string]string `json:"payload"`
	Environment           string            `json:"environment"`
	Description           string            `json:"description"`
	ProductionEnvironment bool              `json:"production_environment"`
}

// RecordStatus is the body with which a deployment record's status is made.
type RecordStatus struct {
	State          string `json:"state"`
	LogURL         string `json:"log_url,omitempty"`
	Description    string `json:"description"` // at most 140 characters
	EnvironmentURL string `json:"environment_url,omitempty"`
	AutoInactive   bool   `json:"auto_inactive"` // false: we say ourselves what is inactive
}

// payloadKey is where a deployment record's payload names our deployment.
const payloadKey = "swingbridge"

// face is how one state of a deployment looks in each place on GitHub.
type face struct {
	check      string // status of the check run
	conclusion string // of a completed check run
	commit     string // state of the commit status
	record     string // state of the deployment record
	title      string
}

// faceOf is the whole of what states become on GitHub.
//
// A superseded deployment is neutral: the commit is neither good nor bad, a
// newer one took its turn. (skipped would count as a success for a required
// check, cancelled as a failure.) Commit statuses know no such middle, there it
// is an error, as a canceled one is: failure is kept for commits that were tried
// and did not hold. A stuck one stays open, since a completed check run is never
// opened again and a person is still to decide.
func faceOf(s pipeline.State) face {
	switch s {
	case pipeline.Queued:
		return face{"queued", "", "pending", "queued", "Waiting for its turn"}
	case pipeline.Running:
		return face{"in_progress", "", "pending", "in_progress", "Deploying"}
	case pipeline.CuttingOver:
		return face{"in_progress", "", "pending", "in_progress", "Swinging visitors over"}
	case pipeline.Watching:
		return face{"in_progress", "", "pending", "in_progress", "Visitors are on it, the guard watches"}
	case pipeline.Live:
		return face{"completed", "success", "success", "success", "Live"}
	case pipeline.Retired:
		return face{"completed", "success", "success", "inactive", "Was live until a newer deployment took over"}
	case pipeline.Failed:
		return face{"completed", "failure", "failure", "failure", "Failed, what was live stays live"}
	case pipeline.RolledBack:
		return face{"completed", "failure", "failure", "failure", "Rolled back to what was live before"}
	case pipeline.Superseded:
		return face{"completed", "neutral", "error", "inactive", "Superseded by a newer commit"}
	case pipeline.Canceled:
		return face{"completed", "cancelled", "error", "error", "Canceled"}
	case pipeline.Stuck:
		return face{"in_progress", "", "pending", "in_progress", "Stuck: a person has to decide"}
	}
	return face{"in_progress", "", "pending", "in_progress", string(s)}
}

// closed reports whether nothing more is said about a deployment in this state
// in the given place, or only after a look at what is there: a check run that is
// completed is told once more that visitors have moved on.
func closed(target pipeline.ReportTarget, s pipeline.State) bool {
	if target == pipeline.ReportDeployment {
		return s.Ended() && s != pipeline.Live // live becomes inactive when it retires
	}
	return faceOf(s).check == "completed"
}

// CheckRunOf is the check run of a deployment as it should look now.
func CheckRunOf(s Subject) CheckRun {
	d, look := s.Deployment, faceOf(s.Deployment.State)
	c := CheckRun{
		Name:       contextName(s),
		HeadSHA:    d.Commit,
		ExternalID: d.ID,
		DetailsURL: s.link(),
		Status:     look.check,
		Conclusion: look.conclusion,
		StartedAt:  second(d.StartedAt),
		Output:     Output{Title: s.title(), Summary: summary(s)},
	}
	if s.wentWrong() {
		c.Output.Text = logBlock(s.Log)
	}
	if look.check == "completed" {
		c.CompletedAt = second(endOf(d))
	}
	c.Actions = actions(s)
	return c
}

// afterwards is what a check run that is completed is still told of a
// deployment whose release visitors have left: that they have, and that there is
// nothing to go back from. How and when it ended stays as it was said.
func (c CheckRun) afterwards() CheckRun {
	return CheckRun{Name: c.Name, ExternalID: c.ExternalID, DetailsURL: c.DetailsURL, Output: c.Output, Actions: c.Actions}
}

// CommitStatusOf is the commit status of a deployment as it should look now.
func CommitStatusOf(s Subject) CommitStatus {
	return CommitStatus{
		State:       faceOf(s.Deployment.State).commit,
		TargetURL:   s.link(),
		Description: clip(s.title(), 140),
		Context:     contextName(s),
	}
}

// RecordOf is the deployment record of a deployment; false if there is to be
// none, since the deployment did not start.
func RecordOf(s Subject) (Record, bool) {
	d := s.Deployment
	if !started(d) {
		return Record{}, false
	}
	return Record{
		Ref:                   d.Commit,
		RequiredContexts:      []string{},
		Payload:               map[string]string{payloadKey: d.ID},
		Environment:           environment(s),
		Description:           clip("Swingbridge deployment "+d.ID+" ("+string(d.Trigger)+")", 140),
		ProductionEnvironment: true,
	}, true
}

// RecordStatusOf is the newest status of a deployment's record.
func RecordStatusOf(s Subject) RecordStatus {
	out := RecordStatus{
		State:       faceOf(s.Deployment.State).record,
		LogURL:      s.link(),
		Description: clip(s.title(), 140),
	}
	if routes := s.App.Routes; out.State == "success" && len(routes) > 0 {
		scheme := "https://"
		if s.Plain {
			scheme = "http://"
		}
		out.EnvironmentURL = scheme + routes[0].Host + routes[0].Path
	}
	return out
}

// started reports whether the deployment ever ran. One that was superseded or
// canceled while it was queued did not.
func started(d pipeline.Deployment) bool {
	switch d.State {
	case pipeline.Queued:
		return !d.StartedAt.IsZero() // given back to the queue by a shutdown
	case pipeline.Superseded, pipeline.Canceled:
		return !d.StartedAt.IsZero() || d.Attempt > 0 && len(d.Steps) > 0
	}
	return true
}

// endOf is when the attempt was over. For one that is live that is when it was
// accepted, as far as that is known.
func endOf(d pipeline.Deployment) time.Time {
	if d.EndedAt.IsZero() {
		return d.LiveAt
	}
	return d.EndedAt
}

// actions are the buttons on the check run of a deployment as it stands: visitors
// can go back only from where they are, and only if there is where to.
func actions(s Subject) []Action {
	redeploy := Action{"Redeploy", "Deploy this commit again", ActionRedeploy}
	rollback := Action{"Roll back", "Go back to the release before this", ActionRollback}
	switch state := s.Deployment.State; {
	case state == pipeline.Watching:
		return []Action{rollback}
	case state == pipeline.Live && s.Earlier:
		return []Action{redeploy, rollback}
	case faceOf(state).check == "completed":
		return []Action{redeploy}
	}
	return []Action{}
}
