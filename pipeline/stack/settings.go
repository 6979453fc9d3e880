package stack

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// configure fills in the settings that need no permission.
func (s *service) configure(out *Service) {
	f := s.from
	out.Settings = Settings{
		Hostname: f.Hostname, Domainname: f.DomainName, Platform: f.Platform, PullPolicy: s.pullPolicy(),
		ExtraHosts: s.extraHosts(f.ExtraHosts, "extra_hosts"),
		DNS:        s.list(f.DNS, ipAddress, "dns"),
		DNSSearch:  s.list(f.DNSSearch, plain, "dns_search"),
		DNSOptions: s.list(f.DNSOpts, plain, "dns_opt"),
		Ulimits:    s.ulimits(), Sysctls: s.sysctls(),
		ShmSize:     int64(f.ShmSize),
		ReadOnly:    f.ReadOnly,
		CapDrop:     s.list(f.CapDrop, plain, "cap_drop"),
		GroupAdd:    s.list(f.GroupAdd, plain, "group_add"),
		TTY:         f.Tty,
		StdinOpen:   f.StdinOpen,
		Annotations: some(f.Annotations),
	}
	out.Labels = s.labels()
	switch policy := s.restartPolicy(); {
	case out.Role == Keep:
		out.Restart = cmp.Or(policy, s.mayEnd())
	case out.Role.Colored() && (policy == types.RestartPolicyNo || strings.HasPrefix(policy, types.RestartPolicyOnFailure)):
		key := "restart"
		if s.from.Deploy != nil && s.from.Deploy.RestartPolicy != nil {
			key = "deploy.restart_policy"
		}
		s.note(key, "has no effect: what visitors or the queue are on is started again whenever it ends")
	}
	s.hostname(out)
	if name := f.ContainerName; name != "" {
		if name != s.name && !slices.Contains(out.Names, name) {
			out.Names = append(out.Names, name)
		}
		s.note("container_name", "is a further name under which other services reach it: containers are named by app, service and deployment")
	}
	if f.Attach != nil {
		s.note("attach", "has no effect: a deployment shows no container's output")
	}
	for _, key := range []string{"develop", "x-develop"} {
		if s.view.has(key) {
			s.note(key, "has no effect: it is for a developer's machine")
		}
	}
	s.swarm()
}

// hostname makes the host name of a colored service a name for others alone. The
// engine answers to a container's own on each of its networks: both colors
// would, and on the edge to the containers of all apps.
func (s *service) hostname(out *Service) {
	name := out.Settings.Hostname
	if name == "" || !out.Role.Colored() {
		return
	}
	out.Settings.Hostname = ""
	if s.all[name] == nil && !slices.Contains(out.Names, name) {
		out.Names = append(out.Names, name)
	}
	s.note("hostname", "is a name under which other services reach it, and not the container's own: two colors of the service run side by side")
}

// note says that a key has no effect, or another one than in Compose.
func (s *service) note(key, message string) {
	s.l.found.note(s.view.at(strings.Split(key, ".")...), s.name, key, message)
}

// addTo adds a problem at the entry of a list that has the text, or at the key.
func (s *service) addTo(text, complaint string, keys ...string) {
	at := s.view.at(keys...)
	for _, it := range s.view.items(keys...) {
		value, _, _ := s.l.vars.expand(it.node.Value)
		name, _, _ := strings.Cut(strings.ReplaceAll(value, ":", "="), "=")
		if it.key == text || value == text || it.key == "" && name == text {
			at = it.place
		}
	}
	s.l.found.add(at, s.name, strings.Join(keys, "."), "%s", complaint)
}

// list takes a list whose entries are fine, each once.
func (s *service) list(values []string, complain func(string) string, keys ...string) []string {
	var out []string
	for _, value := range values {
		if complaint := complain(value); complaint != "" {
			s.addTo(value, complaint, keys...)
		} else if !slices.Contains(out, value) {
			out = append(out, value)
		}
	}
	return out
}

func ipAddress(value string) string {
	if a, err := netip.ParseAddr(value); err != nil || a.Zone() != "" {
		return "must be an IP address"
	}
	return ""
}

// extraHosts lists what a container finds in its /etc/hosts besides itself, as
// name:address; host-gateway is the host's address as containers see it.
func (s *service) extraHosts(hosts types.HostsList, keys ...string) []string {
	var out []string
	for name, addresses := range hosts {
		for _, address := range addresses {
			if address != "host-gateway" && ipAddress(address) != "" || plain(name) != "" {
				s.addTo(name, "must be a name with an IP address or host-gateway", keys...)
				continue
			}
			out = append(out, name+":"+address)
		}
	}
	slices.Sort(out)
	return out
}

