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
