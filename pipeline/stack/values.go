package stack

import (
	"fmt"
	"math"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

const (
	tenth  = 10 * time.Millisecond
	second = time.Second
	hour   = time.Hour
	day    = 24 * time.Hour

	minMemory = 6 << 20 // bytes; the engine takes no less
	maxMemory = 1 << 50

	maxReplicas = 20
	minToken    = 16 // characters
)

// The functions here look at one value with its variables filled in and answer
// a complaint, or nothing. A complaint does not repeat the value: a secret may
// have filled it in.

func duration(least, most time.Duration) func(string) string {
	return func(value string) string {
		d, err := parseDuration(value)
		switch {
		case err != nil:
			return "not a duration: write a number with its unit, like 30s, 500ms or 1m30s"
		case d < least || d > most:
			return fmt.Sprintf("must be between %s and %s", short(least), short(most))
		}
		return ""
	}
}

// short is a duration without the parts that are zero.
func short(d time.Duration) string {
	text := d.String()
	if d >= time.Minute {
		text = strings.TrimSuffix(text, "0s")
	}
	if d >= hour && strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// parseDuration reads a duration as Compose does.
func parseDuration(value string) (time.Duration, error) {
	var d types.Duration
	err := d.DecodeMapstructure(value)
	return time.Duration(d), err
}

func bytesOf(least int64) func(string) string {
	return func(value string) string {
		var n types.UnitBytes
		err := n.DecodeMapstructure(value)
		switch {
		case err != nil:
			return "not a size: write a number with its unit, like 512m or 2g"
		case int64(n) != 0 && int64(n) < least:
			return fmt.Sprintf("%d bytes are the least: write a number with its unit, like 512m", least)
		case int64(n) > maxMemory:
			return "more than any host has"
		}
		return ""
	}
}

func cpus(value string) string {
	f, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(f) || f < 0 || f > 4096 {
		return "must be a number of processors, like 0.5 or 2"
	}
	return ""
}

func pids(value string) string {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < -1 || n > math.MaxInt32 {
		return "must be a number of processes, -1 or 0 for no limit"
	}
	return ""
}

func whole(least, most int) func(string) string {
	return func(value string) string {
		if n, err := strconv.Atoi(value); err != nil || n < least || n > most {
			return fmt.Sprintf("must be a whole number between %d and %d", least, most)
		}
		return ""
	}
}

func absolute(value string) string {
	if value != "" && !path.IsAbs(value) {
		return "must be an absolute path"
	}
	return ""
}

func signal(value string) string {
	if !regexp.MustCompile(`^(SIG)?[A-Z][A-Z0-9+-]{1,15}$|^[0-9]{1,2}$`).MatchString(value) {
		return "must be a signal, like SIGTERM or 15"
	}
	return ""
}

func role(value string) string {
	switch Role(value) {
	case Web, Worker, Keep, Task:
		return ""
	}
	return "must be web, worker, keep or task"
}

// before and after are when a worker is handed over, seen from the cutover.
const (
	before = "before"
	after  = "after"
)

func order(value string) string {
	if value != before && value != after {
		return "must be before or after, seen from the cutover"
	}
	return ""
}

func truth(value string) string {
	if value != "true" && value != "false" {
		return "must be true or false"
	}
	return ""
}

func anyText(string) string { return "" }

func probePath(value string) string {
	if value == "" {
		return ""
	}
	u, err := url.ParseRequestURI(value)
	if err != nil || u.Host != "" || !strings.HasPrefix(value, "/") || strings.ContainsAny(value, " #") {
		return "must begin with / and be a path that a browser could ask for"
	}
	return ""
}

func hostName(value string) string {
	label := `[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?`
	if len(value) > 253 || !regexp.MustCompile(`^`+label+`(\.`+label+`)*$`).MatchString(value) {
		return "must be a host name, without a port"
	}
	return ""
}

func statuses(value string) string {
	if _, _, ok := parseStatuses(value); !ok {
		return "must be a status like 200 or a range like 200-399"
	}
	return ""
}

func parseStatuses(value string) (least, most int, ok bool) {
	from, to, ranged := strings.Cut(value, "-")
	least, err := strconv.Atoi(strings.TrimSpace(from))
	most = least
	if ranged && err == nil {
		most, err = strconv.Atoi(strings.TrimSpace(to))
	}
	return least, most, err == nil && least >= 100 && least <= most && most <= 599
}

// share is a part of all requests, as 5% or 0.05.
func share(value string) string {
	if n, ok := parseShare(value); !ok || n <= 0 || n > 1 {
		return "must be a share of the requests above 0, like 5% or 0.05"
	}
	return ""
}

func parseShare(value string) (float64, bool) {
	number, percent := strings.CutSuffix(value, "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		n /= 100
	}
	return n, err == nil && !math.IsNaN(n)
}

// times is a factor, or off.
func times(value string) string {
	n, err := strconv.ParseFloat(value, 64)
	if value != off && (err != nil || math.IsNaN(n) || n < 1 || n > 1000) {
		return "must be a number between 1 and 1000, like 4 for four times as slow, or off"
	}
	return ""
}

// on and off are words here, not YAML's truth values; those come as the others.
const (
	on  = "on"
	off = "off"
)

func onOff(value string) string {
	if value != on && value != off {
		return "must be on or off"
	}
	return ""
}

func hsts(value string) string {
	if value == on || value == off {
		return ""
	}
	if duration(second, 10*365*day)(value) != "" {
		return "must be on, off, or a duration of at least a second, like 365d"
	}
	return ""
}

func token(value string) string {
	if len(value) < minToken || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return fmt.Sprintf("must be at least %d characters without spaces: set one in the app's environment and name it here, as ${NAME}", minToken)
	}
	return ""
}
