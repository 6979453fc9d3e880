package stack

import (
	"maps"
	"slices"
	"strings"
)

// The engine itself, root on the host, carries out what a logging driver is
// told: it opens the socket or connects to the machine that an option names, and
// reads files. So only drivers that keep the log with the engine need no
// permission.

// permission is the word for where the log goes; "" if it stays with the engine.
func (l *Log) permission() Permission {
	if l == nil || slices.Contains([]string{"", "json-file", "local", "none", "journald"}, l.Driver) {
		return ""
	}
	for _, option := range logFiles() {
		if l.Options[option] != "" {
			return Permission("!log:" + l.Driver + ":" + option)
		}
	}
	word := l.Driver
	if addresses := l.addresses(); len(addresses) > 0 {
		word += ":" + strings.Join(addresses, ",")
	}
	return permission("log", word)
}

// addresses are where the driver sends the log, as the options of all drivers
// call it; one that is told none has a place of its own.
func (l *Log) addresses() []string {
	var out []string
	for _, option := range slices.Sorted(maps.Keys(l.Options)) {
		for _, ending := range []string{"-address", "-url", "-endpoint"} {
			if strings.HasSuffix(option, ending) && l.Options[option] != "" {
				out = append(out, l.Options[option])
			}
		}
	}
	return out
}

// logFiles are options that name files of the host, or where a driver gets its
// rights from.
func logFiles() []string {
	return []string{"syslog-tls-ca-cert", "syslog-tls-cert", "syslog-tls-key", "splunk-capath", "awslogs-credentials-endpoint"}
}

// normalLog reads DRIVER[:ADDRESS].
func normalLog(rest string) (string, bool) {
	driver, address, addressed := strings.Cut(rest, ":")
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_./-", r)
	}
	bad := driver == "" || strings.ContainsFunc(driver, func(r rune) bool { return !plain(r) })
	return rest, !bad && (!addressed || address != "" && address == strings.TrimSpace(address))
}

// logging is how the service's log is kept.
func (s *service) logging() *Log {
	from := s.from.Logging
	if from == nil {
		return nil
	}
	out := &Log{Driver: from.Driver, Options: some(from.Options)}
	if p := out.permission(); p != "" {
		s.l.need(s.view.at("logging", "driver"), s.name, "logging.driver", p)
	}
	return out
}
