package stack

// settingRules are the keys of a service that concern nothing but its own
// container, and need no permission.
func settingRules() map[string]rule {
	return map[string]rule{
		"annotations":    {},
		"attach":         {},
		"blkio_config":   {keys: map[string]rule{"weight": {value: whole(10, 1000)}}},
		"cap_drop":       {},
		"configs":        {keys: fileRules()},
		"container_name": {value: optional(containerName)},
		"cpu_period":     {value: whole(1000, 1_000_000)},
		"cpu_quota":      {value: whole(1000, 1<<40)},
		"cpu_shares":     {value: whole(0, 1<<18)},
		"cpuset":         {value: optional(processors)},
		"dns":            {},
		"dns_opt":        {},
		"dns_search":     {},
		"domainname":     {value: optional(hostName)},
		"extra_hosts":    {},
		"group_add":      {},
		"hostname":       {value: optional(hostName)},
		"label_file":     {},
		"mem_swappiness": {value: whole(0, 100)},
		"memswap_limit":  {value: swap},
		"platform":       {value: optional(platform)},
		"pull_policy":    {value: pullPolicy},
		"read_only":      {},
		"secrets":        {keys: fileRules()},
		"shm_size":       {value: bytesOf(1)},
		"stdin_open":     {},
		"sysctls":        {},
		"tty":            {},
		"ulimits":        {},
	}
}

// fileRules are the keys with which a service names a config or a secret.
func fileRules() map[string]rule {
	return map[string]rule{"source": {}, "target": {}, "uid": {}, "gid": {}, "mode": {}}
}

// secretRules are the keys of a secret at the top level. What is external has
// no place to come from, see files.go.
func secretRules() map[string]rule {
	return map[string]rule{
		"environment": {}, "file": {}, "external": {}, "name": {}, "labels": {},
		"driver":          {refuse: noStore},
		"template_driver": {refuse: noStore},
	}
}

// configRules are the keys of a config at the top level.
func configRules() map[string]rule {
	return map[string]rule{
		"environment": {}, "file": {}, "content": {}, "external": {}, "name": {}, "labels": {},
		"template_driver": {refuse: noStore},
	}
}

// noStore is why configs and secrets cannot come from elsewhere.
const noStore = "one host has no store of configs and secrets: write `environment: NAME` and set it in the app's environment, or `file: PATH`"

func buildRules() map[string]rule {
	return map[string]rule{
		"context": {}, "dockerfile": {}, "args": {}, "target": {}, "labels": {}, "secrets": {keys: fileRules()},
		"additional_contexts": {},
		"dockerfile_inline":   {},
		"extra_hosts":         {},
		"network":             {value: buildNetwork},
		"no_cache":            {},
		"platforms":           {},
		"pull":                {},
		"shm_size":            {value: bytesOf(1)},
		// What has no effect is noted, see build.go.
		"cache_from": {}, "cache_to": {}, "no_cache_filter": {}, "provenance": {}, "sbom": {}, "tags": {},
		"ssh":          {refuse: "give the build a secret instead"},
		"privileged":   {refuse: hostRights},
		"entitlements": {refuse: hostRights},
		"isolation":    {refuse: windows},
	}
}

func deployRules() map[string]rule {
	return map[string]rule{
		"replicas": {value: whole(0, maxReplicas)},
		"resources": {keys: map[string]rule{
			"limits": {keys: map[string]rule{
				"memory": {value: bytesOf(minMemory)}, "cpus": {value: cpus}, "pids": {value: pids},
			}},
			"reservations": {keys: map[string]rule{
				"memory": {value: bytesOf(minMemory)}, "cpus": {value: cpus}, "devices": {}, // see gpus.go
			}},
		}},
		"restart_policy": {keys: map[string]rule{
			"condition": {value: restartCondition}, "max_attempts": {value: whole(0, 1_000_000)}, "delay": {}, "window": {},
		}},
		"mode": {value: deployMode},
		// They are for the nodes of a swarm, see settings.go.
		"endpoint_mode": {}, "labels": {}, "placement": {}, "rollback_config": {}, "update_config": {},
	}
}
