package stack

import "maps"

// rule says what becomes of a key.
type rule struct {
	refuse string                    // why it is refused; empty: handled
	keys   map[string]rule           // what its mapping form may hold; nil: anything
	value  func(value string) string // complains about a single value; nil: nothing to complain about. With keys: instead of a mapping
}

// Reasons that several keys share.
const (
	notHandled = "this version does not handle it"
	elsewhere  = "it would reach containers of others"
	twoColors  = "two colors of the service run side by side while visitors move, they cannot share it"
	hostRights = "it would give the container rights over the host"
	hostSpaces = "it would share a namespace of the host or of another container"
	useEnv     = "set the value in the app's environment instead"
	windows    = "it is for Windows containers"
)

// topRules are the keys of a file. Keys that begin with x- are free for
// everyone, but for our own.
func topRules() map[string]rule {
	return map[string]rule{
		"name":          {},
		"version":       {},
		"services":      {},
		"include":       {},
		"extends":       {refuse: notHandled},
		"volumes":       {},
		"networks":      {},
		"secrets":       {},
		"configs":       {},
		"models":        {refuse: notHandled},
		"jobs":          {refuse: "tasks and schedules come later"},
		"x-swingbridge": {keys: projectExtension()},
	}
}

// volumeRules are the keys of a volume at the top level.
func volumeRules() map[string]rule {
	return map[string]rule{
		"driver": {}, "driver_opts": {}, "labels": {}, "external": {},
		"name": {}, // with external only, see volumes.go
	}
}

// networkRules are the keys of a network at the top level, see networks.go.
func networkRules() map[string]rule {
	return map[string]rule{
		"driver": {}, "driver_opts": {}, "ipam": {}, "internal": {}, "external": {}, "name": {}, "labels": {}, "attachable": {},
		"enable_ipv4": {refuse: "networks of an app have IPv4 addresses"},
		"enable_ipv6": {refuse: "networks of an app have IPv4 addresses"},
	}
}

// serviceRules are the keys of a service. Whatever is not in the list is
// refused; the refused ones are there for their reason.
func serviceRules() map[string]rule {
	rules := map[string]rule{
		"image":             {},
		"build":             {keys: buildRules()},
		"command":           {},
		"entrypoint":        {},
		"environment":       {},
		"env_file":          {keys: map[string]rule{"path": {}, "required": {}, "format": {refuse: notHandled}}},
		"user":              {},
		"working_dir":       {value: absolute},
		"labels":            {},
		"healthcheck":       {keys: healthRules()},
		"stop_signal":       {value: optional(signal)},
		"stop_grace_period": {value: duration(0, day)},
		"init":              {},
		"expose":            {},
		"ports":             {}, // see service.ports
		"tmpfs":             {},
		"volumes":           {keys: mountRules()},
		"networks":          {},
		"depends_on":        {},
		"links":             {},
		"logging":           {keys: map[string]rule{"driver": {}, "options": {}}},
		"mem_limit":         {value: bytesOf(minMemory)},
		"mem_reservation":   {value: bytesOf(minMemory)},
		"cpus":              {value: cpus},
		"pids_limit":        {value: pids},
		"deploy":            {keys: deployRules()},
		"scale":             {value: whole(0, maxReplicas)},
		"restart":           {value: restart}, // of kept services; ours follows the slot
		"profiles":          {},
		"develop":           {}, // without effect, see configure
		"x-develop":         {},
		"extends":           {keys: map[string]rule{"service": {}, "file": {}}},
		"x-swingbridge":     {keys: serviceExtension()},
	}
	for _, key := range rightsKeys() {
		rules[key] = rule{}
	}
	rules["oom_score_adj"] = rule{value: whole(-1000, 1000)}
	maps.Copy(rules, settingRules())
	for reason, keys := range refusedServiceKeys() {
		for _, key := range keys {
			rules[key] = rule{refuse: reason}
		}
	}
	return rules
}

// rightsKeys ask for something of the host, see permit.go.
func rightsKeys() []string {
	return []string{
		"network_mode", "ipc", "pid", "uts", "userns_mode", "cgroup", "cgroup_parent", "privileged", "cap_add", "devices",
		"device_cgroup_rules", "gpus", "security_opt", "use_api_socket", "runtime", "oom_kill_disable", "oom_score_adj",
	}
}

func refusedServiceKeys() map[string][]string {
	return map[string][]string{
		elsewhere:                           {"external_links"},
		"name the volumes of both services": {"volumes_from"},
		twoColors:                           {"mac_address"},
		windows:                             {"isolation", "cpu_count", "cpu_percent", "credential_spec"},
	}
}

func healthRules() map[string]rule {
	return map[string]rule{
		"test": {}, "disable": {}, "retries": {value: whole(0, 1000)},
		"interval":     {value: duration(0, day)},
		"timeout":      {value: duration(0, day)},
		"start_period": {value: duration(0, day)},
		// Engines before version 25 do not know it, see health.
		"start_interval": {value: duration(0, day)},
	}
}

func mountRules() map[string]rule {
	return map[string]rule{
		"type": {}, "source": {}, "target": {}, "read_only": {},
		"volume": {keys: map[string]rule{"nocopy": {}}},
		"tmpfs":  {keys: map[string]rule{"size": {value: bytesOf(1)}, "mode": {}}},
		"bind":   {keys: map[string]rule{"propagation": {}, "selinux": {}, "create_host_path": {}, "recursive": {refuse: notHandled}}},
		"image":  {}, // refused with the whole mount
		// For developers' machines, without effect on any other.
		"consistency": {},
	}
}

// projectExtension are the keys of x-swingbridge at the top level.
func projectExtension() map[string]rule {
	return map[string]rule{
		"guard": {value: duration(0, hour), keys: map[string]rule{
			"for":    {value: duration(0, hour)},
			"errors": {value: share},
			"slower": {value: times},
			"least":  {value: whole(1, 1_000_000)},
		}},
		"keep": {value: whole(1, 1000)},
		"preview": {value: hostName, keys: map[string]rule{
			"host":  {value: hostName},
			"token": {value: token},
		}},
		"front": {keys: map[string]rule{
			"hsts":        {value: hsts},
			"compression": {value: onOff},
			"max_body":    {value: bytesOf(1)},
		}},
		"release": {keys: map[string]rule{
			"service": {value: anyText},
			"command": {},
			"timeout": {value: duration(second, day)},
		}},
	}
}

// serviceExtension are the keys of x-swingbridge of a service.
func serviceExtension() map[string]rule {
	return map[string]rule{
		"role":     {value: role},
		"drain":    {value: duration(0, day)},
		"replicas": {value: whole(1, maxReplicas)},
		"order":    {value: order},
		"single":   {value: truth},
		"detach":   {value: truth},
		"probe": {keys: map[string]rule{
			"path":      {value: probePath},
			"host":      {value: hostName},
			"status":    {value: statuses},
			"interval":  {value: duration(tenth, hour)},
			"timeout":   {value: duration(tenth, hour)},
			"within":    {value: duration(second, day)},
			"successes": {value: whole(1, 100)},
			"port":      {value: whole(1, 65535)},
		}},
	}
}
