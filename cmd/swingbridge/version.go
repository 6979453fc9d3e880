package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"
)

// Set by the linker, see Makefile.
const unknownVersion = "dev"

//nolint:gochecknoglobals // the linker writes only into package variables
var version, commit = unknownVersion, "unknown"

// watched are the dependencies whose versions have a floor for security's
// sake; see SECURITY.md.
func watched() []string {
	return []string{
		"github.com/caddyserver/caddy/v2", "github.com/docker/docker", "github.com/go-git/go-git/v5",
		"github.com/moby/buildkit", "github.com/golang-jwt/jwt/v4", "modernc.org/sqlite",
	}
}

func (p *program) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and the versions of watched dependencies",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			deps := map[string]string{"go": runtime.Version()}
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, d := range info.Deps {
					if slices.Contains(watched(), d.Path) {
						deps[d.Path] = d.Version
					}
				}
			}
			if p.json {
				return json.NewEncoder(p.out).Encode(map[string]any{"version": version, "commit": commit, "dependencies": deps})
			}
			fmt.Fprintf(p.out, "swingbridge %s (commit %s, %s)\n", version, commit, runtime.Version())
			for _, path := range watched() {
				fmt.Fprintf(p.out, "  %s %s\n", path, deps[path])
			}
			return nil
		},
	}
}
