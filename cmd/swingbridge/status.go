package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
	"github.com/swingbridge/swingbridge/server/api/client"
)

// appStatus is what status tells of one app.
type appStatus struct {
	App         api.App          `json:"app"`
	Services    []api.Service    `json:"services"`
	Deployments []api.Deployment `json:"deployments"` // the newest ones
}

func (p *program) status() *cobra.Command {
	return &cobra.Command{
		Use:   "status [APP]",
		Short: "Show what is live and what is on its way",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.remote()
			if err != nil {
				return err
			}
			var apps []api.App
			if len(args) == 1 {
				a, err := c.App(cmd.Context(), args[0])
				if err != nil {
					return refused(err)
				}
				apps = []api.App{a}
			} else if apps, err = c.AllApps(cmd.Context()); err != nil {
				return refused(err)
			}
			all, err := statusOf(cmd.Context(), c, apps)
			if err != nil {
				return refused(err)
			}
			if len(args) == 1 {
				return p.show(all[0], func() { p.printApp(all[0]) })
			}
			return p.show(all, func() { p.printApps(all) })
		},
	}
}

func statusOf(ctx context.Context, c *client.Client, apps []api.App) ([]appStatus, error) {
	all := make([]appStatus, 0, len(apps))
	for _, a := range apps {
		services, err := c.Services(ctx, a.Name)
		if err != nil {
			return nil, err
		}
		recent, err := c.Deployments(ctx, a.Name, client.Part{Limit: 10})
		if err != nil {
			return nil, err
		}
		all = append(all, appStatus{App: a, Services: services, Deployments: recent.Items})
	}
	return all, nil
}

func (p *program) printApps(all []appStatus) {
	var rows [][]string
	for _, s := range all {
		row := []string{s.App.Name, "-", "-", "-", "-"}
		for _, d := range s.Deployments {
			if d.State == pipeline.Live {
				row = []string{s.App.Name, string(d.Color), pipeline.Short(d.Commit), ago(d.LiveAt), "-"}
			}
		}
		if s.App.Mode.Kind != "serve" {
			row[1] += " (" + s.App.Mode.Kind + ")"
		}
		if len(s.App.Drift) > 0 {
			row[1] += " (changed by hand)"
		}
		if len(s.Deployments) > 0 && s.Deployments[0].State != pipeline.Live {
			row[4] = fmt.Sprintf("%s %s", pipeline.Short(s.Deployments[0].Commit), s.Deployments[0].State)
		}
		rows = append(rows, row)
	}
	p.table("APP\tLIVE\tCOMMIT\tSINCE\tNEWEST", rows, "No apps yet: swingbridge app add --help")
}

func (p *program) printApp(s appStatus) {
	fmt.Fprintf(p.out, "%s  %s, branch %s\n", s.App.Name, s.App.Repo, s.App.Branch)
	for _, r := range s.App.Routes {
		fmt.Fprintf(p.out, "  %s\n", r)
	}
	if s.App.Mode.Kind != "serve" {
		fmt.Fprintf(p.out, "  %s\n", modeWords(s.App.Mode))
	}
	p.printDrift(s.App.Drift)
	var rows [][]string
	for _, v := range s.Services {
		name := v.Name
		if v.Replica > 0 {
			name = fmt.Sprintf("%s (replica %d)", v.Name, v.Replica)
		}
		rows = append(rows, []string{name, string(v.Color), pipeline.Short(v.Commit), v.Status, v.Health, fmt.Sprint(v.Restarts), ago(v.StartedAt)})
	}
	fmt.Fprintln(p.out)
	p.table("SERVICE\tCOLOR\tCOMMIT\tSTATUS\tHEALTH\tRESTARTS\tSTARTED", rows, "Nothing runs.")
	rows = nil
	for _, d := range s.Deployments {
		rows = append(rows, []string{d.ID, pipeline.Short(d.Commit), string(d.Trigger), string(d.State), ago(d.CreatedAt), oneLine(d.Reason)})
	}
	fmt.Fprintln(p.out)
	p.table("DEPLOYMENT\tCOMMIT\tTRIGGER\tSTATE\tCREATED\tREASON", rows, "No deployments yet.")
}

// printDrift says what somebody changed by hand, and what to do about it.
func (p *program) printDrift(drift []api.Drift) {
	for _, d := range drift {
		fmt.Fprintf(p.out, "  changed by hand: %s %s (seen %s)\n", d.Container, d.What, ago(d.Since))
		if d.Fix != "" {
			fmt.Fprintf(p.out, "    if that is not meant: %s\n", d.Fix)
		}
	}
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 80 {
		return string(r[:79]) + "…"
	}
	return s
}

func (p *program) logs() *cobra.Command {
	var follow bool
	var since, color string
	var tail, replica int
	c := &cobra.Command{
		Use:   "logs APP [SERVICE]",
		Short: "Show the output of a service",
		Long: `Show the output of a service: of the color that visitors are on, or of the one
you name. The values of the app's variables are masked.`,
		Example: `  swingbridge logs shop -f
  swingbridge logs shop web --since 1h
  swingbridge logs shop web --color green`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			part := client.LogPart{Color: pipeline.Color(color), Replica: replica, Tail: tail, Follow: follow}
			if color != "" && part.Color != pipeline.Blue && part.Color != pipeline.Green {
				return usage("--color %q: say blue or green", color)
			}
			if replica < 0 {
				return usage("--replica %d: they are counted from 0", replica)
			}
			if since != "" {
				d, err := time.ParseDuration(since)
				if err != nil || d <= 0 {
					return usage("--since %q: say how long ago, as in 1h or 90s", since)
				}
				part.Since = time.Now().Add(-d)
			}
			c, err := p.remote()
			if err != nil {
				return err
			}
			service, err := serviceOf(cmd.Context(), c, args)
			if err != nil {
				return err
			}
			out, err := c.ServiceLog(cmd.Context(), args[0], service, part)
			if err != nil {
				return refused(err)
			}
			defer func() { _ = out.Close() }() // only read
			if _, err := io.Copy(p.out, out); err != nil && cmd.Context().Err() == nil {
				return fmt.Errorf("read log: %w", err)
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is written from now on")
	c.Flags().StringVar(&since, "since", "", "only what is newer than this, as in 1h")
	c.Flags().StringVar(&color, "color", "", "blue or green (default: the one that visitors are on)")
	c.Flags().IntVar(&replica, "replica", 0, "which of several replicas, counted from 0")
	c.Flags().IntVar(&tail, "tail", 200, "at most this many lines from the end")
	return c
}

// serviceOf is the service that was named, or the app's only one.
func serviceOf(ctx context.Context, c *client.Client, args []string) (string, error) {
	if len(args) == 2 {
		return args[1], nil
	}
	services, err := c.Services(ctx, args[0])
	if err != nil {
		return "", refused(err)
	}
	names := map[string]bool{}
	for _, s := range services {
		names[s.Name] = true
	}
	switch len(names) {
	case 0:
		return "", exitError{code: exitFailed, err: fmt.Errorf("nothing of %s runs", args[0])}
	case 1:
		return services[0].Name, nil
	}
	return "", usage("%s has several services: name one", args[0])
}
