package pipeline

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"time"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// Errors that adapters wrap so that steps can tell cases apart.
var (
	ErrNotFound    = errors.New("not found")
	ErrConflict    = errors.New("conflict")
	ErrNoCommit    = errors.New("the repository has no such commit")
	ErrNoBranch    = errors.New("the repository has no such branch")
	ErrUnreachable = errors.New("not reachable")
)

// Source reads repositories. It never makes a checkout.
type Source interface {
	// Head asks the forge which commit the branch points at now. ErrNoBranch if
	// the branch is not there.
	Head(ctx context.Context, repo, branch string) (string, error)
	// Fetch makes the branch and the commit available locally, with as little
	// traffic as possible. ErrNoCommit if the forge does not serve the commit.
	Fetch(ctx context.Context, repo, branch, commit string) (Tree, error)
	// Ancestor reports whether old is an ancestor of (or equal to) commit, from
	// what was fetched.
	Ancestor(ctx context.Context, repo, old, commit string) (bool, error)
}

// Tree is the content of one commit, read from the object store.
type Tree interface {
	Commit() Commit
	// ReadFile returns a regular file, at most 1 MiB of it; an error wrapping
	// fs.ErrNotExist if it is absent, another one if it is a symlink, a
	// submodule or too large.
	ReadFile(path string) ([]byte, error)
	// Context streams the folder as a tar for the builder, .dockerignore
	// applied. Closing it early stops the walk.
	Context(ctx context.Context, b stack.Build) (io.ReadCloser, error)
	// Hash identifies the content of the folder (git's tree hash).
	Hash(folder string) (string, error)
	// Walk calls f for what is at the path, and for all below it, folders before
	// what is in them; "." is the whole tree. fs.SkipAll from f ends it well. An
	// error wrapping fs.ErrNotExist if the path is absent; one that names the
	// path where it, or something below it, cannot be had: a submodule, a name
	// that no file system should see. A link is not followed: the path itself
	// must not be one. f must not use the tree.
	Walk(ctx context.Context, path string, f func(TreeEntry) error) error
}

// TreeEntry is one file, folder or link of a tree.
type TreeEntry struct {
	Path string      // below what is walked; "." is that itself
	Mode fs.FileMode // 0644 or 0755, with fs.ModeDir or fs.ModeSymlink where it is one
	Hash string      // of all that is in it
	// Open reads the content; of a link, where it leads. Nil for a folder. To be
	// used before f returns.
	Open func() (io.ReadCloser, error)
}

// Commit is what people want to know about a commit.
type Commit struct {
	SHA     string
	Subject string
	Author  string
	At      time.Time
}

// Recorder is told what a run does. What was told is durable when a method
// returns, and what watches (GitHub, pages, metrics) learns of it from there.
type Recorder interface {
	// Record writes all of r in one transaction, or nothing of it. ErrConflict
	// if the deployment is not in the state that r's move begins at; ErrCanceled
	// or ErrRollBack if it is to go from watching to live and an operator was
	// answered before that its run will end.
	Record(ctx context.Context, r Record) error
	// Log opens the deployment's log for appending; secrets are masked in it.
	Log(ctx context.Context, deployment string, secrets []string) (Log, error)
}

// Log is a deployment's log being written.
type Log interface {
	io.WriteCloser
	Offset() int64 // bytes written so far
}

// Records reads what is known.
type Records interface {
	AppByID(ctx context.Context, id string) (App, error)
	Deployment(ctx context.Context, id string) (Deployment, error)
	// LiveDeployment is the app's deployment in state live; ErrNotFound if none.
	LiveDeployment(ctx context.Context, appID string) (Deployment, error)
	Release(ctx context.Context, id string) (Release, error)
}

// Releases keeps releases.
type Releases interface {
	// KeptReleases are the app's newest n releases that served visitors and
	// were not rolled back, and the live one, whatever its age.
	KeptReleases(ctx context.Context, appID string, n int) ([]Release, error)
}

// Heads keeps automatic deployments at the branch head.
type Heads interface {
	// NewerQueued reports whether a newer automatic deployment of the same app
	// waits.
	NewerQueued(ctx context.Context, deployment string) (bool, error)
	// QueueHead queues the head for its app as an automatic deployment, unless
	// the app ends at that commit anyway.
	QueueHead(ctx context.Context, h Head) (queued bool, err error)
}

// Head is a branch head that was read without a delivery.
type Head struct {
	AppID   string
	Commit  string
	Was     string // the head that was seen before; if another one was seen since, nothing is queued. Empty: whatever it was
	Instead string // deployment that ends superseded by this head, if one does
	Because string // for the audit log
}

// Vault holds the apps' environments.
type Vault interface {
	// Env returns the app's variables in the clear, and the version they are.
	Env(ctx context.Context, appID string) (map[string]string, int64, error)
	// EnvAt returns them as they were at a version.
	EnvAt(ctx context.Context, appID string, version int64) (map[string]string, error)
	// FilesAt returns the files that the server holds for the app, by their path
	// in the repository, as they were at that version.
	FilesAt(ctx context.Context, appID string, version int64) (map[string][]byte, error)
}

// Addresses hands out places on our networks.
type Addresses interface {
	// Reserve returns the edge address for a replica of a deployment's service:
	// the same one when asked again, never one that another deployment holds,
	// and for as long as possible not one used before.
	Reserve(ctx context.Context, deployment, service string, replica int) (netip.Addr, error)
	// Release frees the addresses of a deployment whose containers are gone and
	// which no table names.
	ReleaseAddresses(ctx context.Context, deployment string) error
	// AddressHolders are the app's deployments that hold addresses.
	AddressHolders(ctx context.Context, appID string) ([]string, error)
	// AppSubnet returns the subnet of one of the app's networks: the one it has,
	// unless that overlaps used, else one that does not. key is the network's
	// within the app, see Runner.AppNetwork; used is what others than this
	// network have now.
	AppSubnet(ctx context.Context, appID, key string, used []netip.Prefix) (netip.Prefix, error)
}

// Folders keeps on the host what binds name.
type Folders interface {
	// Data makes the folder of a data bind, if it is not there, and returns its
	// path on the host: the same one for each deployment of the app.
	Data(ctx context.Context, appID, path string) (string, error)
	// Place writes a file or folder of the commit and returns its path on the
	// host. The same content has the same path; what is there is left as it is.
	Place(ctx context.Context, appID string, tree Tree, path string) (string, error)
	// Where is the path that Data or Place would return for the bind. Nothing is
	// written.
	Where(ctx context.Context, appID string, tree Tree, b stack.Bind) (string, error)
	// HasPlaced reports whether what Place wrote is still there.
	HasPlaced(ctx context.Context, appID, placed string) (bool, error)
	// PrunePlaced removes what Place wrote for the app, but for the paths to keep.
	PrunePlaced(ctx context.Context, appID string, keep []string) (int, error)
}

// Commands remembers release commands.
type Commands interface {
	// CommandDone reports whether the command of a release of this fingerprint
	// has ended well before.
	CommandDone(ctx context.Context, appID, fingerprint string) (bool, error)
	// SetCommandDone writes that it has.
	SetCommandDone(ctx context.Context, appID, fingerprint, deployment string) error
}

// Ledger is everything durable that a run needs.
type Ledger interface {
	Recorder
	Records
	Releases
	Heads
	Vault
	Addresses
	Commands
}
