package pipeline

import (
	"cmp"
	"time"
)

// Trigger says why a deployment exists.
type Trigger string

// The triggers. Push and poll are automatic: they end at the branch head.
const (
	Push     Trigger = "push"
	Poll     Trigger = "poll"     // a branch head read at start or on a timer
	Manual   Trigger = "manual"   // API or command line
	Redeploy Trigger = "redeploy" // the button
	Rollback Trigger = "rollback"
	Schedule Trigger = "schedule"
)

// Automatic reports whether nobody asked for this very commit: newest wins.
func (t Trigger) Automatic() bool { return t == Push || t == Poll }

// Deployment is one attempt to make a Release live.
type Deployment struct {
	ID         string
	AppID      string
	AppName    string
	Commit     string
	Subject    string // first line of the commit's message, as far as it is known
	Trigger    Trigger
	Actor      string // who or what caused it
	DeliveryID string // the delivery that caused it, if one did
	State      State
	Color      Color  // empty until the plan chose one
	Attempt    int    // 1 for the first run
	ReleaseID  string // empty until the build; a rollback begins with one
	Carries    string // the deployment that made the stack which it carries on, having changed nothing; else empty
	Reason     string // for people: why it ended as it did
	Steps      []StepRecord

	CreatedAt time.Time
	StartedAt time.Time // zero until the first run
	LiveAt    time.Time // when visitors moved
	EndedAt   time.Time
}

// StackID is what the deployment's stack is known by: containers, addresses and
// the proxy's table name the deployment that made it.
func (d *Deployment) StackID() string { return cmp.Or(d.Carries, d.ID) }

// StepState is where a step stands.
type StepState string

// The states of a step.
const (
	StepRunning StepState = "running"
	StepDone    StepState = "done"
	StepSkipped StepState = "skipped"
	StepFailed  StepState = "failed"
	StepUndone  StepState = "undone"
)

// StepRecord is the journal's line about one step of one attempt: written with
// StepRunning before the step acts and once more after it.
type StepRecord struct {
	Attempt   int
	Name      string
	State     StepState
	Detail    string // what was seen, in a few words
	Error     string
	StartedAt time.Time
	EndedAt   time.Time // zero while it runs
	LogOffset int64     // where its lines begin in the deployment's log, in bytes
}

// Move is a state change of a deployment, written in one transaction with all
// that follows from it.
type Move struct {
	Deployment string
	From, To   State
	Reason     string
	Color      Color  // set when it became known
	Attempt    int    // set when a run begins
	Retire     string // deployment that becomes retired in the same transaction
	Carries    string // set where a deployment becomes live with the stack that runs already
	At         time.Time
}

// Record is what a run writes down at once: the end of a step with the
// beginning of the next one, what the step found out, and the state that the
// deployment has with it. Empty parts change nothing.
type Record struct {
	Deployment string
	Steps      []StepRecord
	Move       *Move    // of this deployment
	Subject    string   // what the commit is called
	Release    *Release // stored, and named in the deployment; saving it again changes nothing
}
