package docker

import (
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// checkAllowed refuses what the order needs of the host and the operator did
// not allow, whoever let it through.
func checkAllowed(o pipeline.ContainerOrder) error {
	want := o.Service.Permissions()
	for _, m := range o.Service.Mounts {
		for _, v := range o.Volumes {
			if m.Volume != "" && v.Name == m.Volume {
				want = append(want, v.Permissions()...)
			}
		}
	}
	for _, l := range o.Links {
		if l.External {
			want = append(want, stack.Network{External: l.Network}.Permissions()...)
		}
	}
	if missing := stack.Missing(o.Allowed, want); len(missing) > 0 {
		return refused("service %s: the app is not allowed it: %s", o.Service.Name, stack.Allow(o.Owner.App, missing))
	}
	if slices.Contains(o.Service.Rights.Host, "network") && (o.Edge.Network != "" || len(o.Links) > 0) {
		return refused("service %s is to be on the host's network and on others", o.Service.Name)
	}
	return nil
}

// grant gives the container its rights, which checkAllowed has seen.
func grant(config *container.Config, host *container.HostConfig, svc stack.Service) error {
	r := svc.Rights
	host.Privileged = r.Privileged
	host.CapAdd = r.CapAdd
	host.DeviceCgroupRules = r.DeviceRules
	for _, device := range r.Devices {
		parts := strings.Split(device, ":")
		if len(parts) != 3 || !strings.HasPrefix(parts[1], "/") {
			return refused("service %s: device %q", svc.Name, device)
		}
		host.Devices = append(host.Devices, container.DeviceMapping{
			PathOnHost: parts[0], PathInContainer: parts[1], CgroupPermissions: parts[2],
		})
	}
	for _, p := range r.Ports {
		if err := publish(config, host, p); err != nil {
			return err
		}
	}
	for _, option := range r.Security {
		secure(host, option)
	}
	for _, space := range r.Host {
		share(host, space)
	}
	return grantOther(host, svc)
}

// publish opens a port of the host.
func publish(config *container.Config, host *container.HostConfig, p stack.Port) error {
	if p.Container < 1 || p.Container > 65535 {
		return refused("port %d is not between 1 and 65535", p.Container)
	}
	port := nat.Port(strconv.Itoa(p.Container) + "/" + p.Protocol)
	binding := nat.PortBinding{HostIP: p.Address}
	if p.Host != 0 {
		binding.HostPort = strconv.Itoa(p.Host)
	}
	if host.PortBindings == nil {
		host.PortBindings = nat.PortMap{}
	}
	host.PortBindings[port] = append(host.PortBindings[port], binding)
	config.ExposedPorts[port] = struct{}{}
	return nil
}

// noNewPrivileges keeps programs in the container from gaining rights by how
// they are started; it is set unless the operator allowed to leave it out.
const noNewPrivileges = "no-new-privileges"

func secure(host *container.HostConfig, option string) {
	switch option {
	case noNewPrivileges + "=false":
		host.SecurityOpt = slices.DeleteFunc(host.SecurityOpt, func(o string) bool { return o == noNewPrivileges+":true" })
	case "systempaths=unconfined":
		host.MaskedPaths, host.ReadonlyPaths = []string{}, []string{}
	default:
		host.SecurityOpt = append(host.SecurityOpt, option)
	}
}

// share puts the container into a namespace of the host.
func share(host *container.HostConfig, space string) {
	switch space {
	case "network":
		host.NetworkMode = "host"
	case "pid":
		host.PidMode = "host"
	case "ipc":
		host.IpcMode = "host"
	case "uts":
		host.UTSMode = "host"
	case "user":
		host.UsernsMode = "host"
	case "cgroup":
		host.CgroupnsMode = container.CgroupnsModeHost
	}
}

// grantOther sets what Rights.Other holds.
func grantOther(host *container.HostConfig, svc stack.Service) error {
	for key, value := range svc.Rights.Other {
		switch key {
		case "network": // without any link it is on none
			if host.NetworkMode != "none" {
				return refused("service %s is to be on no network, and on %s", svc.Name, host.NetworkMode)
			}
		case "ipc":
			host.IpcMode = container.IpcMode(value)
		case "cgroup":
			host.CgroupnsMode = container.CgroupnsMode(value)
		case "runtime":
			host.Runtime = value
		case "cgroup_parent":
			host.CgroupParent = value
		case "oom_kill_disable":
			host.OomKillDisable = new(value == "true")
		case "oom_score_adj":
			n, err := strconv.Atoi(value)
			if err != nil {
				return refused("service %s: oom_score_adj %q", svc.Name, value)
			}
			host.OomScoreAdj = n
		case "gpus":
			host.DeviceRequests = []container.DeviceRequest{{Count: gpus(value), Capabilities: [][]string{{"gpu"}}}}
		default:
			return refused("service %s: right %q", svc.Name, key)
		}
	}
	return nil
}

// gpus is a number in the engine's terms, where -1 is all.
func gpus(value string) int {
	n, err := strconv.Atoi(value)
	if err != nil {
		return -1
	}
	return n
}
