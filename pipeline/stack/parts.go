package stack

import "time"

// Network is a network of the Compose files. It is one stable network of the
// app, which outlives deployments.
type Network struct {
	Name     string            `json:"name"` // key in the compose file
	Internal bool              `json:"internal,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	External string            `json:"external,omitempty"` // the engine's name of a network that is not ours to make
}

// Join is a service's place on a network.
type Join struct {
	Network string   `json:"network"` // key in Stack.Networks, or "default"
	Aliases []string `json:"aliases,omitempty"`
}

// Conditions of a Dependency.
const (
	Started   = "service_started"
	Healthy   = "service_healthy"
	Completed = "service_completed_successfully"
)

// Dependency says what a service waits for before it starts.
type Dependency struct {
	Service   string `json:"service"`
	Condition string `json:"condition"` // Started, Healthy or Completed
	Optional  bool   `json:"optional,omitempty"`
}

// Command is the release command: it runs once per release in the new image,
// before anything that visitors see.
type Command struct {
	Service string        `json:"service"`
	Args    []string      `json:"args"`
	Timeout time.Duration `json:"timeout"` // default 10 min
}

// Bind is a path of the host in a container. Exactly one of Host, Data and Repo
// is set.
type Bind struct {
	Host string `json:"host,omitempty"` // an absolute path of the host, which the operator allowed
	Data string `json:"data,omitempty"` // a path below the app's own data folder: it stays between deployments
	Repo string `json:"repo,omitempty"` // a file or folder of the commit
	// Placed is where on the host Data and Repo are found; set before containers
	// are made, and stored with the release.
	Placed string `json:"placed,omitempty"`

	Propagation string `json:"propagation,omitempty"` // of mounts below it; empty: the engine's
	SELinux     string `json:"selinux,omitempty"`     // z or Z: the engine labels it for several containers, or for this one
}

// Content is a file that is put into the container before it starts.
type Content struct {
	Target string `json:"target"` // absolute path in the container
	Data   []byte `json:"data"`   // secret
	Mode   uint32 `json:"mode"`   // permission bits
	UID    int    `json:"uid,omitempty"`
	GID    int    `json:"gid,omitempty"`
}

// Settings are a container's settings that need no permission. The zero value
// leaves everything to image and engine.
type Settings struct {
	Hostname    string            `json:"hostname,omitempty"`
	Domainname  string            `json:"domainname,omitempty"`
	Platform    string            `json:"platform,omitempty"`
	PullPolicy  string            `json:"pull_policy,omitempty"` // always, missing or never; empty: missing
	ExtraHosts  []string          `json:"extra_hosts,omitempty"` // name:address
	DNS         []string          `json:"dns,omitempty"`
	DNSSearch   []string          `json:"dns_search,omitempty"`
	DNSOptions  []string          `json:"dns_options,omitempty"`
	Ulimits     []Ulimit          `json:"ulimits,omitempty"`
	Sysctls     map[string]string `json:"sysctls,omitempty"`
	ShmSize     int64             `json:"shm_size,omitempty"` // bytes
	ReadOnly    bool              `json:"read_only,omitempty"`
	CapDrop     []string          `json:"cap_drop,omitempty"`
	GroupAdd    []string          `json:"group_add,omitempty"`
	TTY         bool              `json:"tty,omitempty"`
	StdinOpen   bool              `json:"stdin_open,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"` // become labels
}

// Ulimit is one limit of a container's processes.
type Ulimit struct {
	Name string `json:"name"`
	Soft int64  `json:"soft"`
	Hard int64  `json:"hard"`
}

// Rights are what a service has of the host, besides binds. Each one is there
// only if the operator allowed it, see Permissions.
type Rights struct {
	Privileged  bool     `json:"privileged,omitempty"`
	CapAdd      []string `json:"cap_add,omitempty"`
	Devices     []string `json:"devices,omitempty"`      // host:container:rwm
	DeviceRules []string `json:"device_rules,omitempty"` // as in device_cgroup_rules
	Ports       []Port   `json:"ports,omitempty"`        // published on the host
	Host        []string `json:"host,omitempty"`         // namespaces of the host: network, pid, ipc, uts, user, cgroup
	Security    []string `json:"security,omitempty"`     // security_opt, but for no-new-privileges
	// Other are runtime, cgroup_parent, oom_score_adj, oom_kill_disable and gpus;
	// and what is narrower than usual and needs no permission: network "none",
	// ipc "private" or "none", cgroup "private".
	Other map[string]string `json:"other,omitempty"`
}

// Port is a port of the host that leads to one of a container.
type Port struct {
	Host      int    `json:"host"` // 0: the engine chooses
	Address   string `json:"address,omitempty"`
	Container int    `json:"container"`
	Protocol  string `json:"protocol"` // tcp, udp or sctp
}
