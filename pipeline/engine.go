package pipeline

import (
	"context"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

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
	// Writes is what it may write to: paths of the host, and volumes by their key
	// in the stack, or by the engine's own name where that is not ours.
	Writes []string
	// Fingerprint is that of the order it was made of.
	Fingerprint string
	Limits      stack.Limits // as they are now
	MadeAs      string       // the name that it was given
	Error       string       // the engine's own words
	Always      bool         // restart policy is always
	StartedAt   time.Time
	EndedAt     time.Time
}
