package api

import (
	"encoding/json"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// List is what every call about several things answers.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"` // value for ?after= of the next part; empty: that was all
}

// App is an app as it goes over the wire.
type App struct {
	ID        string           `json:"id"`
	Name      string           `json:"name"`
	Repo      string           `json:"repo"`
	Branch    string           `json:"branch"`
	Compose   []string         `json:"compose"`
	Overlay   string           `json:"overlay,omitempty"`
	Routes    []pipeline.Route `json:"routes"`
	Redirects []stack.Redirect `json:"redirects"`
	Paused    bool             `json:"paused"`
	Mode      Mode             `json:"mode"`
	Allow     []string         `json:"allow"` // permissions beyond the container, like cap:NET_ADMIN
	Drift     []Drift          `json:"drift"` // what somebody changed by hand of what runs
	CreatedAt time.Time        `json:"created_at,omitzero"`
	UpdatedAt time.Time        `json:"updated_at,omitzero"`
}

// Drift is one thing that somebody changed by hand of what runs.
type Drift struct {
	Service   string    `json:"service"`
	Container string    `json:"container"`     // its name as it is now
	What      string    `json:"what"`          // goes on from the container's name
	Fix       string    `json:"fix,omitempty"` // what to do about it, where it is not meant
	Since     time.Time `json:"since"`         // when it was first seen
}

// Mode is how visitors of an app are met.
type Mode struct {
	Kind  string    `json:"kind"`           // serve, hold or maintenance
	Page  string    `json:"page,omitempty"` // the maintenance page as HTML; absent: Swingbridge's own
	Wait  string    `json:"wait,omitempty"` // how long one request is held, like 30s; absent: 30s
	Until time.Time `json:"until,omitzero"` // when it ends by itself; absent: an operator ends it
}

// ModeChange is the body of a change of mode.
type ModeChange struct {
	Kind string `json:"kind"`
	Page string `json:"page,omitempty"`
	Wait string `json:"wait,omitempty"`
	For  string `json:"for,omitempty"` // how long, like 10m; absent: until an operator ends it
}

// ModeSet says what became of a change of mode.
type ModeSet struct {
	Mode
	Applied bool   `json:"applied"`           // it is in force
	Pending string `json:"pending,omitempty"` // what is waited for where it is not
}

// AppChange is the body of a creation or a change: what is nil stays as it is.
type AppChange struct {
	Name    *string           `json:"name,omitempty"`
	Repo    *string           `json:"repo,omitempty"`
	Branch  *string           `json:"branch,omitempty"`
	Compose *[]string         `json:"compose,omitempty"`
	Overlay *string           `json:"overlay,omitempty"`
	Routes  *[]pipeline.Route `json:"routes,omitempty"`
	Paused  *bool             `json:"paused,omitempty"`

	Redirects *[]stack.Redirect `json:"redirects,omitempty"`
	Allow     *[]string         `json:"allow,omitempty"`

	// What an answer has beyond that may be sent back with it, and is ignored.
	ID        json.RawMessage `json:"id,omitempty"`
	Mode      json.RawMessage `json:"mode,omitempty"`
	Drift     json.RawMessage `json:"drift,omitempty"`
	CreatedAt json.RawMessage `json:"created_at,omitempty"`
	UpdatedAt json.RawMessage `json:"updated_at,omitempty"`
}

// Deployment is a deployment as it goes over the wire.
type Deployment struct {
	ID         string           `json:"id"`
	App        string           `json:"app"`
	Commit     string           `json:"commit"`
	Subject    string           `json:"subject,omitempty"`
	Trigger    pipeline.Trigger `json:"trigger"`
	Actor      string           `json:"actor,omitempty"`
	DeliveryID string           `json:"delivery_id,omitempty"`
	ReleaseID  string           `json:"release_id,omitempty"`
	Carries    string           `json:"carries,omitempty"` // the deployment whose containers it has, having changed nothing
	State      pipeline.State   `json:"state"`
	Color      pipeline.Color   `json:"color"` // "" until the plan chose one
	Attempt    int              `json:"attempt"`
	Reason     string           `json:"reason,omitempty"`
	CreatedAt  time.Time        `json:"created_at"`
	StartedAt  time.Time        `json:"started_at,omitzero"`
	LiveAt     time.Time        `json:"live_at,omitzero"`
	EndedAt    time.Time        `json:"ended_at,omitzero"`
	Steps      []Step           `json:"steps"`
}

