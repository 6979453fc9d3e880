package stack

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// need says that a right is missing, unless the operator allowed it.
func (l *loading) need(at place, service, key string, p Permission) {
	if why := p.hopeless(); why != "" {
		l.found.add(at, service, key, "%s; %s", why, undo)
		return
	}
	if len(Missing(l.in.Allowed, []Permission{p})) == 0 {
		return
	}
	shown, filled := Permission(l.maskWord(string(p))), ""
	if shown != p {
		filled = ", the values filled in"
	}
	l.found.lack(at, service, key, shown, "the app is not allowed "+string(shown)+": allow it with "+
		"`"+Allow(l.in.App, []Permission{shown})+"`"+filled+", or "+undo)
}

// lack adds a problem that a permission would solve.
func (f *findings) lack(at place, service, key string, missing Permission, message string) {
	if f.garbled[at] && at.line > 0 {
		return
	}
	p := Problem{File: at.file, Line: at.line, Service: service, Key: key, Message: message, Permission: missing}
	if !slices.Contains(f.problems, p) {
		f.problems = append(f.problems, p)
	}
}

// maskWord keeps the values of variables out of a word that people see, if they
// are as long as those that logs mask.
func (l *loading) maskWord(word string) string {
	return Veiled(word, l.in.Env)
}

// Veiled is a word with the names of variables in place of their values, if
// these are as long as those that logs mask.
func Veiled(word string, env map[string]string) string {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if value := env[name]; len(value) >= 6 {
			word = strings.ReplaceAll(word, value, "${"+name+"}")
		}
	}
	return word
}

// need says that the service lacks a right, unless the operator allowed it. The
// key is dotted; is finds the entry of a list that asks for it, nil: there is none.
func (s *service) need(key string, p Permission, is func(text string, n *yaml.Node) bool) {
	s.l.need(s.spot(key, is), s.name, key, p)
}

// spot is the place of an entry of a list, else that of the list.
func (s *service) spot(key string, is func(text string, n *yaml.Node) bool) place {
	if is != nil {
		for _, it := range slices.Backward(s.view.items(key)) {
			if text, _, _ := s.l.vars.expand(it.node.Value); is(text, it.node) {
				return it.place
			}
		}
	}
	return s.view.at(key)
}

// refuse says that an entry of a list cannot be honored.
func (s *service) refuse(key, entry, message string) {
	at := s.spot(key, func(text string, _ *yaml.Node) bool { return text == entry })
	s.l.found.add(at, s.name, key, "%s; %s", message, undo)
}

// rights are what the service asks for of the host, but for binds. What the
// app is not allowed is said.
func (s *service) rights() Rights {
	out := Rights{Privileged: s.from.Privileged, Other: map[string]string{}}
	if out.Privileged {
		s.need("privileged", "privileged", nil)
	}
	out.CapAdd = s.words("cap_add", "cap", s.from.CapAdd)
	out.DeviceRules = s.words("device_cgroup_rules", "device-rule", s.from.DeviceCgroupRules)
	out.Devices = s.devices()
	out.Security = s.security()
	s.namespaces(&out)
	s.others(&out)
	out.Ports = s.ports()
	if len(out.Other) == 0 {
		out.Other = nil
	}
	return out
}

// words reads the entries of a list that are permissions but for their kind.
func (s *service) words(key, kind string, entries []string) []string {
	var out []string
	for _, entry := range entries {
		p, err := ParsePermission(kind + ":" + entry)
		if err != nil {
			s.refuse(key, entry, "it cannot be read: write it like "+permissionKinds()[kind].example[len(kind)+1:])
			continue
		}
		s.need(key, p, func(text string, _ *yaml.Node) bool { return text == entry })
		if value := string(p)[len(kind)+1:]; !slices.Contains(out, value) {
			out = append(out, value)
		}
	}
	return out
}

// devices are the host's, each as host:container:access.
func (s *service) devices() []string {
	var out []string
	for _, d := range s.from.Devices {
		entry := func(text string, n *yaml.Node) bool {
			if src, ok := lookup(n, "source"); ok {
				text, _, _ = s.l.vars.expand(src.value.Value)
			}
			return text == d.Source || strings.HasPrefix(text, d.Source+":")
		}
		target, access := d.Target, d.Permissions
		if target == "" {
			target = d.Source
		}
		if access == "" {
			access = allAccess
		}
		if !path.IsAbs(d.Source) || !path.IsAbs(target) || strings.Contains(d.Source+target, ":") || strings.Trim(access, allAccess) != "" {
			s.l.found.add(s.spot("devices", entry), s.name, "devices", "only devices by their path are handled, as /dev/ttyUSB0:/dev/ttyUSB0:rwm; %s", undo)
			continue
		}
		device := path.Clean(d.Source) + ":" + path.Clean(target) + ":" + access
		s.need("devices", devicePermission(device), entry)
		out = append(out, device)
	}
	return out
}

