package stack

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/compose-spec/compose-go/v2/types"
)

// Complaints about single values of a container's settings, as in values.go.

// optional lets a value be empty, which asks for nothing: files fill in what
// some machines need by variables that are empty on all others.
func optional(complain func(string) string) func(string) string {
	return func(value string) string {
		if value == "" {
			return ""
		}
		return complain(value)
	}
}

func containerName(value string) string {
	if !regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$`).MatchString(value) {
		return "must be letters, digits, dots, dashes and underscores, at most 63"
	}
	return ""
}

func processors(value string) string {
	if !regexp.MustCompile(`^[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*$`).MatchString(value) {
		return "must be numbers of processors and ranges of them, like 0-2,5"
	}
	return ""
}

func platform(value string) string {
	if !regexp.MustCompile(`^linux/[a-z0-9_]+(/v[0-9.]+)?$`).MatchString(value) {
		return "must be a platform of Linux with its architecture, like linux/amd64 or linux/arm64"
	}
	return ""
}

func pullPolicy(value string) string {
	switch value {
	case types.PullPolicyAlways, types.PullPolicyMissing, types.PullPolicyNever, types.PullPolicyIfNotPresent, types.PullPolicyBuild:
		return ""
	}
	return "must be always, missing, never or build: images are looked for at each deployment, and not by the clock"
}

func restart(value string) string {
	if value == "" {
		return ""
	}
	name, count, counted := strings.Cut(value, ":")
	n, err := strconv.Atoi(count)
	switch {
	case counted && (name != types.RestartPolicyOnFailure || err != nil || n < 0 || n > 1_000_000),
		name != types.RestartPolicyNo && name != types.RestartPolicyAlways &&
			name != types.RestartPolicyOnFailure && name != types.RestartPolicyUnlessStopped:
		return `must be "no", always, unless-stopped, on-failure or on-failure:3`
	}
	return ""
}

func restartCondition(value string) string {
	switch value {
	case "none", "any", types.RestartPolicyOnFailure, types.RestartPolicyAlways, types.RestartPolicyUnlessStopped:
		return ""
	}
	return "must be none, on-failure or any"
}

func deployMode(value string) string {
	if value != "replicated" && value != deployGlobal {
		return "must be replicated or global: what ends by itself is a task, see x-swingbridge.role"
	}
	return ""
}

// deployGlobal is one container on each host.
const deployGlobal = "global"

func buildNetwork(value string) string {
	switch value {
	case "", "default", "none":
		return ""
	case "host":
		return hostSpaces
	}
	return "must be default or none: a build is on no network of the app"
}

// swap is a size of memory and swap together, or -1.
func swap(value string) string {
	if value == "-1" {
		return ""
	}
	if complaint := bytesOf(minMemory)(value); complaint != "" {
		return complaint + "; -1 for as much swap as there is"
	}
	return ""
}

// ownSysctl reports whether the kernel keeps the setting for each container.
func ownSysctl(key string) bool {
	switch key {
	case "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
		"kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced":
		return true
	}
	return regexp.MustCompile(`^(net|fs\.mqueue)\.[a-zA-Z0-9_.-]+$`).MatchString(key)
}

// isUlimit reports whether the engine knows the limit.
func isUlimit(name string) bool {
	switch name {
	case "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc",
		"rss", "rtprio", "rttime", "sigpending", "stack":
		return true
	}
	return false
}

func stageName(name string) bool {
	return len(name) < 64 && regexp.MustCompile(`^[a-z][a-z0-9]*([._-][a-z0-9]+)*$`).MatchString(name)
}

// plain complains about text that the engine would take apart, or refuse.
func plain(value string) string {
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > unicode.MaxASCII }) {
		return "must be a word without spaces"
	}
	return ""
}

// fileOwner reads the number of a user or a group; nothing is root's.
func fileOwner(value string) (int, string) {
	if value == "" {
		return 0, ""
	}
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Sprintf("uid and gid must be numbers between 0 and %d: names are known inside of the image only", 1<<31-1)
	}
	return int(n), ""
}
