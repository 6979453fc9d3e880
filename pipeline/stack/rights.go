package stack

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Permissions are what the stack needs of the host, sorted and each once.
func (s Stack) Permissions() []Permission {
	var out []Permission
	for _, svc := range s.Services {
		out = append(out, svc.Permissions()...)
	}
	for _, v := range s.Volumes {
		out = append(out, v.Permissions()...)
	}
	for _, n := range s.Networks {
		out = append(out, n.Permissions()...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Permissions are what the service needs of the host, besides what its volumes
// and networks need. One that begins with "!" cannot be allowed: what it stands
// for is not written in the one way, or has no word.
func (s Service) Permissions() []Permission {
	r := s.Rights
	var out []Permission
	add := func(kind string, values ...string) {
		for _, value := range values {
			out = append(out, permission(kind, value))
		}
	}
	if r.Privileged {
		out = append(out, "privileged")
	}
	add("cap", r.CapAdd...)
	add("device-rule", r.DeviceRules...)
	add("host", r.Host...)
	add("security-opt", r.Security...)
	for _, device := range r.Devices {
		out = append(out, devicePermission(device))
	}
	for _, p := range r.Ports {
		out = append(out, p.permission())
	}
	for _, key := range slices.Sorted(maps.Keys(r.Other)) {
		if p := otherPermission(key, r.Other[key]); p != "" {
			out = append(out, p)
		}
	}
	for _, m := range s.Mounts {
		if m.Bind != nil && m.Bind.Host != "" {
			out = append(out, bindPermission(m))
		}
	}
	if p := s.Log.permission(); p != "" {
		out = append(out, p)
	}
	return out
}

// permission is the word for a right whose value is written in the one way.
func permission(kind, value string) Permission {
	word := kind + ":" + value
	if p, err := ParsePermission(word); err != nil || string(p) != word {
		return Permission("!" + word)
	}
	return Permission(word)
}

// hopeless says why nobody can allow it; "" if somebody can.
func (p Permission) hopeless() string {
	switch word := string(p); {
	case strings.HasPrefix(word, "!volume:"):
		return "such a volume is not made here: make it yourself and name it external"
	case strings.HasPrefix(word, "!log:"):
		return "the driver, its address or an option that names a file cannot be allowed"
	case strings.HasPrefix(word, "!network:"):
		return "a network of the engine's own, or of another app, cannot be allowed: name one that you made"
	case strings.HasPrefix(word, "!"):
		return "it would give the container a right over the host that cannot be allowed"
	}
	return ""
}

// devicePermission is that of a device as Rights has it.
func devicePermission(device string) Permission {
	parts := strings.Split(device, ":")
	if len(parts) != 3 || strings.Trim(parts[2], allAccess) != "" || parts[2] == "" {
		return Permission("!device:" + device)
	}
	word, ok := normalDevice(parts[0] + ":" + parts[2])
	if !ok || path.Clean(parts[0]) != parts[0] {
		return Permission("!device:" + device)
	}
	return permission("device", word)
}

// permission is the word for the port of the host.
func (p Port) permission() Permission {
	word := strconv.Itoa(p.Host) + "/" + p.Protocol
	switch {
	case strings.Contains(p.Address, ":"):
		word = "[" + p.Address + "]:" + word
	case p.Address != "":
		word = p.Address + ":" + word
	}
	normal, ok := normalPort(word)
	if !ok || p.Protocol == "" {
		return Permission("!port:" + word)
	}
	return permission("port", normal)
}

// otherPermission is that of an entry of Rights.Other, "" for one that needs
// none.
func otherPermission(key, value string) Permission {
	switch key {
	case "network":
		if value == "none" {
			return ""
		}
	case "ipc":
		if value == "none" || value == "private" {
			return ""
		}
	case "cgroup":
		if value == "private" {
			return ""
		}
	case "oom_kill_disable":
		if value == "true" {
			return "oom-kill-disable"
		}
	case "oom_score_adj":
		if n, err := strconv.Atoi(value); err == nil && n >= 0 && n <= 1000 {
			return "" // it is ended the earlier
		}
		return permission("oom-score-adj", value)
	case "runtime", "gpus":
		return permission(key, value)
	case "cgroup_parent":
		return permission("cgroup-parent", value)
	}
	return Permission("!" + key + ":" + value)
}

// bindPermission is that of a mount of a path of the host. A label for SELinux,
// and a mount that is passed on to the host, change the path even where the
// container only reads.
func bindPermission(m Mount) Permission {
	host := m.Bind.Host
	if strings.HasSuffix(host, readOnly) {
		return Permission("!bind:" + host) // would be taken for the read-only one of another path
	}
	if m.ReadOnly && m.Bind.SELinux == "" && !strings.HasSuffix(m.Bind.Propagation, "shared") {
		host += readOnly
	}
	return permission("bind", host)
}

// Permissions are what the volume needs. One that is not the app's own has the
// data of others, or is any path of the host. As for options, the local driver
// passes them to mount(2), so they can make a volume of any path or disk.
func (v Volume) Permissions() []Permission {
	switch {
	case v.External != "":
		return []Permission{permission("volume", v.External)}
	case v.Driver != "" && v.Driver != "local":
		return []Permission{permission("volume-driver", v.Driver)}
	case len(v.Options) == 0:
		return nil
	}
	kind, device := v.Options["type"], v.Options["device"]
	refused := []Permission{Permission("!volume:" + v.Name)}
	for key := range v.Options {
		if key != "type" && key != "device" && key != "o" {
			return refused
		}
	}
	options := strings.Split(v.Options["o"], ",")
	switch {
	case kind == "tmpfs" && device == "tmpfs" && onlyOptions(options, tmpfsVolumeOptions()):
		return nil
	case slices.Contains([]string{"", "none", "bind"}, kind) && onlyOptions(options, []string{"bind", "rbind", "ro", "rw"}):
		isBind := slices.Contains(options, "bind") || slices.Contains(options, "rbind")
		if !isBind || strings.HasSuffix(path.Clean(device), readOnly) {
			return refused
		}
		return []Permission{permission("bind", path.Clean(device))}
	case slices.Contains(remoteTypes(), kind) && !strings.Contains(device, ","):
		return remotePermission(kind, device, options, refused)
	}
	return refused
}

// remotePermission is that of a volume that another machine keeps.
func remotePermission(kind, device string, options []string, refused []Permission) []Permission {
	address := ""
	for _, option := range options {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(option)), "=")
		switch {
		case slices.Contains(elsewhereOptions(), name):
			return refused
		case name != "addr" && name != "ip":
		case address != "":
			return refused
		default:
			address = value + ","
		}
	}
	return []Permission{permission("mount", kind+":"+address+device)}
}

// elsewhereOptions are mount options with which the device, or the machine that
// keeps it, would not be the one that the permission names.
func elsewhereOptions() []string {
	return []string{"bind", "rbind", "move", "remount", "source", "unc", "target", "path", "prefixpath", "mountaddr", "mounthost"}
}

func tmpfsVolumeOptions() []string {
	return []string{"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "noexec", "nosuid", "nodev", "noatime", "nodiratime", "relatime", "ro", "rw"}
}

// onlyOptions reports whether all of the mount options are among the names.
func onlyOptions(options, names []string) bool {
	for _, option := range options {
		name, _, _ := strings.Cut(strings.TrimSpace(option), "=")
		if name != "" && !slices.Contains(names, name) {
			return false
		}
	}
	return true
}

// Permissions are what the network needs: one that is not the app's own is
// where containers of others are.
func (n Network) Permissions() []Permission {
	switch {
	case n.External == "":
		return nil
	case slices.Contains([]string{"host", "none", "bridge", "default"}, n.External), strings.HasPrefix(n.External, "swingbridge-"):
		return []Permission{Permission("!network:" + n.External)} // the engine's own, "host" is no network at all; or another app's
	}
	return []Permission{permission("network", n.External)}
}
