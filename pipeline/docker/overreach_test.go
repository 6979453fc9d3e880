package docker

import (
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"github.com/swingbridge/swingbridge/pipeline"
)

// overreach says what a container would have of the host that is not among the
// allowed words. It is written from the engine's own fields and knows nothing of
// how they came to be: what it knows is taken away, and whatever is left, also
// what is invented later, is too much.
func overreach(s spec, o pipeline.ContainerOrder) []string {
	w := witness{allowed: o.Allowed}
	host, config := *s.Host, *s.Config
	w.rights(&host)
	w.inside(&host)
	w.spaces(&host)
	w.mounts(&host)
	w.volumes(o)
	w.log(&host)
	w.labels(o, config.Labels)
	for _, l := range append([]link{s.First}, s.Rest...) {
		w.network(l.Network)
	}
	host.Init = nil
	host.Memory, host.MemoryReservation, host.MemorySwap, host.MemorySwappiness, host.PidsLimit, host.Ulimits = 0, 0, 0, nil, nil, nil
	host.NanoCPUs, host.CPUShares, host.CPUQuota, host.CPUPeriod, host.CpusetCpus, host.BlkioWeight = 0, 0, 0, 0, "", 0
	host.ExtraHosts, host.DNS, host.DNSSearch, host.DNSOptions = nil, nil, nil, nil
	host.ShmSize, host.ReadonlyRootfs, host.CapDrop, host.GroupAdd = 0, false, nil, nil
	if want := (container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "no"}}); !reflect.DeepEqual(want, host) {
		w.say("settings of the host beyond the known: %+v", host)
	}
	known := container.Config{
		Hostname: config.Hostname, Domainname: config.Domainname, User: config.User, ExposedPorts: config.ExposedPorts, Tty: config.Tty,
		OpenStdin: config.OpenStdin, Env: config.Env, Cmd: config.Cmd, Healthcheck: config.Healthcheck, Image: config.Image,
		WorkingDir: config.WorkingDir, Entrypoint: config.Entrypoint, Labels: config.Labels, StopSignal: config.StopSignal, StopTimeout: config.StopTimeout,
	}
	if !reflect.DeepEqual(known, config) {
		w.say("settings of the container beyond the known: %+v", config)
	}
	return w.said
}

type witness struct {
	allowed []string
	said    []string
}

func (w *witness) say(format string, args ...any) {
	w.said = append(w.said, fmt.Sprintf(format, args...))
}

// want takes any of the words for an excuse.
func (w *witness) want(words ...string) {
	if !slices.ContainsFunc(words, func(word string) bool { return slices.Contains(w.allowed, word) }) {
		w.say("has %s", words[0])
	}
}

func (w *witness) rights(h *container.HostConfig) {
	if h.Privileged {
		w.want("privileged")
	}
	for _, c := range h.CapAdd {
		w.want("cap:" + c)
	}
	for _, r := range h.DeviceCgroupRules {
		w.want("device-rule:" + r)
	}
	for _, d := range h.Devices {
		excuses := []string{"device:" + d.PathOnHost}
		for _, access := range []string{"rw", "rm", "wm", "r", "w", "m"} {
			if strings.Trim(d.CgroupPermissions, access) == "" {
				excuses = append(excuses, "device:"+d.PathOnHost+":"+access)
			}
		}
		w.want(excuses...)
	}
	for _, d := range h.DeviceRequests {
		if d.DeviceIDs != nil || d.Options != nil || d.Driver != "" {
			w.say("devices %+v", d)
		}
		w.want(strings.Replace(fmt.Sprintf("gpus:%d", d.Count), "-1", "all", 1))
	}
	for port, bindings := range h.PortBindings {
		for _, b := range bindings {
			w.port(port.Proto(), b.HostIP, b.HostPort)
		}
	}
	if h.OomKillDisable != nil && *h.OomKillDisable {
		w.want("oom-kill-disable")
	}
	if h.OomScoreAdj < 0 {
		w.want(fmt.Sprintf("oom-score-adj:%d", h.OomScoreAdj))
	}
	if h.Runtime != "" {
		w.want("runtime:" + h.Runtime)
	}
	if h.CgroupParent != "" {
		w.want("cgroup-parent:" + h.CgroupParent)
	}
	h.Privileged, h.CapAdd, h.DeviceCgroupRules, h.Devices, h.DeviceRequests, h.PortBindings = false, nil, nil, nil, nil, nil
	h.OomKillDisable, h.OomScoreAdj, h.Runtime, h.CgroupParent = nil, 0, "", ""
}