// security reads security_opt. What narrows the container is always set and
// needs no permission.
func (s *service) security() []string {
	var out []string
	for _, entry := range s.from.SecurityOpt {
		option, _ := normalSecurity(entry)
		name, value, _ := strings.Cut(option, "=")
		switch {
		case name == noNewPrivileges && (value == "" || value == "true"):
			continue
		case name == noNewPrivileges && value == "false", name == "apparmor" && value != "", name == "label" && value != "":
		case (name == "seccomp" || name == "systempaths") && value == "unconfined":
		case name == "seccomp":
			s.refuse("security_opt", entry, "a profile is a file of the machine that calls the engine: only unconfined is handled")
			continue
		default:
			s.refuse("security_opt", entry, "only apparmor, label, no-new-privileges, seccomp and systempaths are handled")
			continue
		}
		s.need("security_opt", permission("security-opt", option), func(text string, _ *yaml.Node) bool { return text == entry })
		out = append(out, option)
	}
	return out
}

const noNewPrivileges = "no-new-privileges"

// namespaces reads which namespaces of the host the service shares.
func (s *service) namespaces(out *Rights) {
	for _, n := range []struct{ key, space, value string }{
		{"network_mode", "network", s.from.NetworkMode},
		{"pid", "pid", s.from.Pid},
		{"ipc", "ipc", s.from.Ipc},
		{"uts", "uts", s.from.Uts},
		{"userns_mode", "user", s.from.UserNSMode},
		{"cgroup", "cgroup", s.from.Cgroup},
	} {
		narrow := otherPermission(n.space, n.value) == ""
		switch {
		case n.value == "":
		case n.key == "network_mode" && s.l.named(s.name) && (n.value == "host" || narrow):
			s.add("visitors reach the service on a network of Swingbridge, of which it would not be a part; %s", []string{n.key}, undo)
		case n.value == "host":
			out.Host = append(out.Host, n.space)
			s.need(n.key, permission("host", n.space), nil)
		case narrow:
			out.Other[n.space] = n.value
		case strings.HasPrefix(n.value, "service:") || strings.HasPrefix(n.value, "container:"):
			s.add("a namespace of another container is refused: it is replaced when its own service is; %s", []string{n.key}, undo)
		default:
			s.add("%s; %s", []string{n.key}, notHandled, undo)
		}
	}
	if s.from.NetworkMode != "" && len(s.from.Networks) > 0 {
		s.add("is there beside networks, and only one of them can be; %s", []string{"network_mode"}, undo)
	}
}

// others are the rights that have a key of their own.
func (s *service) others(out *Rights) {
	f := s.from
	if f.OomScoreAdj != 0 {
		out.Other["oom_score_adj"] = strconv.FormatInt(f.OomScoreAdj, 10)
	}
	if f.OomKillDisable {
		out.Other["oom_kill_disable"] = "true"
	}
	if f.Runtime != "" {
		out.Other["runtime"] = f.Runtime
	}
	if f.CgroupParent != "" {
		out.Other["cgroup_parent"] = f.CgroupParent
	}
	for _, key := range slices.Sorted(maps.Keys(out.Other)) {
		if p := otherPermission(key, out.Other[key]); p != "" {
			s.need(key, p, nil)
		}
	}
	s.gpus(out)
}

// socket is the engine's, where clients look for it; false if the service does
// not ask for it, or mounts something there itself.
func (s *service) socket(mounts []Mount) (Mount, bool) {
	there := slices.ContainsFunc(mounts, func(m Mount) bool { return m.Target == engineSocket })
	if !s.from.UseAPISocket || there {
		return Mount{}, false
	}
	m := Mount{Bind: &Bind{Host: engineSocket}, Target: engineSocket}
	s.need("use_api_socket", bindPermission(m), nil)
	return m, true
}

const engineSocket = "/var/run/docker.sock"
