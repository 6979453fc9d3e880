// Package command is what an operator can ask for. The API and the pages share
// it, so that a button and a command-line call do the same, are refused for the
// same reasons and leave the same line in the audit log.
package command

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Apps keeps apps.
type Apps interface {
	AppByName(ctx context.Context, name string) (pipeline.App, error)
	CreateApp(ctx context.Context, a pipeline.App) (pipeline.App, error)
	UpdateApp(ctx context.Context, a pipeline.App) (pipeline.App, error)
	RemoveApp(ctx context.Context, id string) error
	SetMode(ctx context.Context, id string, m pipeline.Mode) error
}

// Deployments keeps deployments.
type Deployments interface {
	pipeline.Records
	Deployments(ctx context.Context, q pipeline.DeploymentQuery) ([]pipeline.Deployment, error)
	// LastGood is the last good deployment before the live one; ErrNotFound if
	// there is none.
	LastGood(ctx context.Context, appID string) (pipeline.Deployment, error)
	// SeenHead is the branch head that was last acted on, empty if none was.
	SeenHead(ctx context.Context, appID string) (string, error)
	QueueDeployment(ctx context.Context, n pipeline.NewDeployment) (pipeline.Deployment, error)
	CancelQueued(ctx context.Context, id, reason string) (bool, error)
	Resolve(ctx context.Context, id string, as pipeline.State, reason string) error
}

// Environments keeps the apps' variables.
type Environments interface {
	pipeline.Vault
	SetEnv(ctx context.Context, appID, name, value string) (int64, error)
	UnsetEnv(ctx context.Context, appID, name string) (int64, error)
	SetFile(ctx context.Context, appID, path string, content []byte) (int64, error)
	UnsetFile(ctx context.Context, appID, path string) (int64, error)
}

// Auditor writes the audit log.
type Auditor interface {
	AddAudit(ctx context.Context, e pipeline.AuditEntry) error
}

// Jobs reaches the run of a deployment.
type Jobs interface {
	// Cancel ends the context of the deployment's run with the cause; false if
	// it does not run. Once it has returned, one that is watched never becomes
	// live.
	Cancel(ctx context.Context, deployment string, cause error) (bool, error)
}

// Replayer decides once more about a stored delivery.
type Replayer interface {
	Replay(ctx context.Context, delivery string) (pipeline.Delivery, error)
}

// Tokens keeps API tokens, or rather their hashes.
type Tokens interface {
	CreateToken(ctx context.Context, t pipeline.Token) (pipeline.Token, error)
	RevokeToken(ctx context.Context, idOrName string) error
}

// Planner says what a deployment would do.
type Planner interface {
	Plan(ctx context.Context, a pipeline.App, tree pipeline.Tree) (pipeline.PlanSummary, error)
}

// Options is all that Commands needs; every field is required.
type Options struct {
	Apps         Apps
	Deployments  Deployments
	Environments Environments
	Tokens       Tokens
	Auditor      Auditor
	Jobs         Jobs
	Replayer     Replayer
	Source       pipeline.Source
	Planner      Planner
	Engine       pipeline.Engine
	Proxy        pipeline.Proxy
	Modes        pipeline.Modes
	// Masked reads with the values of the secrets masked.
	Masked func(from io.ReadCloser, secrets []string) io.ReadCloser
	// NewToken makes an API token of 256 random bits, and its SHA-256.
	NewToken func() (plain string, hash []byte)
	// Turn waits until nobody else starts and stops containers of the app; done
	// lets the next one.
	Turn func(ctx context.Context, appID string) (done func(), err error)
	// RemoveThings takes an app's containers, networks and images away.
	RemoveThings func(ctx context.Context, a pipeline.App) error
	// Added is told of a new or changed app, so that its branch head is read.
	Added  func(a pipeline.App)
	Now    func() time.Time
	Logger *slog.Logger
}

// Commands carries out what operators ask for.
type Commands struct{ o Options }

// New returns Commands.
func New(o Options) *Commands { return &Commands{o: o} }

// audit writes who did what. What was done stays done if that fails; the error
// tells the operator that the log has a gap.
func (c *Commands) audit(ctx context.Context, by pipeline.Actor, e pipeline.AuditEntry) error {
	e.At, e.Actor, e.From = c.o.Now(), by.Name, by.From
	if err := c.o.Auditor.AddAudit(ctx, e); err != nil {
		return fmt.Errorf("done, but the audit log cannot be written: %w", err)
	}
	return nil
}
