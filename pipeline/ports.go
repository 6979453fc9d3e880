package pipeline

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
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

// Owner says whose a thing on the engine is; it becomes labels, and the name.
type Owner struct {
	App        string // name
	AppID      string
	Service    string
	Color      Color
	Deployment string
	Commit     string
	Repo       string // owner/name, for the image's source label
	// Role is the service's. Of a kept service's container Color, Deployment and
	// Commit are empty: it outlives them.
	Role stack.Role
}

// Images builds and keeps images.
type Images interface {
	// Build makes the image and returns its ID. name is the full tag to give
	// it. Where an image of that name and of this installation is there
	// already, it is returned and cached is true. Progress goes to log as
	// lines.
	Build(ctx context.Context, b BuildOrder, log io.Writer) (id string, cached bool, err error)
	// HasImage reports whether the image ID is still on the engine.
	HasImage(ctx context.Context, id string) (bool, error)
	// Pull resolves an image reference to an ID, pulling it if it is absent or
	// the order's policy says so.
	Pull(ctx context.Context, o PullOrder, log io.Writer) (id string, err error)
	// PruneImages removes this installation's images of the app that are not
	// in keep (image IDs) and not in use, and says how many.
	PruneImages(ctx context.Context, appID string, keep []string) (int, error)
}

// Stock tells which images there are, and what room there is for more.
type Stock interface {
	// Built returns the ID of the image that Build would return without
	// building it; empty if there is none.
	Built(ctx context.Context, o Owner, key string) (id string, err error)
	// Pulled returns the ID of the image that Pull would return without asking
	// a registry; empty if it would ask one.
	Pulled(ctx context.Context, o PullOrder) (id string, err error)
	// ImageSizes are the sizes in bytes of this installation's images of the
	// app, by their IDs. Each is whole, also where images share layers.
	ImageSizes(ctx context.Context, appID string) (map[string]int64, error)
	// Room tells how much space is left where the engine keeps images.
	Room(ctx context.Context) (Room, error)
}

// Room is space on a disk. The zero value says that it is not known: the engine
// is elsewhere.
type Room struct {
	Path string // where the engine keeps images
	Free int64  // bytes
}

// PullOrder says which image to have.
type PullOrder struct {
	Ref      string
	Policy   string // always, missing or never; empty: missing
	Platform string // as in linux/arm64; empty: the engine's
}

// BuildOrder is all that a build needs.
type BuildOrder struct {
	Owner   Owner
	Key     string // content key: same key, same image
	Spec    stack.Build
	Tree    Tree
	Secrets map[string]string // values for Spec.Secrets, by id
}

// Containers makes, looks at and ends containers.
type Containers interface {
	// Ensure creates the container under its deterministic name, not started,
	// with its networks. A container of that name that is there already and is
	// the same order's is returned as it is.
	Ensure(ctx context.Context, o ContainerOrder) (Container, error)
	Start(ctx context.Context, id string) error
	Inspect(ctx context.Context, id string) (Container, error)
	// List finds this installation's containers, running or not.
	List(ctx context.Context, f Filter) ([]Container, error)
	// SetRestart sets the restart policy: always while live, no otherwise.
	SetRestart(ctx context.Context, id string, always bool) error
	// SetPolicy sets a restart policy in Compose's words: "no", "always",
	// "unless-stopped", "on-failure:3".
	SetPolicy(ctx context.Context, id, policy string) error
	// Detach has the engine stop the container with its own signal and grace,
	// and does not wait for it. Gone is well.
	Detach(ctx context.Context, id string) error
	// Wait returns the container once it does not run any more. ErrNotFound if
	// it is gone.
	Wait(ctx context.Context, id string) (Container, error)
	// Stop sends the container's own signal and waits its grace. Gone is well.
	Stop(ctx context.Context, id string) error
	// Remove ends a container whatever its state. Gone is well. Volumes stay.
	Remove(ctx context.Context, id string) error
	// Logs streams the container's output as plain text. tail < 0 is all.
	Logs(ctx context.Context, id string, o LogOrder) (io.ReadCloser, error)
}

// LogOrder says which part of a container's output.
type LogOrder struct {
	Tail   int
	Since  time.Time
	Follow bool
}

