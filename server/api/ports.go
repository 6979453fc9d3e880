package api

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Apps reads apps.
type Apps interface {
	Apps(ctx context.Context) ([]pipeline.App, error)
	AppByName(ctx context.Context, name string) (pipeline.App, error)
	AppByID(ctx context.Context, id string) (pipeline.App, error)
	EnvVars(ctx context.Context, appID string) ([]pipeline.EnvVar, error)
	HeldFiles(ctx context.Context, appID string) ([]pipeline.HeldFile, error)
}

// Deployments reads deployments.
type Deployments interface {
	Deployments(ctx context.Context, q pipeline.DeploymentQuery) ([]pipeline.Deployment, error)
	Deployment(ctx context.Context, id string) (pipeline.Deployment, error)
}

// History reads what happened.
type History interface {
	Deliveries(ctx context.Context, p pipeline.Page) ([]pipeline.Delivery, error)
	Audit(ctx context.Context, p pipeline.Page) ([]pipeline.AuditEntry, error)
}

// Tokens reads what is known of API tokens.
type Tokens interface {
	Tokens(ctx context.Context) ([]pipeline.Token, error)
}

// Store is everything durable that the calls read. No call writes with it.
type Store interface {
	Apps
	Deployments
	History
	Tokens
}

// DeploymentCommands begin, end and decide deployments.
type DeploymentCommands interface {
	Deploy(ctx context.Context, by pipeline.Actor, app, commit string, t pipeline.Trigger) (pipeline.Deployment, error)
	Rollback(ctx context.Context, by pipeline.Actor, app, to string) (pipeline.Deployment, error)
	Cancel(ctx context.Context, by pipeline.Actor, id string) (pipeline.Deployment, error)
	Resolve(ctx context.Context, by pipeline.Actor, id string, as pipeline.State) (pipeline.Deployment, error)
}

// AppCommands change apps.
type AppCommands interface {
	CreateApp(ctx context.Context, by pipeline.Actor, app pipeline.App) (pipeline.App, error)
	UpdateApp(ctx context.Context, by pipeline.Actor, app pipeline.App) (pipeline.App, error)
	RemoveApp(ctx context.Context, by pipeline.Actor, app string) error
	SetMode(ctx context.Context, by pipeline.Actor, app string, m pipeline.Mode) (pipeline.ModeSet, error)
}

// EnvCommands change an app's environment; both return its new version.
type EnvCommands interface {
	SetEnv(ctx context.Context, by pipeline.Actor, app, name, value string) (int64, error)
	UnsetEnv(ctx context.Context, by pipeline.Actor, app, name string) (int64, error)
	SetFile(ctx context.Context, by pipeline.Actor, app, path string, content []byte) (int64, error)
	UnsetFile(ctx context.Context, by pipeline.Actor, app, path string) (int64, error)
}

// TokenCommands make and revoke API tokens; the new token itself is returned
// once.
type TokenCommands interface {
	CreateToken(ctx context.Context, by pipeline.Actor, name string, role pipeline.Role) (pipeline.Token, string, error)
	RevokeToken(ctx context.Context, by pipeline.Actor, idOrName string) error
}

// LookCommands ask the engine and the repository.
type LookCommands interface {
	Replay(ctx context.Context, by pipeline.Actor, delivery string) (pipeline.Delivery, error)
	Services(ctx context.Context, app string) ([]pipeline.ServiceStatus, error)
	ServiceLog(ctx context.Context, at pipeline.ServicePlace, o pipeline.LogOrder) (io.ReadCloser, error)
	Plan(ctx context.Context, app, commit string) (pipeline.PlanSummary, error)
}

// DriftOf is what somebody changed by hand of what runs of the app with the ID,
// as it was found last.
type DriftOf func(appID string) []pipeline.Drift

// Commands is everything that a call may cause.
type Commands interface {
	DeploymentCommands
	AppCommands
	EnvCommands
	TokenCommands
	LookCommands
}

// LogFiles reads the logs of deployments by byte offset.
type LogFiles interface {
	// ReadAt returns at most limit bytes from the offset on; none, or io.EOF, at
	// the end. A deployment without a log yet is an error that wraps
	// fs.ErrNotExist or pipeline.ErrNotFound, or has size 0.
	ReadAt(deployment string, offset int64, limit int) ([]byte, error)
	Size(deployment string) (int64, error)
}

// Chunk is a piece of a log that grows.
type Chunk struct {
	Data   []byte
	Offset int64 // right after Data
}

// FollowLog yields what is in a deployment's log from the offset on, then what
// is added to it. It ends when the log is closed for good or ctx ends.
type FollowLog func(ctx context.Context, deployment string, offset int64) iter.Seq2[Chunk, error]

// FollowLogOf fits another package's follower, whose chunk has the same fields.
func FollowLogOf[C ~struct {
	Data   []byte
	Offset int64
}](follow func(ctx context.Context, deployment string, offset int64) iter.Seq2[C, error]) FollowLog {
	return func(ctx context.Context, deployment string, offset int64) iter.Seq2[Chunk, error] {
		return func(yield func(Chunk, error) bool) {
			for c, err := range follow(ctx, deployment, offset) {
				if !yield(Chunk(c), err) {
					return
				}
			}
		}
	}
}

// Event is a change that the server tells of.
type Event struct {
	ID         uint64
	Kind       string // app or deployment
	App        string // id
	Deployment string // id, empty if it is about the app
	State      string // the deployment's new state
	At         time.Time
}

// Subscribe yields events from the moment of the call until ctx ends or the
// reader was too slow.
type Subscribe func(ctx context.Context) iter.Seq[Event]

// SubscribeOf fits another package's bus, whose event has the same fields. The
// bus closes its channel when ctx ends.
func SubscribeOf[E ~struct {
	ID         uint64
	Kind       string
	App        string
	Deployment string
	State      string
	At         time.Time
}](subscribe func(ctx context.Context) <-chan E) Subscribe {
	return func(ctx context.Context) iter.Seq[Event] {
		events := subscribe(ctx)
		return func(yield func(Event) bool) {
			for e := range events {
				if !yield(Event(e)) {
					return
				}
			}
		}
	}
}

// Check is one line of what the server finds about itself.
type Check struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Message string `json:"message"`       // what is there, or what is wrong
	Fix     string `json:"fix,omitempty"` // what to do, where something is wrong
}
