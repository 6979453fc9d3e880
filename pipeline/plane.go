package pipeline

import (
	"context"
	"net/netip"
	"time"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// Proxy is the data plane.
type Proxy interface {
	// Entry returns what the table holds for the app. ErrNotFound if nothing;
	// an error wrapping ErrUnreachable if the proxy does not answer.
	Entry(ctx context.Context, appID string) (Entry, error)
	// Swing puts the entry in the table for all new requests at once, durably,
	// if the app's entry still has version was (0: none). ErrConflict if not.
	// The app's Mode is not the entry's and stays as it is.
	Swing(ctx context.Context, e Entry, was uint64) (Swung, error)
	// Drop takes the app out of the table. Gone is well.
	Drop(ctx context.Context, appID string) error
	// Inflight counts requests and streams that are open on the deployment's
	// targets.
	Inflight(ctx context.Context, deployment string) (int, error)
}

// Prover asks through the public listener which release answers.
type Prover interface {
	// Prove returns nil once every route of the entry was answered by each of
	// its targets, as the entry's deployment.
	Prove(ctx context.Context, e Entry) error
	// Ask is one request for each route, as a visitor's: an error if one is not
	// answered by the entry's deployment, or with 5xx where the route has an
	// Ask. An error that wraps ErrUnreachable says that the proxy was not asked.
	Ask(ctx context.Context, e Entry) error
}

// Entry is what the proxy's table holds for one app.
type Entry struct {
	AppID      string           `json:"app_id"`
	App        string           `json:"app"`
	Deployment string           `json:"deployment"`
	Commit     string           `json:"commit"`
	Color      Color            `json:"color"`
	Version    uint64           `json:"version"` // grows with each change of the app's entry; set by the proxy
	Paths      []Path           `json:"paths"`
	Redirects  []stack.Redirect `json:"redirects,omitempty"` // hosts that only send visitors elsewhere
	Front      stack.Front      `json:"front,omitzero"`
	Preview    *Preview         `json:"preview,omitempty"` // the color that visitors are not on, for those who may see it
}

// Path is one route with the targets that answer it.
type Path struct {
	Host    string           `json:"host"`
	Prefix  string           `json:"prefix"` // "/" for everything
	Targets []netip.AddrPort `json:"targets"`
	Ask     string           `json:"ask,omitempty"` // a path below Prefix that the app answered well before visitors came; empty: none is known
}

// Preview lets a color be seen before visitors are on it, or after they left
// it: on a host of its own, or on the app's hosts by a header with a token.
type Preview struct {
	Deployment string `json:"deployment"`
	Commit     string `json:"commit"`
	Color      Color  `json:"color"`
	Host       string `json:"host,omitempty"`  // answers everything by the paths below, whatever their host
	Token      string `json:"token,omitempty"` // SHA-256, in hexadecimal, of the value of the header Swingbridge-Preview
	Paths      []Path `json:"paths"`
}

// Swung says how a table change went.
type Swung struct {
	Version uint64        `json:"version"`
	Swap    time.Duration `json:"swap"`    // the swap in memory
	Durable time.Duration `json:"durable"` // writing and fsyncing the file before it
}

// Targets changes what is behind an entry between deployments.
type Targets interface {
	// Lose takes an address out of the app's paths, whatever their version: its
	// container died, and the address may become another app's. Gone is well.
	Lose(ctx context.Context, appID string, at netip.Addr) error
	// EndStreams closes the WebSockets and event streams that are open on the
	// deployment's targets, spread over the time until by so that not all come
	// back at once, and returns how many there were. It does not wait for them.
	EndStreams(ctx context.Context, deployment string, by time.Time) (int, error)
}

// Gauge tells what visitors got.
type Gauge interface {
	// Visits sums up what visitors got from the deployment between two times,
	// as far as the proxy remembers: a minute.
	Visits(ctx context.Context, deployment string, from, to time.Time) (Visits, error)
}

// Visits is what visitors got from one deployment in a while.
type Visits struct {
	Requests     int           `json:"requests"`
	ServerErrors int           `json:"server_errors"` // answered 5xx, by the app or in its place
	DialErrors   int           `json:"dial_errors"`   // attempts that got no answer from a target
	P50          time.Duration `json:"p50"`           // until the answer began; 0 without requests
	P95          time.Duration `json:"p95"`
}

// Mode is how an operator lets an app be met, whichever color is live. The
// zero value is to serve. Requests that prove a cutover, and those of a
// preview, are served in every mode.
type Mode struct {
	Kind ModeKind `json:"kind,omitempty"`
	// Page is the maintenance page, HTML; empty means Swingbridge's own.
	Page string `json:"page,omitempty"`
	// Wait is how long one request is held at most; default 30 s.
	Wait time.Duration `json:"wait,omitempty"`
	// Until ends the mode by itself; zero: an operator ends it.
	Until time.Time `json:"until,omitzero"`
}

// ModeKind says what happens to requests.
type ModeKind string

// The kinds of Mode.
const (
	ModeServe       ModeKind = ""            // they are answered by the app
	ModeHold        ModeKind = "hold"        // they wait, as long as there is room; then 503 with Retry-After
	ModeMaintenance ModeKind = "maintenance" // they get a page, status 503 with Retry-After
)

// Modes sets how apps are met, at once and durably.
type Modes interface {
	// SetMode changes the mode of the app. ErrNotFound if the table has no
	// entry of it.
	SetMode(ctx context.Context, appID string, m Mode) error
	// Mode returns it.
	Mode(ctx context.Context, appID string) (Mode, error)
}