func (s *service) ulimits() []Ulimit {
	var out []Ulimit
	for name, u := range s.from.Ulimits {
		limit := Ulimit{Name: name, Soft: int64(u.Soft), Hard: int64(u.Hard)}
		if u.Single != 0 {
			limit.Soft, limit.Hard = int64(u.Single), int64(u.Single)
		}
		switch {
		case !isUlimit(name):
			s.addTo(name, "there is no such limit", "ulimits")
		case limit.Soft < -1 || limit.Hard < -1:
			s.addTo(name, "must be a number, or -1 for no limit", "ulimits")
		case limit.Hard != -1 && (limit.Soft > limit.Hard || limit.Soft == -1):
			s.addTo(name, "the soft limit is above the hard one", "ulimits")
		default:
			out = append(out, limit)
		}
	}
	slices.SortFunc(out, func(a, b Ulimit) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (s *service) sysctls() map[string]string {
	for key := range s.from.Sysctls {
		network := strings.HasPrefix(key, "net.")
		switch {
		case !network && s.from.Ipc == "host", network && s.from.NetworkMode == "host":
			s.addTo(key, key+" is the host's here, whose namespace the service shares; "+undo, "sysctls")
		case !ownSysctl(key):
			s.addTo(key, key+" is a setting of the whole host: containers have net.*, fs.mqueue.* and the kernel's of messages, semaphores and shared memory; "+undo, "sysctls")
		}
	}
	return some(s.from.Sysctls)
}

// pullPolicy is a policy in our words. What is built is never pulled.
func (s *service) pullPolicy() string {
	switch policy := s.from.PullPolicy; {
	case s.from.Build != nil:
		if policy != "" && policy != types.PullPolicyBuild {
			s.note("pull_policy", "has no effect: the image is built from the repository, whenever what it is made of has changed")
		}
	case policy == types.PullPolicyBuild:
		s.add("there is nothing to build it from", []string{"pull_policy"})
	case policy == types.PullPolicyAlways || policy == types.PullPolicyNever:
		return policy
	}
	return ""
}

// labels are those of the label files, in their order, and the service's own.
func (s *service) labels() map[string]string {
	out := map[string]string{}
	for _, file := range s.from.LabelFiles {
		content, ok := s.repositoryFile(s.view.at("label_file"), s.name, "label_file", file)
		if !ok {
			continue
		}
		for label, value := range s.l.parseEnvFile(s.view.at("label_file"), s.name, "label_file", content) {
			if ownLabel(label) {
				s.add("labels that begin with dev.swingbridge. are Swingbridge's own", []string{"label_file"})
			}
			out[label] = value
		}
	}
	for label, value := range s.from.Labels {
		out[label] = value
	}
	return some(out)
}

// restartPolicy is the file's own policy; deploy's counts more, as in Compose.
func (s *service) restartPolicy() string {
	if s.from.Deploy == nil || s.from.Deploy.RestartPolicy == nil {
		return s.from.Restart
	}
	p := s.from.Deploy.RestartPolicy
	if p.Delay != nil || p.Window != nil {
		s.note("deploy.restart_policy", "delay and window have no effect: the engine waits longer each time")
	}
	switch p.Condition {
	case "none":
		return types.RestartPolicyNo
	case types.RestartPolicyOnFailure:
		if p.MaxAttempts != nil && *p.MaxAttempts > 0 {
			return types.RestartPolicyOnFailure + ":" + strconv.FormatUint(*p.MaxAttempts, 10)
		}
		return types.RestartPolicyOnFailure
	case types.RestartPolicyUnlessStopped:
		return types.RestartPolicyUnlessStopped
	}
	return "" // always
}

// swarm notes what is for the nodes of a swarm.
func (s *service) swarm() {
	for key, why := range map[string]string{
		"endpoint_mode":   "visitors come through the proxy",
		"labels":          "a service has no labels besides its containers'",
		"placement":       "there is one host",
		"rollback_config": "Swingbridge swings back by itself",
		"update_config":   "Swingbridge has its own way from one release to the next",
	} {
		if len(s.view.items("deploy", key)) > 0 {
			s.note("deploy."+key, "has no effect: "+why)
		}
	}
	if s.from.Deploy != nil && s.from.Deploy.Mode == deployGlobal {
		s.note("deploy.mode", "has no effect: there is one host, and so one container of it")
	}
}

// limitMore reads the limits that Compose writes in one way only.
func (s *service) limitMore(out *Limits) {
	f := s.from
	out.MemorySwap = int64(f.MemSwapLimit)
	out.CPUShares, out.CPUQuota, out.CPUPeriod, out.CPUSet = f.CPUShares, f.CPUQuota, f.CPUPeriod, f.CPUSet
	if s.view.has("mem_swappiness") {
		swappiness := int64(f.MemSwappiness)
		out.Swappiness = &swappiness
	}
	if f.BlkioConfig != nil {
		out.IOWeight = f.BlkioConfig.Weight
	}
	switch {
	case out.MemorySwap > 0 && out.Memory == 0:
		s.add("is memory and swap together: set mem_limit too", []string{"memswap_limit"})
	case out.MemorySwap > 0 && out.MemorySwap < out.Memory:
		s.add("is memory and swap together, and so not below mem_limit", []string{"memswap_limit"})
	}
	if out.CPUs != 0 && (out.CPUQuota != 0 || out.CPUPeriod != 0) {
		s.add("cpus says the same as cpu_quota and cpu_period: keep one of them", []string{"cpus"})
	}
}
