package stack_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

func TestParsePermission_WritesOneRightInOneWay(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]stack.Permission{
		"privileged":                      "privileged",
		" privileged ":                    "privileged",
		"bind:/srv/files":                 "bind:/srv/files",
		"bind:/srv/files/":                "bind:/srv/files",
		"bind:/srv/files:rw":              "bind:/srv/files",
		"bind:/srv/../etc/./hosts:ro":     "bind:/etc/hosts:ro",
		"cap:net_admin":                   "cap:NET_ADMIN",
		"cap:CAP_NET_ADMIN":               "cap:NET_ADMIN",
		"device:/dev/ttyUSB0":             "device:/dev/ttyUSB0",
		"device:/dev/ttyUSB0:rwm":         "device:/dev/ttyUSB0",
		"device:/dev/ttyUSB0:mr":          "device:/dev/ttyUSB0:rm",
		"device-rule:c  188:*  rmw":       "device-rule:c 188:* rmw",
		"host:pid":                        "host:pid",
		"port:5432":                       "port:5432",
		"port:5432/tcp":                   "port:5432",
		"port:53/udp":                     "port:53/udp",
		"port:127.0.0.1:5432/tcp":         "port:127.0.0.1:5432",
		"port:[::1]:5432":                 "port:[::1]:5432",
		"port:[0:0::1]:5432":              "port:[::1]:5432",
		"port:0":                          "port:0",
		"gpus:all":                        "gpus:all",
		"gpus:02":                         "gpus:2",
		"security-opt:seccomp:unconfined": "security-opt:seccomp=unconfined",
		"security-opt:label=type:x":       "security-opt:label=type:x",
		"oom-score-adj:-0500":             "oom-score-adj:-500",
		"oom-kill-disable":                "oom-kill-disable",
		"mount:nfs:10.0.0.2,:/export":     "mount:nfs:10.0.0.2,:/export",
		"mount:cifs://server/share":       "mount:cifs://server/share",
		"network:proxy_default":           "network:proxy_default",
		"runtime:nvidia":                  "runtime:nvidia",
		"cgroup-parent:/batch":            "cgroup-parent:/batch",
		"volume-driver:vieux/sshfs":       "volume-driver:vieux/sshfs",
		"volume:customers_data":           "volume:customers_data",
		"log:gcplogs":                     "log:gcplogs",
		"log:syslog:udp://10.0.0.9:514":   "log:syslog:udp://10.0.0.9:514",
	} {
		got, err := stack.ParsePermission(word)
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", word, got, err, want)
		}
		if again, err := stack.ParsePermission(string(got)); err != nil || again != got {
			t.Errorf("%q does not come back: %q, %v", got, again, err)
		}
	}
}

func TestParsePermission_RefusesWhatNamesNoRight(t *testing.T) {
	t.Parallel()
	for _, word := range []string{
		"", "everything", "*", "bind", "bind:", "bind:srv", "bind:~/x", "bind:/x:ro:ro", "bind:/x\ny", "cap:", "cap:NET ADMIN", "cap:*",
		"privileged:yes", "privileged:", "host:", "host:all", "host:net", "port:", "port:x", "port:65536", "port:-1", "port:80-90",
		"device:/e /", "bind:/e /", "port:80/icmp", "port::80", "port:localhost:80", "port:1.2.3:80", "device:ttyUSB0", "device:/dev/x:q", "device:/dev/x:/dev/y:r",
		"device-rule:c 1:3", "device-rule:x 1:3 r", "device-rule:c 1 r", "gpus:0", "gpus:-1", "gpus:some", "security-opt:",
		"oom-score-adj:2000", "oom-score-adj:", "mount:", "mount:nfs", "mount:nfs:", "mount:ext4:/dev/sda", "mount:nfs:a,b,c", "mount:nfs:a,", "network:", "network:a/b", "network:container:x", "volume:", "volume:/etc", "volume:a b",
		"log", "log:", "log::tcp://a", "log:syslog:", "log:sys log", "log:syslog: a",
	} {
		if got, err := stack.ParsePermission(word); err == nil {
			t.Errorf("%q is taken for %q", word, got)
		}
	}
}

