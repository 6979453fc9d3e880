package pipeline

import "time"

// Delivery is one webhook request, stored before anything acts on it.
type Delivery struct {
	ID         string // X-GitHub-Delivery: the same for a redelivery
	Event      string // X-GitHub-Event
	Action     string
	Repo       string // owner/name in the payload
	RepoID     int64
	Ref        string
	Commit     string
	Sender     string
	Body       []byte
	ReceivedAt time.Time

	Outcome Outcome
	Reason  string // stable code
	Message string // a sentence for people
	Apps    []Verdict

	// GoBack says that someone asks for an app to go back: whoever decides needs
	// Standing.LastGood. It is not stored.
	GoBack bool
}

// Outcome is what came of a delivery.
type Outcome string

// The outcomes, strongest first.
const (
	OutcomeQueued    Outcome = "queued"
	OutcomeCoalesced Outcome = "coalesced" // the commit is already queued, running or live
	OutcomeDuplicate Outcome = "duplicate" // this delivery id was stored before
	OutcomePong      Outcome = "pong"
	OutcomeIgnored   Outcome = "ignored"
)

// Verdict is what a delivery meant to one app.
type Verdict struct {
	App          string // name
	AppID        string
	Outcome      Outcome
	Reason       string
	Message      string
	DeploymentID string // of the deployment that was queued or already there

	// What is to be done where Outcome is queued: one of them.
	Queue     *NewDeployment
	SwingBack bool // tell the run of DeploymentID, which is being watched, to go back
}

// Standing is what decides about a delivery: an app and its deployments that
// are queued, running or live, newest first.
type Standing struct {
	App         App
	Deployments []Deployment
	// LastGood is where a rollback goes: the last good deployment before the live
	// one. It is read for a delivery with GoBack; its zero ID means none.
	LastGood Deployment
}

// NewDeployment asks for a deployment to be queued.
type NewDeployment struct {
	AppID      string
	Commit     string // empty for "the branch head, found at fetch"
	Subject    string
	Trigger    Trigger
	Actor      string
	DeliveryID string
	ReleaseID  string // of a rollback

	// AtHead says that the commit is the branch head, read after the one seen last
	// was HeadWas. Unless another one was seen since, it is the one seen then: no
	// reading of heads makes a second deployment of it, however this one ends.
	AtHead  bool
	HeadWas string
}
