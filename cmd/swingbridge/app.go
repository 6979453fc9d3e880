package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
	"github.com/swingbridge/swingbridge/server/api/client"
)

func (p *program) app() *cobra.Command {
	c := &cobra.Command{Use: "app", Short: "Add, show, change and remove apps", Args: cobra.NoArgs, RunE: needsSubcommand}
	c.AddCommand(p.appAdd(), p.appList(), p.appShow(), p.appSet(), p.appAllow(), p.appRemove())
	return c
}

// needsSubcommand is what a command does that has only others below it.
func needsSubcommand(cmd *cobra.Command, _ []string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return usage("%s what? One of: %s", cmd.CommandPath(), strings.Join(names, ", "))
}

// appFlags are the parts of an app as flags; only those given are sent.
type appFlags struct {
	repo, branch, overlay      string
	compose, routes, redirects []string
	paused                     bool
}

func (f *appFlags) on(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.repo, "repo", "", "repository as owner/name")
	cmd.Flags().StringVar(&f.branch, "branch", "", "branch that is deployed (default main)")
	cmd.Flags().StringArrayVar(&f.compose, "compose", nil, "compose file in the repository; repeat it for several, none: the Dockerfile alone")
	cmd.Flags().StringVar(&f.overlay, "overlay", "", "path of a local compose file that the server holds and adds, - reads it from standard input")
	cmd.Flags().StringArrayVar(&f.routes, "route", nil, "HOST[/PATH]=SERVICE:PORT under which visitors come; repeat it for several")
	cmd.Flags().StringArrayVar(&f.redirects, "redirect", nil, "HOST=TO[,STATUS] sends visitors of a host to another one, path and query kept; repeat it for several, \"\": none")
	cmd.Flags().BoolVar(&f.paused, "paused", false, "automatic deployments wait")
}

func (f *appFlags) change(p *program, cmd *cobra.Command) (api.AppChange, error) {
	var out api.AppChange
	given := cmd.Flags().Changed
	if given("repo") {
		out.Repo = &f.repo
	}
	if given("branch") {
		out.Branch = &f.branch
	}
	if given("compose") {
		files := make([]string, 0, len(f.compose))
		for _, c := range f.compose {
			if c != "" { // --compose "" means none
				files = append(files, c)
			}
		}
		out.Compose = &files
	}
	if given("paused") {
		out.Paused = &f.paused
	}
	if given("overlay") {
		text, err := p.readFile("overlay", f.overlay)
		if err != nil {
			return out, err
		}
		out.Overlay = &text
	}
	if given("route") {
		routes, err := parsed("route", f.routes, pipeline.ParseRoute)
		if err != nil {
			return out, err
		}
		out.Routes = &routes
	}
	if given("redirect") {
		redirects, err := parsed("redirect", f.redirects, pipeline.ParseRedirect)
		if err != nil {
			return out, err
		}
		out.Redirects = &redirects
	}
	return out, nil
}

// parsed reads the values of a flag; an empty one says that there are none.
func parsed[T any](flag string, texts []string, parse func(string) (T, error)) ([]T, error) {
	out := make([]T, 0, len(texts))
	for _, text := range texts {
		if text == "" {
			continue
		}
		one, err := parse(text)
		if err != nil {
			return nil, usage("--%s: %w", flag, err)
		}
		out = append(out, one)
	}
	return out, nil
}

// readFile reads the file that a flag names.
func (p *program) readFile(flag, path string) (string, error) {
	switch path {
	case "":
		return "", nil
	case "-":
		text, err := readAll(p.in)
		return text, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", usage("--%s: %w", flag, err)
	}
	return string(text), nil
}

