package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/swingbridge/swingbridge/pipeline/stack"
	"github.com/swingbridge/swingbridge/server/api"
	"github.com/swingbridge/swingbridge/server/api/client"
)

func (p *program) appAllow() *cobra.Command {
	var remove bool
	c := &cobra.Command{
		Use:   "allow NAME PERMISSION…",
		Short: "Let an app's files ask for things of the host",
		Long: `Let an app's files ask for things of the host: a path, a port, a capability.

Without the permission a deployment that asks for it is refused, and says with
which command it would be allowed. A permission covers just what it names:

  bind:/srv/files            a path of the host; bind:/srv/files:ro to read only
  port:5432                  a port of the host, on each address; also
                             port:127.0.0.1:5432, port:53/udp, port:0 (any free one)
  cap:NET_ADMIN              a capability
  privileged                 all capabilities and devices: the host is open to it
  host:network               a namespace of the host: network, pid, ipc, uts,
                             user or cgroup
  device:/dev/ttyUSB0        a device; device:/dev/ttyUSB0:r to read only
  device-rule:'c 188:* rmw'  a rule of the devices cgroup
  gpus:all                   gpus:2 for two
  network:NAME               a network made outside of Swingbridge
  volume:NAME                a volume made outside of Swingbridge
  log:DRIVER:ADDRESS         a log that the engine sends elsewhere: syslog, gelf,
                             fluentd, …; log:gcplogs where there is no address
  mount:nfs:ADDRESS,:/PATH   a volume that another machine keeps; also nfs4, cifs
  volume-driver:NAME         a volume driver but the local one
  security-opt:NAME=VALUE    seccomp=unconfined, no-new-privileges=false, …
  runtime:NAME  cgroup-parent:PATH  oom-score-adj:N  oom-kill-disable

It takes effect with the next deployment; what runs goes on as it is.`,
		Example: "  swingbridge app allow shop port:5432 bind:/srv/files:ro\n  swingbridge app allow shop --remove port:5432",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			words, err := stack.ParsePermissions(args[1:])
			if err != nil {
				return usage("%w", err)
			}
			return p.withApp(cmd.Context(), func(ctx context.Context, c *client.Client) (api.App, error) {
				return allow(ctx, c, args[0], words, remove)
			})
		},
	}
	c.Flags().BoolVar(&remove, "remove", false, "take the permissions back")
	return c
}

// allow gives the app permissions, or takes them back.
func allow(ctx context.Context, c *client.Client, app string, words []stack.Permission, remove bool) (api.App, error) {
	a, err := c.App(ctx, app)
	if err != nil {
		return api.App{}, err
	}
	allowed := []string{}
	for _, had := range a.Allow {
		if !remove || !slices.Contains(words, stack.Permission(had)) {
			allowed = append(allowed, had)
		}
	}
	for _, word := range words {
		switch {
		case !remove:
			allowed = append(allowed, string(word))
		case !slices.Contains(a.Allow, string(word)):
			return api.App{}, usage("%s is not allowed %s", app, word)
		}
	}
	return c.UpdateApp(ctx, app, api.AppChange{Allow: &allowed})
}
