package stack

import (
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Permission is one right over the host that an operator may give an app, in
// the words of `swingbridge app allow`: "cap:NET_ADMIN". ParsePermission makes
// the one way to write it out of the others.
type Permission string

// permissionKind is what stands before the colon of a permission.
type permissionKind struct {
	example string // how it is written, for people
	// normal is the one way to write what follows the colon; false: it is wrong.
	// nil: nothing follows.
	normal func(rest string) (string, bool)
}

func permissionKinds() map[string]permissionKind {
	return map[string]permissionKind{
		"bind":             {"bind:/srv/files, or bind:/srv/files:ro", normalBind},
		"cap":              {"cap:NET_ADMIN", normalCapability},
		"cgroup-parent":    {"cgroup-parent:/batch", normalText},
		"device":           {"device:/dev/ttyUSB0, or device:/dev/ttyUSB0:r", normalDevice},
		"device-rule":      {"device-rule:c 188:* rmw", normalDeviceRule},
		"gpus":             {"gpus:all", normalGPUs},
		"host":             {"host:network (pid, ipc, uts, user or cgroup)", normalSpace},
		"log":              {"log:syslog:udp://10.0.0.9:514, or log:gcplogs", normalLog},
		"mount":            {"mount:nfs:10.0.0.2,:/export, or mount:cifs://server/share", normalMount},
		"network":          {"network:NAME of a network made outside of Swingbridge", normalName},
		"oom-kill-disable": {"oom-kill-disable", nil},
		"oom-score-adj":    {"oom-score-adj:-500", normalScore},
		"port":             {"port:5432, port:127.0.0.1:5432 or port:53/udp", normalPort},
		"privileged":       {"privileged", nil},
		"runtime":          {"runtime:nvidia", normalName},
		"security-opt":     {"security-opt:seccomp=unconfined", normalSecurity},
		"volume":           {"volume:NAME of a volume made outside of Swingbridge", normalName},
		"volume-driver":    {"volume-driver:rexray", normalText},
	}
}

// ParsePermission reads what an operator wrote. The error names what could be
// written.
func ParsePermission(word string) (Permission, error) {
	kinds := permissionKinds()
	name, rest, followed := strings.Cut(strings.TrimSpace(word), ":")
	kind, ok := kinds[name]
	if !ok {
		return "", fmt.Errorf("%q is no permission: there are %s", word, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
	}
	if kind.normal == nil {
		if followed {
			return "", fmt.Errorf("%q is no permission: nothing follows %s", word, name)
		}
		return Permission(name), nil
	}
	if strings.ContainsFunc(rest, unicode.IsControl) {
		return "", fmt.Errorf("%q is no permission: it has a control character", word)
	}
	rest, ok = kind.normal(rest)
	if !ok || !followed || rest != strings.TrimSpace(rest) { // else another word when it is read again
		return "", fmt.Errorf("%q is no permission: write it like %s", word, kind.example)
	}
	return Permission(name + ":" + rest), nil
}

// ParsePermissions reads several, sorted and each once. The error is that of
// the first one that is wrong.
func ParsePermissions(words []string) ([]Permission, error) {
	out := make([]Permission, 0, len(words))
	for _, word := range words {
		p, err := ParsePermission(word)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Missing are those of want that no one of allowed covers, in their order and
// each once. A word of allowed that is no permission covers nothing.
func Missing(allowed []string, want []Permission) []Permission {
	var have, out []Permission
	for _, word := range allowed {
		if p, err := ParsePermission(word); err == nil {
			have = append(have, p)
		}
	}
	for _, p := range want {
		covered := slices.ContainsFunc(have, func(h Permission) bool { return h.Covers(p) })
		if !covered && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// Covers reports whether who has p needs no q. It is the same right, or one
// with a part left out that would narrow it: a bind without :ro covers the
// read-only one, a device covers a part of its access, and a port without an
// address covers that port on each address. Nothing else is covered: no path
// by the one above it, no capability by ALL or by privileged.
func (p Permission) Covers(q Permission) bool {
	if p == q {
		return true
	}
	kind, have, _ := strings.Cut(string(p), ":")
	other, want, _ := strings.Cut(string(q), ":")
	if kind != other {
		return false
	}
	switch kind {
	case "bind":
		return have+readOnly == want
	case "device":
		device, access := cutAccess(have)
		wanted, some := cutAccess(want)
		return device == wanted && strings.Trim(some, access) == ""
	case "port":
		_, port := cutAddress(want)
		return have == port
	}
	return false
}

// Allow is the command with which an operator gives the app the permissions.
func Allow(app string, permissions []Permission) string {
	var b strings.Builder
	b.WriteString("swingbridge app allow " + app)
	for _, p := range permissions {
		b.WriteString(" " + quoted(string(p)))
	}
	return b.String()
}

// quoted is the word as a shell takes it.
func quoted(word string) string {
	plain := func(r rune) bool {
		return r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_./:=,@%+-", r))
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// readOnly ends the word of a bind that cannot be written to.
const readOnly = ":ro"

func normalBind(rest string) (string, bool) {
	file, ro := strings.CutSuffix(rest, readOnly)
	if !ro {
		file = strings.TrimSuffix(file, ":rw")
	}
	if !path.IsAbs(file) || strings.HasSuffix(path.Clean(file), readOnly) || strings.HasSuffix(path.Clean(file), ":rw") {
		return "", false
	}
	file = path.Clean(file)
	if ro {
		file += readOnly
	}
	return file, true
}

func normalCapability(rest string) (string, bool) {
	rest = strings.TrimPrefix(strings.ToUpper(rest), "CAP_")
	ok := rest != "" && !strings.ContainsFunc(rest, func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') && (r < '0' || r > '9') })
	return rest, ok
}

// allAccess is to read a device, to write to it and to make its node.
const allAccess = "rwm"

func normalDevice(rest string) (string, bool) {
	device, access := cutAccess(rest)
	if !path.IsAbs(device) || strings.Contains(device, ":") {
		return "", false
	}
	device = path.Clean(device)
	var sorted string
	for _, a := range allAccess {
		if strings.ContainsRune(access, a) {
			sorted += string(a)
		}
	}
	if sorted != allAccess {
		device += ":" + sorted
	}
	return device, true
}

// cutAccess parts a device from what may be done with it.
func cutAccess(text string) (device, access string) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 || i == len(text)-1 || strings.Trim(text[i+1:], allAccess) != "" {
		return text, allAccess
	}
	return text[:i], text[i+1:]
}

// normalDeviceRule reads a rule of the devices cgroup: "c 188:* rmw".
func normalDeviceRule(rest string) (string, bool) {
	parts := strings.Fields(rest)
	if len(parts) != 3 || len(parts[0]) != 1 || !strings.Contains("abc", parts[0]) || strings.Trim(parts[2], allAccess) != "" {
		return "", false
	}
	major, minor, ok := strings.Cut(parts[1], ":")
	for _, number := range []string{major, minor} {
		ok = ok && (number == "*" || number != "" && strings.Trim(number, "0123456789") == "")
	}
	return strings.Join(parts, " "), ok
}

func normalGPUs(rest string) (string, bool) {
	n, err := strconv.Atoi(rest)
	if err != nil {
		return rest, rest == "all"
	}
	return strconv.Itoa(n), n > 0
}

// hostNamespaces are those of the host that a container may share.
func hostNamespaces() []string { return []string{"network", "pid", "ipc", "uts", "user", "cgroup"} }

func normalSpace(rest string) (string, bool) { return rest, slices.Contains(hostNamespaces(), rest) }

func normalText(rest string) (string, bool) {
	return rest, rest != "" && rest == strings.TrimSpace(rest)
}

func normalName(rest string) (string, bool) { return rest, goodVolumeName(rest) }

func normalScore(rest string) (string, bool) {
	n, err := strconv.Atoi(rest)
	return strconv.Itoa(n), err == nil && n >= -1000 && n <= 1000
}

// normalPort reads [ADDRESS:]PORT[/PROTOCOL]; port 0 is one that the engine
// chooses, protocol tcp is left out.
func normalPort(rest string) (string, bool) {
	address, port := cutAddress(rest)
	port, protocol, given := strings.Cut(port, "/")
	n, err := strconv.Atoi(port)
	if err != nil || n < 0 || n > 65535 || given && !slices.Contains([]string{"tcp", "udp", "sctp"}, protocol) {
		return "", false
	}
	out := strconv.Itoa(n)
	if given && protocol != "tcp" {
		out += "/" + protocol
	}
	if address == "" {
		return out, !strings.Contains(rest, ":")
	}
	at, err := netip.ParseAddr(strings.Trim(address, "[]"))
	if err != nil {
		return "", false
	}
	if at.Is6() {
		return "[" + at.String() + "]:" + out, true
	}
	return at.String() + ":" + out, true
}

func cutAddress(text string) (address, port string) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return "", text
	}
	return text[:i], text[i+1:]
}

// normalSecurity reads one security_opt: they are written with = and with a
// colon.
func normalSecurity(rest string) (string, bool) {
	if i := strings.IndexAny(rest, "=:"); i > 0 {
		return rest[:i] + "=" + rest[i+1:], rest[i+1:] != ""
	}
	return rest, rest != ""
}

// normalMount reads TYPE:[ADDRESS,]DEVICE of a volume that another machine keeps.
func normalMount(rest string) (string, bool) {
	kind, device, _ := strings.Cut(rest, ":")
	return rest, slices.Contains(remoteTypes(), kind) && device != "" && !strings.HasSuffix(device, ",") && strings.Count(device, ",") < 2
}

// remoteTypes are the file systems that a volume may have from other machines.
func remoteTypes() []string { return []string{"nfs", "nfs4", "cifs"} }