func (p *program) appAdd() *cobra.Command {
	var f appFlags
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Add an app",
		Long: `Add an app: a repository, a branch, its compose files and its routes.

Nothing is deployed until the branch moves or you say swingbridge deploy NAME, so
that there is time to set its environment.`,
		Example: `  swingbridge app add shop --repo octocat/shop --route shop.example.org=web:8000
  swingbridge app add shop --repo octocat/shop --compose compose.prod.yml --route shop.example.org=django:8000`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := f.change(p, cmd)
			if err != nil {
				return err
			}
			change.Name = &args[0]
			return p.withApp(cmd.Context(), func(ctx context.Context, c *client.Client) (api.App, error) { return c.CreateApp(ctx, change) })
		},
	}
	f.on(c)
	if err := errors.Join(c.MarkFlagRequired("repo"), c.MarkFlagRequired("route")); err != nil {
		panic(err) // the flags are defined on the line above
	}
	return c
}

func (p *program) appSet() *cobra.Command {
	var f appFlags
	c := &cobra.Command{
		Use:     "set NAME",
		Short:   "Change an app; what no flag names stays as it is",
		Long:    "Change an app; what no flag names stays as it is. Routes, redirects and files\ntake effect with the next deployment.",
		Example: "  swingbridge app set shop --branch production\n  swingbridge app set shop --redirect www.shop.example.org=shop.example.org\n  swingbridge app set shop --paused=false",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := f.change(p, cmd)
			if err != nil {
				return err
			}
			return p.withApp(cmd.Context(), func(ctx context.Context, c *client.Client) (api.App, error) { return c.UpdateApp(ctx, args[0], change) })
		},
	}
	f.on(c)
	return c
}

func (p *program) appShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show an app", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withApp(cmd.Context(), func(ctx context.Context, c *client.Client) (api.App, error) { return c.App(ctx, args[0]) })
		},
	}
}

// withApp asks for one app and prints it.
func (p *program) withApp(ctx context.Context, ask func(context.Context, *client.Client) (api.App, error)) error {
	c, err := p.remote()
	if err != nil {
		return err
	}
	a, err := ask(ctx, c)
	if err != nil {
		return refused(err)
	}
	return p.show(a, func() {
		files := "the Dockerfile alone"
		if len(a.Compose) > 0 {
			files = strings.Join(a.Compose, ", ")
		}
		fmt.Fprintf(p.out, "%s  %s, branch %s, %s\n", a.Name, a.Repo, a.Branch, files)
		for _, r := range a.Routes {
			fmt.Fprintf(p.out, "  %s\n", r)
		}
		for _, r := range a.Redirects {
			fmt.Fprintf(p.out, "  %s\n", r)
		}
		if a.Overlay != "" {
			fmt.Fprintf(p.out, "  overlay of %d bytes\n", len(a.Overlay))
		}
		for _, allowed := range a.Allow {
			fmt.Fprintf(p.out, "  allowed: %s\n", allowed)
		}
		if a.Mode.Kind != "serve" {
			fmt.Fprintf(p.out, "  %s\n", modeWords(a.Mode))
		}
		p.printDrift(a.Drift)
		if a.Paused {
			fmt.Fprintln(p.out, "  paused: automatic deployments wait")
		}
	})
}

func (p *program) appList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the apps", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.remote()
			if err != nil {
				return err
			}
			apps, err := c.AllApps(cmd.Context())
			if err != nil {
				return refused(err)
			}
			return p.show(apps, func() {
				var rows [][]string
				for _, a := range apps {
					var hosts []string
					for _, r := range a.Routes {
						hosts = append(hosts, r.Host+r.Path)
					}
					rows = append(rows, []string{a.Name, a.Repo, a.Branch, strings.Join(hosts, " ")})
				}
				p.table("NAME\tREPO\tBRANCH\tROUTES", rows, "No apps yet: swingbridge app add --help")
			})
		},
	}
}

func (p *program) appRemove() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "remove NAME --yes",
		Short: "Take an app down; its volumes and history stay",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				return usage("this takes %s down for its visitors: say --yes if that is meant", args[0])
			}
			c, err := p.remote()
			if err != nil {
				return err
			}
			fmt.Fprintf(p.err, "taking %s down\n", args[0])
			return refused(c.RemoveApp(cmd.Context(), args[0]))
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "yes, that is meant")
	return c
}