// Inside looks into a running container, where the engine can.
type Inside interface {
	// Listeners returns where the container's processes accept connections;
	// nil where that cannot be known.
	Listeners(ctx context.Context, id string) ([]netip.AddrPort, error)
	// Dial connects to an address of a container, from wherever the engine is.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

// Watcher tells of container events.
type Watcher interface {
	// Events delivers die, oom, health_status, start and destroy of this
	// installation's containers until ctx ends. The channel closes when the
	// stream breaks: list again, then call again.
	Events(ctx context.Context) (<-chan Event, error)
}

// Event is something that happened to a container.
type Event struct {
	Container  string // ID
	AppID      string
	Deployment string
	Service    string
	Kind       string // die, oom, start, destroy, healthy, unhealthy
	ExitCode   int
	At         time.Time
}

// Networks makes networks out of our own subnets.
type Networks interface {
	// EnsureNetwork makes the network or checks that the one of that name is
	// this installation's and has this subnet.
	EnsureNetwork(ctx context.Context, n Network) error
	// Subnets lists what networks on the engine use now, by network name.
	Subnets(ctx context.Context) (map[string][]netip.Prefix, error)
	// RemoveNetwork removes a network of ours. Gone is well.
	RemoveNetwork(ctx context.Context, name string) error
	// Join puts a container on a further network. There already is well.
	Join(ctx context.Context, id string, l Link) error
	// Leave takes it off again. Not there is well.
	Leave(ctx context.Context, id, network string) error
}

// Network is one network to be made.
type Network struct {
	Name     string
	AppID    string // empty for the edge
	App      string
	Subnet   netip.Prefix
	Gateway  netip.Addr
	Range    netip.Prefix // for addresses the engine chooses
	Isolated bool         // internal, no traffic between containers: the edge
	Internal bool         // no way out of it
	Labels   map[string]string
}

// Engine is the container engine as a whole.
type Engine interface {
	Images
	Stock
	Containers
	Inside
	Watcher
	Networks
}

// ContainerOrder is all that a container needs.
type ContainerOrder struct {
	Owner   Owner
	Image   string // image ID
	Service stack.Service
	Volumes []stack.Volume
	Edge    Attachment // network where the proxy reaches it; zero: it does not
	Links   []Link     // further networks, joined before the start
	Replica int        // counted from 0
	// Fingerprint identifies what a kept container was made of, see
	// Container.Fingerprint; empty for all others.
	Fingerprint string
	// Purpose makes a container that is not the service's own, "release" for the
	// release command; part of its name.
	Purpose string
	// Carry are anonymous volumes of the container that this one replaces: path
	// to the engine's name of the volume.
	Carry map[string]string
	// Allowed are the permissions that the operator gave the app.
	Allowed []string
}

// Link is a place on a network, under some names.
type Link struct {
	Network  string
	Aliases  []string
	External bool // the network is not ours: its name is the engine's own
}

// Attachment is a place on a network.
type Attachment struct {
	Network string
	Address netip.Addr
}

// Filter selects containers; empty fields select all.
type Filter struct {
	AppID      string
	Deployment string
}

// Container is what the engine says about one container.
type Container struct {
	ID        string
	Name      string
	Owner     Owner
	Replica   int    // counted from 0
	Image     string // image ID
	Running   bool
	Status    string     // created, running, restarting, exited, dead
	Health    string     // "", starting, healthy, unhealthy
	HasCheck  bool       // the image or the order has a health check
	Edge      netip.Addr // on the edge network
	ExitCode  int
	OOM       bool
	Restarts  int
	Purpose   string            // as in its order
	Grace     time.Duration     // between its stop signal and SIGKILL
	Policy    string            // restart policy, in Compose's words
	Networks  []string          // sorted
	Anonymous map[string]string // path to the engine's name of an anonymous volume
	Binds     []string          // paths of the host that it has; sorted
	// Fingerprint is that of the order it was made of.
	Fingerprint string
	Limits      stack.Limits // as they are now
	MadeAs      string       // the name that it was given
	Error       string       // the engine's own words
	Always      bool         // restart policy is always
	StartedAt   time.Time
	EndedAt     time.Time
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
