package stack

import (
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

func checkBuildReach(t *testing.T, b Build) {
	t.Helper()
	if !inside(b.Context) || b.Inline == "" && !inside(b.Dockerfile) || b.Network != "" && b.Network != "none" {
		t.Errorf("builds outside of the commit: %+v", b)
	}
	for name, folder := range b.Contexts {
		if !inside(folder) {
			t.Errorf("the context %s is outside of the commit: %s", name, folder)
		}
	}
	for id := range b.Held {
		if !slices.Contains(b.Secrets, id) {
			t.Errorf("holds the secret %q, which the build is not given", id)
		}
	}
}

// checkSettingsReach looks at what of a container's settings could be more than
// the container's own.
func checkSettingsReach(t *testing.T, s Service) {
	t.Helper()
	for key := range s.Settings.Sysctls {
		own := strings.HasPrefix(key, "net.") || strings.HasPrefix(key, "fs.mqueue.") || strings.HasPrefix(key, "kernel.sem") ||
			strings.HasPrefix(key, "kernel.shm") || strings.HasPrefix(key, "kernel.msg")
		if !own || strings.ContainsAny(key, "/\\ ") {
			t.Errorf("sets the host's %s", key)
		}
	}
	for _, labels := range []map[string]string{s.Labels, s.Settings.Annotations} {
		for label := range labels {
			if strings.HasPrefix(label, "dev.swingbridge.") {
				t.Errorf("has our label %s", label)
			}
		}
	}
	seen := map[string]bool{}
	for _, f := range s.Files {
		if !path.IsAbs(f.Target) || path.Clean(f.Target) != f.Target || f.Target == "/" || seen[f.Target] ||
			f.UID < 0 || f.GID < 0 || f.Mode > 0o7777 || s.Settings.ReadOnly {
			t.Errorf("a file where none can be: %s %o", f.Target, f.Mode)
		}
		seen[f.Target] = true
	}
	if l := s.Limits; l.Memory < 0 || l.MemorySwap < -1 || l.CPUShares < 0 || l.CPUQuota < 0 || l.Pids < 0 || s.Settings.ShmSize < 0 {
		t.Errorf("impossible limits: %+v", l)
	}
}

// checkNothingAllowed looks for what an app has only with a permission.
func checkNothingAllowed(t *testing.T, s Stack) {
	t.Helper()
	for _, v := range s.Volumes {
		if v.External != "" || v.Driver != "" && v.Driver != "local" {
			t.Errorf("the volume %+v is none of the app's own", v)
		}
	}
	for _, n := range s.Networks {
		if n.External != "" {
			t.Errorf("the network %+v is none of the app's own", n)
		}
	}
	for _, svc := range s.Services {
		r := svc.Rights
		if r.Privileged || len(r.CapAdd)+len(r.Devices)+len(r.DeviceRules)+len(r.Ports)+len(r.Host)+len(r.Security) > 0 {
			t.Errorf("%s has rights: %+v", svc.Name, r)
		}
		for key, value := range r.Other {
			if narrow := key + "=" + value; !slices.Contains([]string{"network=none", "ipc=none", "ipc=private", "cgroup=private"}, narrow) &&
				(key != "oom_score_adj" || strings.HasPrefix(value, "-")) {
				t.Errorf("%s has %s", svc.Name, narrow)
			}
		}
		if l := svc.Log; l != nil && !slices.Contains([]string{"", "json-file", "local", "none", "journald"}, l.Driver) {
			t.Errorf("the log of %s goes elsewhere: %+v", svc.Name, l)
		}
		if svc.Settings.Hostname != "" && (svc.Role == Web || svc.Role == Worker) {
			t.Errorf("two colors of %s answer to %s", svc.Name, svc.Settings.Hostname)
		}
	}
}

func TestCheckNothingAllowed_SeesEachRight(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*Stack, *Service){
		"volume":     func(s *Stack, _ *Service) { s.Volumes = []Volume{{External: "bank"}} },
		"driver":     func(s *Stack, _ *Service) { s.Volumes = []Volume{{Driver: "rexray"}} },
		"network":    func(s *Stack, _ *Service) { s.Networks = []Network{{External: "lan"}} },
		"privileged": func(_ *Stack, s *Service) { s.Rights.Privileged = true },
		"capability": func(_ *Stack, s *Service) { s.Rights.CapAdd = []string{"ALL"} },
		"port":       func(_ *Stack, s *Service) { s.Rights.Ports = []Port{{Host: 1}} },
		"runtime":    func(_ *Stack, s *Service) { s.Rights.Other = map[string]string{"runtime": "x"} },
		"score":      func(_ *Stack, s *Service) { s.Rights.Other = map[string]string{"oom_score_adj": "-1"} },
		"log":        func(_ *Stack, s *Service) { s.Log = &Log{Driver: "syslog"} },
		"host name":  func(_ *Stack, s *Service) { s.Settings.Hostname = "api.example.org" },
	} {
		s := Stack{Services: []Service{{Name: "web", Role: Web, Rights: Rights{Other: map[string]string{"ipc": "private"}}, Log: &Log{}}}}
		checkNothingAllowed(t, s)
		spoil(&s, &s.Services[0])
		probe := &testing.T{}
		if checkNothingAllowed(probe, s); !probe.Failed() {
			t.Errorf("%s: not seen", name)
		}
	}
}

// composeOf is the file compose.yml of an archive.
func composeOf(f *testing.F, name string) []byte {
	data, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range txtar.Parse(data).Files {
		if path.Base(file.Name) == "compose.yml" {
			return file.Data
		}
	}
	f.Fatalf("%s has no compose.yml", name)
	return nil
}
