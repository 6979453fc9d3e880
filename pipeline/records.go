package pipeline

import (
	"errors"
	"fmt"
	"regexp"
	"time"
)

// ErrExists is wrapped where a name is taken.
var ErrExists = errors.New("exists already")

// Page asks for a part of a list, newest first.
type Page struct {
	After string // id of the last item seen; empty for the beginning
	Limit int    // 0 is 50; at most 200
}

// DeploymentQuery selects deployments.
type DeploymentQuery struct {
	Page
	AppID  string  // empty: of all apps
	States []State // empty: in any state
}

// Actor is who causes something, for the audit log and the deployment's page.
type Actor struct {
	Name string // token name, GitHub login, "swingbridge" for the server itself
	From string // network address, empty for the server itself
	Role Role
}

// Role is what an operator may do. Each role includes those before it.
type Role string

// The roles of operators.
const (
	Viewer   Role = "viewer"
	Deployer Role = "deployer"
	Admin    Role = "admin"
)

// Includes reports whether r may do what other may.
func (r Role) Includes(other Role) bool {
	rank := map[Role]int{Viewer: 1, Deployer: 2, Admin: 3}
	return rank[r] >= rank[other] && rank[other] > 0
}

// AuditEntry is one line of who did what, when, from where.
type AuditEntry struct {
	ID     string
	At     time.Time
	Actor  string
	From   string
	Action string // app.create, deployment.cancel, env.set …
	App    string // name, where it concerns one
	Target string // id or name of the thing
	Detail string // never a secret
}

// EnvVar is what may be told about a variable of an app's environment.
type EnvVar struct {
	Name      string
	Version   int64 // of the app's environment when it was last set
	UpdatedAt time.Time
}

// HeldFile is what may be told about a file that the server holds for an app.
type HeldFile struct {
	Path      string
	Version   int64 // of the app's environment when it was last set
	Size      int64 // in bytes
	UpdatedAt time.Time
}

// Token is an API token; only its hash is kept.
type Token struct {
	ID        string
	Name      string
	Role      Role
	Hash      []byte // SHA-256 of the token, which has 256 random bits
	CreatedAt time.Time
	RevokedAt time.Time
	UsedAt    time.Time
}

// Validate reports what is wrong with a token's name or role.
func (t Token) Validate() error {
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`).MatchString(t.Name) {
		return fmt.Errorf("%w token name %q: use 1 to 64 letters, digits, dots, dashes and underscores", ErrInvalid, t.Name)
	}
	if !t.Role.Includes(Viewer) {
		return fmt.Errorf("%w role %q: say viewer, deployer or admin", ErrInvalid, t.Role)
	}
	return nil
}

// Session is a signed-in browser; only its hash is kept.
type Session struct {
	Hash      []byte
	TokenID   string // token it was opened with; empty: the admin token of the settings
	Name      string
	Role      Role
	CreatedAt time.Time
	ExpiresAt time.Time
}

// ReportTarget is a place on GitHub where a deployment is reported.
type ReportTarget string

// The report targets.
const (
	ReportCheck      ReportTarget = "check"      // check run, needs a GitHub App
	ReportStatus     ReportTarget = "status"     // commit status, works with a token
	ReportDeployment ReportTarget = "deployment" // deployment record
)

// Report is a line of the outbox: what GitHub should know of a deployment. The
// wanted version grows with each change of the deployment, in the transaction
// of that change; the sender brings the remote to the newest one.
type Report struct {
	Deployment string
	Target     ReportTarget
	Wanted     int64
	Sent       int64
	RemoteID   int64 // check run or deployment record, 0 until it was made
	Tries      int   // failed ones in a row
	NextAt     time.Time
	LastError  string
}