// Step is one step of one attempt. MS of a step that runs is how long it has
// been running.
type Step struct {
	Name      string             `json:"name"`
	State     pipeline.StepState `json:"state"`
	Attempt   int                `json:"attempt"`
	StartedAt time.Time          `json:"started_at"`
	MS        int64              `json:"ms"`
	Detail    string             `json:"detail,omitempty"`
	Error     string             `json:"error,omitempty"`
	LogOffset int64              `json:"log_offset"`
}

// Delivery is a webhook request and what came of it.
type Delivery struct {
	ID           string           `json:"id"`
	Event        string           `json:"event"`
	Action       string           `json:"action,omitempty"`
	Repo         string           `json:"repo,omitempty"`
	Ref          string           `json:"ref,omitempty"`
	Commit       string           `json:"commit,omitempty"`
	Sender       string           `json:"sender,omitempty"`
	ReceivedAt   time.Time        `json:"received_at"`
	Outcome      pipeline.Outcome `json:"outcome"`
	Reason       string           `json:"reason"`
	Message      string           `json:"message"`
	DeploymentID string           `json:"deployment_id,omitempty"`
	Apps         []Verdict        `json:"apps,omitempty"`
}

// Verdict is what a delivery meant to one app.
type Verdict struct {
	App          string           `json:"app"`
	Outcome      pipeline.Outcome `json:"outcome"`
	Reason       string           `json:"reason"`
	Message      string           `json:"message"`
	DeploymentID string           `json:"deployment_id,omitempty"`
}

// EnvVar names a variable of an app's environment. Its value is never told.
type EnvVar struct {
	Name      string    `json:"name"`
	Version   int64     `json:"version"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
}

// File is a file that an app's repository lacks. What is in it is never told.
type File struct {
	Name      string    `json:"name"` // its path
	Version   int64     `json:"version"`
	Size      *int64    `json:"size,omitempty"` // bytes; only in lists
	UpdatedAt time.Time `json:"updated_at,omitzero"`
}

// Service is what runs of one service.
type Service struct {
	Name       string         `json:"name"`
	Replica    int            `json:"replica,omitempty"` // counted from 0
	Color      pipeline.Color `json:"color"`             // "" for a kept service
	Commit     string         `json:"commit"`
	Deployment string         `json:"deployment,omitempty"`
	Health     string         `json:"health"`
	Status     string         `json:"status"`
	Restarts   int            `json:"restarts"`
	StartedAt  time.Time      `json:"started_at,omitzero"`
	Live       bool           `json:"live"`
}

// PermissionDiff compares what a commit asks for of the host with what the live
// release has, in the words of app allow.
type PermissionDiff struct {
	Live    string   `json:"live,omitempty"` // commit of the live release; absent: nothing is live
	Had     []string `json:"had"`            // what the live release has
	New     []string `json:"new"`            // what the commit asks for beyond that
	Gone    []string `json:"gone"`           // what the commit no longer asks for
	Missing []string `json:"missing"`        // of what it asks for, what the app is not allowed
	Allow   string   `json:"allow,omitempty"`
}

// Plan is what a deployment of a commit would do.
type Plan struct {
	Commit  string   `json:"commit"`
	Build   []string `json:"build"`
	Pull    []string `json:"pull"`
	Release []string `json:"release"`
	Create  []string `json:"create"`
	Replace []string `json:"replace"`
	Blink   []string `json:"blink"`
	Keep    []string `json:"keep"`
	Aside   []string `json:"aside"`
	Notes   []string `json:"notes"`
	Missing []string `json:"missing"`

	Unchanged   bool           `json:"unchanged"` // a push of the commit leaves all that runs as it is
	Permissions PermissionDiff `json:"permissions"`
}

// AuditEntry is one line of who did what, when, from where.
type AuditEntry struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
	From   string    `json:"from,omitempty"`
	Action string    `json:"action"`
	App    string    `json:"app,omitempty"`
	Target string    `json:"target,omitempty"`
	Detail string    `json:"detail,omitempty"`
}

// Token is an API token; Token is set in the answer that made it, once.
type Token struct {
	ID        string        `json:"id"`
	Name      string        `json:"name"`
	Role      pipeline.Role `json:"role"`
	CreatedAt time.Time     `json:"created_at"`
	RevokedAt time.Time     `json:"revoked_at,omitzero"`
	UsedAt    time.Time     `json:"used_at,omitzero"`
	Token     string        `json:"token,omitempty"`
}

// Change is one event of GET /events.
type Change struct {
	ID         uint64    `json:"id"`
	Kind       string    `json:"kind"`
	App        string    `json:"app,omitempty"`
	Deployment string    `json:"deployment,omitempty"`
	State      string    `json:"state,omitempty"`
	At         time.Time `json:"at"`
}
