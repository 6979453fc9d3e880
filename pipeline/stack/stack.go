package stack

import "time"

// Stack is a rendered set of services, complete enough to create containers
// from without the files it came from. It is stored, sealed, with a release.
type Stack struct {
	Services []Service     `json:"services"`
	Volumes  []Volume      `json:"volumes,omitempty"`
	Guard    time.Duration `json:"guard"`            // how long the new color is watched after the cutover
	Keep     int           `json:"keep"`             // releases kept for rollback
	Routes   []Route       `json:"routes,omitempty"` // that visitors take to it: an app's may change while it is live
	Notes    []string      `json:"notes,omitempty"`  // sentences about what the files say to no effect, for the log

	Redirects   []Redirect  `json:"redirects,omitempty"` // the app's, as of the release
	Front       Front       `json:"front,omitzero"`
	Preview     *Preview    `json:"preview,omitempty"`
	GuardLimits GuardLimits `json:"guard_limits,omitzero"`

	Networks []Network `json:"networks,omitempty"` // besides "default", which is always there
	Command  *Command  `json:"command,omitempty"`  // the release command; nil: none
	Aside    []string  `json:"aside,omitempty"`    // sentences about services that are not deployed, and why: the front, tasks
}

// Redirect sends the visitors of a host elsewhere: www.example.org to
// example.org. Path and query are kept.
type Redirect struct {
	Host   string `json:"host"`
	To     string `json:"to"`               // a host, or an http(s) URL without path
	Status int    `json:"status,omitempty"` // 301, 302, 307 or 308, which is the default
}

func (r Redirect) String() string { return r.Host + " → " + r.To }

// Front says how the proxy meets an app's visitors. The zero value is the
// default: HSTS for a year over HTTPS, compression, no limit of the body.
type Front struct {
	HSTS          time.Duration `json:"hsts,omitempty"` // max-age of Strict-Transport-Security (RFC 6797); 0: a year
	NoHSTS        bool          `json:"no_hsts,omitempty"`
	NoCompression bool          `json:"no_compression,omitempty"`
	MaxBody       int64         `json:"max_body,omitempty"` // bytes of a request's body; 0: no limit
}

// Preview shows the idle color to those who may see it.
type Preview struct {
	Host  string `json:"host,omitempty"`  // answers with the idle color
	Token string `json:"token,omitempty"` // value of the header Swingbridge-Preview that reaches it on the app's own hosts
}

// GuardLimits says from when on the new color is worse than the one before it.
// The zero value is the default.
type GuardLimits struct {
	Errors float64 `json:"errors,omitempty"` // share of answers that are 5xx or missing, beyond the share before the cutover; default 0.05
	Slower float64 `json:"slower,omitempty"` // p95 ÷ p95 before the cutover; default 4; negative: latency does not count
	Least  int     `json:"least,omitempty"`  // requests below which nothing is judged; default 20
}

// Role says what a deployment does with a service.
type Role string

// The roles.
const (
	Web    Role = "web"    // blue/green: start idle, probe, cut over, drain, stop
	Worker Role = "worker" // one commit with the web, handed over at the cutover
	Keep   Role = "keep"   // left alone while unchanged
	Task   Role = "task"   // never started by a deployment, but for one with Once
)

// Colored reports whether each deployment makes containers of the role of its
// own, in its color.
func (r Role) Colored() bool { return r == Web || r == Worker }