func TestPermission_CoversWhatItNamesAndNoMore(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		have, want stack.Permission
		covers     bool
	}{
		{"bind:/srv", "bind:/srv", true},
		{"bind:/srv", "bind:/srv:ro", true},
		{"bind:/srv:ro", "bind:/srv", false},
		{"bind:/srv:ro", "bind:/srv:ro", true},
		{"bind:/srv", "bind:/srv/files", false},
		{"bind:/srv/files", "bind:/srv", false},
		{"bind:/", "bind:/etc", false},
		{"port:5432", "port:127.0.0.1:5432", true},
		{"port:5432", "port:[::1]:5432", true},
		{"port:127.0.0.1:5432", "port:5432", false},
		{"port:127.0.0.1:5432", "port:0.0.0.0:5432", false},
		{"port:5432", "port:5432/udp", false},
		{"port:53/udp", "port:127.0.0.1:53/udp", true},
		{"port:0", "port:80", false},
		{"cap:NET_ADMIN", "cap:SYS_ADMIN", false},
		{"cap:ALL", "cap:SYS_ADMIN", false},
		{"privileged", "cap:SYS_ADMIN", false},
		{"host:network", "host:pid", false},
		{"device:/dev/x", "device:/dev/x:r", true},
		{"device:/dev/x:rw", "device:/dev/x:r", true},
		{"device:/dev/x:rm", "device:/dev/x", false},
		{"device:/dev/x:r", "device:/dev/x:w", false},
		{"device:/dev/x", "device:/dev/y", false},
		{"log:syslog", "log:syslog:unix:///run/x.sock", false},
		{"log:syslog:udp://a", "log:syslog", false},
		{"volume:a", "volume:ab", false},
		{"volume:a", "network:a", false},
		{"", "privileged", false},
	} {
		if got := test.have.Covers(test.want); got != test.covers {
			t.Errorf("%s covers %s: %v", test.have, test.want, got)
		}
	}
}

func TestMissing_NamesEachUncoveredRightOnce(t *testing.T) {
	t.Parallel()
	got := stack.Missing([]string{"bind:/srv", "CAP:NET_ADMIN", "nonsense"},
		[]stack.Permission{"privileged", "bind:/srv:ro", "cap:NET_ADMIN", "privileged"})
	if diff := cmp.Diff([]stack.Permission{"privileged", "cap:NET_ADMIN"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAllow_IsACommandThatAShellTakesAsItIs(t *testing.T) {
	t.Parallel()
	got := stack.Allow("shop", []stack.Permission{"cap:NET_ADMIN", "device-rule:c 1:* r", "bind:/it's", "bind:/$(id)"})
	if want := `swingbridge app allow shop cap:NET_ADMIN 'device-rule:c 1:* r' 'bind:/it'\''s' 'bind:/$(id)'`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzParsePermission(f *testing.F) {
	for _, word := range []string{"bind:/a:ro", "port:[::1]:80/udp", "device:/dev/x:rw", "mount:nfs:a,:/b", "device-rule:c 1:3 r", "gpus:2"} {
		f.Add(word, word)
	}
	f.Fuzz(func(t *testing.T, word, other string) {
		p, err := stack.ParsePermission(word)
		if err != nil {
			return
		}
		if again, err := stack.ParsePermission(string(p)); err != nil || again != p {
			t.Fatalf("%q became %q, which becomes %q, %v", word, p, again, err)
		}
		if !p.Covers(p) || strings.ContainsAny(string(p), "\n\r\x00") {
			t.Fatalf("%q became %q", word, p)
		}
		q, err := stack.ParsePermission(other)
		if err == nil && p != q && p.Covers(q) && q.Covers(p) {
			t.Fatalf("%q and %q are two words for one right", p, q)
		}
	})
}
