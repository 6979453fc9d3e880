package docker

import (
	"errors"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// checkOrder refuses what must never reach the engine, whatever the packages
// above let through: it is the last line before a host's root.
func (e *Engine) checkOrder(o pipeline.ContainerOrder) error {
	name := o.Service.Name
	switch {
	case o.Owner.Service != name:
		return refused("service %q is ordered as %q", name, o.Owner.Service)
	case o.Fingerprint == "" && o.Owner.Color != pipeline.Blue && o.Owner.Color != pipeline.Green:
		return refused("color %q is none", o.Owner.Color)
	case o.Fingerprint == "" && !isKey(o.Owner.Deployment):
		return refused("deployment id %q", o.Owner.Deployment)
	case o.Fingerprint != "" && (!isKey(o.Fingerprint) || o.Owner.Color != "" || o.Owner.Deployment != ""):
		return refused("a kept container of deployment %q with fingerprint %q", o.Owner.Deployment, o.Fingerprint)
	case o.Purpose != "" && !isKey(o.Purpose):
		return refused("purpose %q", o.Purpose)
	case o.Replica < 0:
		return refused("replica %d", o.Replica)
	case o.Image == "":
		return refused("service %s has no image", name)
	case o.Edge.Network != "" && !e.ourNetwork(o.Edge.Network):
		return refused("network %q is not this installation's", o.Edge.Network)
	}
	for _, l := range o.Links {
		switch {
		case l.External && !isForeignNetwork(l.Network):
			return refused("network %q is not one that an operator made", l.Network)
		case !l.External && !e.ourNetwork(l.Network):
			return refused("network %q is not this installation's", l.Network)
		}
	}
	if err := checkOwner(o.Owner); err != nil {
		return err
	}
	for label := range o.Service.Labels {
		if strings.HasPrefix(strings.ToLower(label), labelPrefix) {
			return refused("service %s: labels that begin with %s are ours, not %q", name, labelPrefix, label)
		}
	}
	if err := checkAllowed(o); err != nil {
		return err
	}
	return checkHost(o.Service)
}

// checkHost looks at what becomes part of the container's HostConfig.
func checkHost(svc stack.Service) error {
	if err := errors.Join(checkLimits(svc.Name, svc.Limits), checkSettings(svc), checkFiles(svc)); err != nil {
		return err
	}
	for target, options := range svc.Tmpfs {
		if !strings.HasPrefix(target, "/") {
			return refused("service %s: tmpfs %q is not an absolute path", svc.Name, target)
		}
		for _, option := range strings.Split(options, ",") {
			if !tmpfsOption(option) && option != "exec" {
				return refused("service %s: tmpfs option %q is not allowed", svc.Name, option)
			}
		}
	}
	return nil
}

// checkOwner refuses names that would not be safe as a part of a name, a path or
// a host name.
func checkOwner(o pipeline.Owner) error {
	switch {
	case !isApp(o.App):
		return refused("app name %q", o.App)
	case o.AppID == "":
		return refused("app %s has no id", o.App)
	case !isService(o.Service):
		return refused("service name %q", o.Service)
	}
	return nil
}

func findVolume(o pipeline.ContainerOrder, m stack.Mount) (stack.Volume, error) {
	for _, v := range o.Volumes {
		if v.Name == m.Volume {
			return v, checkVolume(v)
		}
	}
	return stack.Volume{}, refused("service %s mounts %q, which is not one of the stack's volumes", o.Service.Name, m.Volume)
}

// checkVolume refuses what no permission is for. What the options may mount is
// among those, see checkAllowed.
func checkVolume(v stack.Volume) error {
	if v.External != "" {
		return nil
	}
	for label := range v.Labels {
		if strings.HasPrefix(strings.ToLower(label), labelPrefix) {
			return refused("volume %s: labels that begin with %s are ours, not %q", v.Name, labelPrefix, label)
		}
	}
	return nil
}

// tmpfsOption leaves out, above all, what would make another kind of mount of it.
func tmpfsOption(option string) bool {
	name, _, _ := strings.Cut(option, "=")
	switch strings.TrimSpace(name) {
	case "", "size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "noexec", "nosuid", "nodev", "noatime", "nodiratime", "relatime", "ro", "rw":
		return true
	}
	return false
}