// Service is one service of a Stack in terms of what a container needs.
type Service struct {
	Name  string `json:"name"`
	Role  Role   `json:"role"`
	Build *Build `json:"build,omitempty"` // nil: Image is used as it is
	Image string `json:"image,omitempty"`

	// Command and Entrypoint override the image's; nil leaves them, an empty
	// list clears them.
	Command    []string          `json:"command"`
	Entrypoint []string          `json:"entrypoint"`
	Env        map[string]string `json:"env,omitempty"`
	User       string            `json:"user,omitempty"`
	WorkingDir string            `json:"working_dir,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Health     *Health           `json:"health,omitempty"`
	StopSignal string            `json:"stop_signal,omitempty"`
	StopGrace  time.Duration     `json:"stop_grace"` // SIGKILL after it; default 10 s
	Init       *bool             `json:"init,omitempty"`
	Expose     []int             `json:"expose,omitempty"`
	Tmpfs      map[string]string `json:"tmpfs,omitempty"` // path to options
	Mounts     []Mount           `json:"mounts,omitempty"`
	Log        *Log              `json:"log,omitempty"` // nil: our own rotation limits
	Limits     Limits            `json:"limits"`

	Replicas int `json:"replicas,omitempty"` // containers per color; 0 is 1

	// What a deployment does with it, by its role.
	Why       string       `json:"why,omitempty"`        // why it has this role, where no file says so
	Names     []string     `json:"names,omitempty"`      // further names under which others call it, on each of its networks
	DependsOn []Dependency `json:"depends_on,omitempty"` // sorted by service
	Before    bool         `json:"before,omitempty"`     // worker: handed over before the cutover, not after it
	Single    bool         `json:"single,omitempty"`     // worker: never two of it, of whatever deployments
	Detach    bool         `json:"detach,omitempty"`     // worker: the old one may finish while nobody waits
	Once      bool         `json:"once,omitempty"`       // task: runs to its end once per release, before what depends on it
	Restart   string       `json:"restart,omitempty"`    // keep: the file's own restart policy, "on-failure:3"; empty: always

	Networks []Join    `json:"networks,omitempty"` // empty: the default one, under no further name
	Files    []Content `json:"files,omitempty"`    // configs and secrets
	Rights   Rights    `json:"rights,omitzero"`    // what it has of the host
	Settings Settings  `json:"settings,omitzero"`  // further settings of the container

	Ports []int         `json:"ports,omitempty"` // the ports that routes name
	Probe Probe         `json:"probe"`
	Drain time.Duration `json:"drain"` // how long open requests may take after the cutover; default 30 s
}

// Build says how an image comes from the repository.
type Build struct {
	Context    string            `json:"context"` // folder inside the repository, "." is its root
	Dockerfile string            `json:"dockerfile"`
	Target     string            `json:"target,omitempty"`
	Args       map[string]string `json:"args,omitempty"`
	Secrets    []string          `json:"secrets,omitempty"` // ids under which the Dockerfile mounts its secrets

	// Where a secret's value comes from: Held has it here, out of a file; else
	// it is the variable of the app's environment that Renamed says, or the one
	// called like the id.
	Renamed map[string]string `json:"renamed,omitempty"`
	Held    map[string][]byte `json:"held,omitempty"` // secret

	Inline     string            `json:"inline,omitempty"`   // the Dockerfile itself, where the context does not have it
	Contexts   map[string]string `json:"contexts,omitempty"` // name to a further folder inside the repository
	Labels     map[string]string `json:"labels,omitempty"`   // of the image
	Platform   string            `json:"platform,omitempty"`
	Network    string            `json:"network,omitempty"`     // "none"; empty: the engine's default
	ExtraHosts []string          `json:"extra_hosts,omitempty"` // name:address
	ShmSize    int64             `json:"shm_size,omitempty"`    // bytes
	NoCache    bool              `json:"no_cache,omitempty"`
	Pull       bool              `json:"pull,omitempty"` // look for newer base images
}

// Variable names the variable of the app's environment that has the value of a
// build secret.
func (b Build) Variable(id string) string {
	if name, ok := b.Renamed[id]; ok {
		return name
	}
	return id
}

// Health is a container health check that overrides the image's own.
type Health struct {
	Disable     bool          `json:"disable,omitempty"`
	Test        []string      `json:"test,omitempty"` // CMD … or CMD-SHELL …
	Interval    time.Duration `json:"interval,omitempty"`
	Timeout     time.Duration `json:"timeout,omitempty"`
	StartPeriod time.Duration `json:"start_period,omitempty"`
	Retries     int           `json:"retries,omitempty"`
}

// Mount puts a volume, or a path of the host, into a container. With neither
// Volume nor Bind it is an anonymous volume, which a kept service keeps when its
// container is replaced.
type Mount struct {
	Volume   string `json:"volume"` // key in Stack.Volumes
	Bind     *Bind  `json:"bind,omitempty"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"read_only,omitempty"`
	NoCopy   bool   `json:"no_copy,omitempty"`
}

// Volume is a named volume. It outlives every deployment.
type Volume struct {
	Name     string            `json:"name"` // key in the compose file
	Driver   string            `json:"driver,omitempty"`
	Options  map[string]string `json:"options,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	External string            `json:"external,omitempty"` // the engine's name of a volume that is not ours to make
}

// Log is an engine logging driver with its options.
type Log struct {
	Driver  string            `json:"driver"`
	Options map[string]string `json:"options,omitempty"`
}

// Limits bounds what a container may use. Zero is unlimited.
type Limits struct {
	Memory            int64   `json:"memory,omitempty"` // bytes
	MemoryReservation int64   `json:"memory_reservation,omitempty"`
	CPUs              float64 `json:"cpus,omitempty"`
	Pids              int64   `json:"pids,omitempty"`
	// MemorySwap is memory and swap together in bytes; -1 is as much as there is,
	// 0 leaves it to the engine, which takes twice the memory.
	MemorySwap int64  `json:"memory_swap,omitempty"`
	Swappiness *int64 `json:"swappiness,omitempty"` // 0 to 100; nil: the host's
	CPUShares  int64  `json:"cpu_shares,omitempty"` // weight against other containers; 1024 is the usual one
	CPUQuota   int64  `json:"cpu_quota,omitempty"`  // µs of each period
	CPUPeriod  int64  `json:"cpu_period,omitempty"` // µs
	CPUSet     string `json:"cpu_set,omitempty"`    // which processors, "0-2,5"
	IOWeight   uint16 `json:"io_weight,omitempty"`  // 10 to 1000
}

// Probe says how a service is asked whether it is ready. An empty Path asks
// only whether the port accepts a connection. Port 0 asks nothing: the service
// has no route, it must run and, where it has a health check, be healthy. See Load for the defaults.
type Probe struct {
	Path      string        `json:"path"`
	Port      int           `json:"port"`
	Host      string        `json:"host,omitempty"` // Host header, default the route's host
	StatusMin int           `json:"status_min"`
	StatusMax int           `json:"status_max"`
	Interval  time.Duration `json:"interval"`
	Timeout   time.Duration `json:"timeout"`   // of one request
	Successes int           `json:"successes"` // in a row
	Within    time.Duration `json:"within"`    // budget of the whole probe
}

// Web lists the services that visitors reach.
func (s Stack) Web() []Service {
	var out []Service
	for _, svc := range s.Services {
		if svc.Role == Web {
			out = append(out, svc)
		}
	}
	return out
}

// Service finds a service by its name.
func (s Stack) Service(name string) (Service, bool) {
	for _, svc := range s.Services {
		if svc.Name == name {
			return svc, true
		}
	}
	return Service{}, false
}