func (w *witness) port(proto, address, port string) {
	if port == "" {
		port = "0"
	}
	if proto != "tcp" {
		port += "/" + proto
	}
	at := address
	if strings.Contains(at, ":") {
		at = "[" + at + "]"
	}
	excuses := []string{"port:" + port}
	if address != "" {
		excuses = append(excuses, "port:"+at+":"+port)
	}
	w.want(excuses...)
}

func (w *witness) spaces(h *container.HostConfig) {
	if h.NetworkMode == "host" {
		w.want("host:network")
	} else {
		w.network(string(h.NetworkMode))
	}
	for word, mode := range map[string]string{
		"host:pid": string(h.PidMode), "host:ipc": string(h.IpcMode), "host:uts": string(h.UTSMode),
		"host:user": string(h.UsernsMode), "host:cgroup": string(h.CgroupnsMode),
	} {
		switch {
		case mode == "host":
			w.want(word)
		case mode != "" && mode != "private" && mode != "none":
			w.say("namespace %q", mode)
		}
	}
	if !slices.Contains(h.SecurityOpt, "no-new-privileges:true") {
		w.want("security-opt:no-new-privileges=false")
	}
	for _, option := range h.SecurityOpt {
		if option != "no-new-privileges:true" {
			w.want("security-opt:" + option)
		}
	}
	if h.MaskedPaths != nil || h.ReadonlyPaths != nil {
		w.want("security-opt:systempaths=unconfined")
	}
	h.NetworkMode, h.PidMode, h.IpcMode, h.UTSMode, h.UsernsMode, h.CgroupnsMode = "", "", "", "", "", ""
	h.SecurityOpt, h.MaskedPaths, h.ReadonlyPaths = nil, nil, nil
}

func (w *witness) network(name string) {
	ours := strings.HasPrefix(name, "swingbridge-") && strings.HasSuffix(name, "-abc123")
	if name != "" && name != "none" && !ours {
		if slices.Contains([]string{"host", "bridge", "default"}, name) || strings.ContainsAny(name, ":/ ") {
			w.say("network %q", name)
		}
		w.want("network:" + name)
	}
}

func (w *witness) mounts(h *container.HostConfig) {
	for _, m := range h.Mounts {
		switch {
		case m.Type == mount.TypeVolume && (m.Source == "" || isName(m.Source)) && m.BindOptions == nil && m.VolumeOptions.DriverConfig == nil:
		case m.Type == mount.TypeBind && m.VolumeOptions == nil:
			shared := m.BindOptions != nil && strings.Contains(string(m.BindOptions.Propagation), "shared")
			w.bind(m.Source, m.ReadOnly && !shared)
		default:
			w.say("mount %+v", m)
		}
	}
	for _, text := range h.Binds {
		if parts := strings.Split(text, ":"); len(parts) == 3 {
			w.bind(parts[0], false) // with a label for SELinux
		} else {
			w.say("bind %q", text)
		}
	}
	h.Mounts, h.Binds = nil, nil
}

func (w *witness) bind(source string, readOnly bool) {
	switch {
	case ownPath(source):
	case path.Clean(source) != source || !path.IsAbs(source):
		w.say("bind of %q", source)
	case readOnly:
		w.want("bind:"+source, "bind:"+source+":ro")
	default:
		w.want("bind:" + source)
	}
}

