package main

import (
	"fmt"
	"runtime/debug"
	"slices"
	"testing"
)

// floors are the oldest versions without a known hole; see SECURITY.md.
func floors() map[string]string {
	return map[string]string{
		"github.com/go-git/go-git/v5":           "v5.19.2",
		"github.com/go-git/go-billy/v5":         "v5.9.0",
		"github.com/caddyserver/caddy/v2":       "v2.11.4",
		"github.com/moby/buildkit":              "v0.28.1",
		"github.com/golang-jwt/jwt/v4":          "v4.5.2",
		"github.com/compose-spec/compose-go/v2": "v2.16.2",
	}
}

// below lists the modules that are older than their floor, or not there.
func below(deps map[string]string, floors map[string]string) []string {
	var out []string
	for path, floor := range floors {
		if slices.Compare(numbers(deps[path]), numbers(floor)) < 0 {
			out = append(out, path)
		}
	}
	return out
}

// numbers are the three parts of a version; zeros where it is none.
func numbers(version string) []int {
	n := make([]int, 3)
	_, _ = fmt.Sscanf(version, "v%d.%d.%d", &n[0], &n[1], &n[2]) // what is missing stays zero
	return n
}

func TestDependencies_AreNotOlderThanTheirFloors(t *testing.T) {
	t.Parallel()
	info, ok := debug.ReadBuildInfo()
	if !ok {
		t.Fatal("no build information")
	}
	deps := map[string]string{}
	for _, d := range info.Deps {
		deps[d.Path] = d.Version
	}
	if old := below(deps, floors()); len(old) > 0 {
		t.Errorf("older than their floors: %v", old)
	}
	deps["github.com/go-git/go-git/v5"] = "v5.19.1"
	if old := below(deps, floors()); len(old) != 1 {
		t.Errorf("control: %v", old)
	}
}
