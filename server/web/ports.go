package web

import (
	"context"
	"iter"
	"net/http"
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

// Deployments reads deployments and what they run.
type Deployments interface {
	Deployments(ctx context.Context, q pipeline.DeploymentQuery) ([]pipeline.Deployment, error)
	Deployment(ctx context.Context, id string) (pipeline.Deployment, error)
	Release(ctx context.Context, id string) (pipeline.Release, error)
}

// History reads what happened.
type History interface {
	Deliveries(ctx context.Context, p pipeline.Page) ([]pipeline.Delivery, error)
	Audit(ctx context.Context, p pipeline.Page) ([]pipeline.AuditEntry, error)
	Tokens(ctx context.Context) ([]pipeline.Token, error)
}

// Store is everything durable that pages show. Pages never write with it.
type Store interface {
	Apps
	Deployments
	History
}

// DeploymentCommands begin, end and decide deployments.
type DeploymentCommands interface {
	Deploy(ctx context.Context, by pipeline.Actor, app, commit string, t pipeline.Trigger) (pipeline.Deployment, error)
	Rollback(ctx context.Context, by pipeline.Actor, app, to string) (pipeline.Deployment, error)
	Cancel(ctx context.Context, by pipeline.Actor, id string) (pipeline.Deployment, error)
	Resolve(ctx context.Context, by pipeline.Actor, id string, as pipeline.State) (pipeline.Deployment, error)
}

// AppCommands add and change apps.
type AppCommands interface {
	CreateApp(ctx context.Context, by pipeline.Actor, app pipeline.App) (pipeline.App, error)
	UpdateApp(ctx context.Context, by pipeline.Actor, app pipeline.App) (pipeline.App, error)
	SetMode(ctx context.Context, by pipeline.Actor, app string, m pipeline.Mode) (pipeline.ModeSet, error)
}

// EnvCommands change an app's environment, which is its variables and the files
// held for it; all return its new version.
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

// OtherCommands are what else a button does, and a look at what runs.
type OtherCommands interface {
	Replay(ctx context.Context, by pipeline.Actor, delivery string) (pipeline.Delivery, error)
	Services(ctx context.Context, app string) ([]pipeline.ServiceStatus, error)
	Plan(ctx context.Context, app, commit string) (pipeline.PlanSummary, error)
}

// Commands is everything that a button may cause.
type Commands interface {
	DeploymentCommands
	AppCommands
	EnvCommands
	TokenCommands
	OtherCommands
}

// LogFiles reads the logs of deployments by byte offset.
type LogFiles interface {
	// ReadAt returns at most limit bytes from the offset on; none at the end.
	// A deployment without a log yet has size 0, or is an error that wraps
	// fs.ErrNotExist or pipeline.ErrNotFound.
	ReadAt(deployment string, offset int64, limit int) ([]byte, error)
	Size(deployment string) (int64, error)
}

// SignIn opens and ends sessions.
type SignIn interface {
	Login(ctx context.Context, token, from string) (*http.Cookie, error)
	Logout(ctx context.Context, r *http.Request) (*http.Cookie, error)
	From(r *http.Request) string
}

// FirstSteps makes the first admin token by a one-time link.
type FirstSteps interface {
	CheckSetup(token, from string) error
	FirstToken(ctx context.Context, token, name, from string) (string, error)
}

// Auth knows who may come in.
type Auth interface {
	SignIn
	FirstSteps
}

// AuthErrors are the errors of Auth that pages tell apart.
type AuthErrors struct {
	Unauthorized error // no such token
	Limited      error // too many attempts
	SetupClosed  error // the link was used or is not the newest one
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

// Stats is what the proxy counted.
type Stats struct {
	At      time.Time
	Bucket  time.Duration // length of one of Recent
	Traffic []Traffic
}

// Traffic is what visitors got from one deployment of an app.
type Traffic struct {
	AppID      string
	Deployment string
	Color      pipeline.Color
	Current    bool // new requests go there
	Inflight   int
	Total      Counts
	Recent     []Bucket // the last minute, oldest first, without empty ones
}

// Counts counts requests by how they ended.
type Counts struct {
	Requests     uint32
	ClientErrors uint32 // status 4xx
	ServerErrors uint32 // status 5xx
	DialErrors   uint32 // attempts that got no answer
}

// Bucket counts what was answered within one bucket's length from At on.
type Bucket struct {
	At time.Time
	Counts
}

// Check is one line of what the server finds about itself.
type Check struct {
	Name    string
	OK      bool
	Message string // what is there, or what is wrong
	Fix     string // what to do, where something is wrong
}

// Setting is one setting of the server, without its secret if it is one.
type Setting struct {
	Name    string
	Value   string
	Meaning string
}