// volumes looks at those that would be made for the mounts.
func (w *witness) volumes(o pipeline.ContainerOrder) {
	for _, m := range o.Service.Mounts {
		for _, v := range o.Volumes {
			if m.Volume == "" || v.Name != m.Volume {
				continue
			}
			device, options := v.Options["device"], strings.Split(v.Options["o"], ",")
			switch kind := v.Options["type"]; {
			case v.External != "":
				w.want("volume:" + v.External)
			case v.Driver != "" && v.Driver != "local":
				w.want("volume-driver:" + v.Driver)
			case kind == "tmpfs" && device == "tmpfs" && !slices.Contains(options, "bind"), len(v.Options) == 0:
			case kind == "nfs" || kind == "nfs4" || kind == "cifs":
				w.remote("mount:"+kind+":", device, options)
			default:
				w.want("bind:" + path.Clean(device))
			}
		}
	}
}

// remote looks at a volume that another machine keeps: the options must not name
// another one than the word does.
func (w *witness) remote(word, device string, options []string) {
	for _, option := range options {
		name, value, _ := strings.Cut(strings.ToLower(option), "=")
		switch name {
		case "addr", "ip":
			word += value + ","
		case "", "rw", "ro", "soft", "hard", "nolock", "vers", "nfsvers", "username", "password", "uid", "gid":
		default:
			w.say("%s with the option %q, of which nothing is known", word, option)
		}
	}
	w.want(word + device)
}

// log says where the log goes. The engine carries it out, as root of the host.
func (w *witness) log(h *container.HostConfig) {
	l := h.LogConfig
	h.LogConfig = container.LogConfig{}
	if slices.Contains([]string{"json-file", "local", "none", "journald"}, l.Type) {
		return
	}
	var to []string
	for _, key := range slices.Sorted(maps.Keys(l.Config)) {
		value := l.Config[key]
		switch {
		case strings.HasPrefix(value, "/"), strings.Contains(key, "credentials") && value != "":
			w.say("the log driver %s has a file of the host: %s=%s", l.Type, key, value)
		case value != "" && (strings.Contains(value, "://") || strings.HasSuffix(key, "-address")):
			to = append(to, value)
		}
	}
	w.want(strings.TrimSuffix("log:"+l.Type+":"+strings.Join(to, ","), ":"))
}

// inside looks at what is the container's own only with certain values.
func (w *witness) inside(h *container.HostConfig) {
	for target, options := range h.Tmpfs {
		for _, option := range strings.Split(options, ",") {
			name, _, _ := strings.Cut(strings.TrimSpace(option), "=")
			if strings.Contains(name, "bind") || strings.Contains(name, "shared") || strings.Contains(name, "slave") ||
				slices.Contains([]string{"move", "remount", "dev", "suid"}, name) || !path.IsAbs(target) {
				w.say("tmpfs %s:%s", target, options)
			}
		}
	}
	for key := range h.Sysctls {
		network := strings.HasPrefix(key, "net.") && h.NetworkMode != "host"
		ipc := (strings.HasPrefix(key, "fs.mqueue.") || strings.HasPrefix(key, "kernel.shm") || strings.HasPrefix(key, "kernel.msg") || key == "kernel.sem") && h.IpcMode != "host"
		if !network && !ipc || strings.ContainsAny(key, "/\\ ") {
			w.say("sysctl %s", key)
		}
	}
	h.Tmpfs, h.Sysctls = nil, nil
}

// labels looks for those by which a container would be taken for another one.
func (w *witness) labels(o pipeline.ContainerOrder, labels map[string]string) {
	for label := range labels {
		if strings.HasPrefix(strings.ToLower(label), "dev.swingbridge.") && !slices.Contains(ourLabels(), label) {
			w.say("label %s", label)
		}
	}
	if labels["dev.swingbridge.app_id"] != o.Owner.AppID || labels["dev.swingbridge.installation"] != "abc123" || labels["dev.swingbridge.service"] != o.Service.Name {
		w.say("the labels of another: %v", labels)
	}
}
