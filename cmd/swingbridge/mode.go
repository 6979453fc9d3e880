package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
)

func (p *program) mode() *cobra.Command {
	var page string
	var wait, length time.Duration
	c := &cobra.Command{
		Use:   "mode APP [serve|hold|maintenance]",
		Short: "Serve visitors, hold their requests, or show them a maintenance page",
		Long: `Serve visitors, hold their requests, or show them a maintenance page; without a
word, say which of them it is.

It takes effect at once, whatever is deployed meanwhile. While requests are held,
as many as there is room for wait; the others, and those that waited too long,
are answered 503 with Retry-After, as the maintenance page is.`,
		Example: `  swingbridge mode shop hold --for 1m
  swingbridge mode shop maintenance --page back-soon.html
  swingbridge mode shop serve`,
		Args: cobra.RangeArgs(1, 2),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) != 1 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return []string{"serve", "hold", "maintenance"}, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return p.showMode(cmd, args[0])
			}
			change := api.ModeChange{Kind: args[1]}
			if _, err := pipeline.ParseModeKind(change.Kind); err != nil {
				return usage("%w", err)
			}
			var err error
			if change.Page, err = p.readFile("page", page); err != nil {
				return err
			}
			if cmd.Flags().Changed("wait") {
				change.Wait = wait.String()
			}
			if cmd.Flags().Changed("for") {
				change.For = length.String()
			}
			return p.setMode(cmd, args[0], change)
		},
	}
	c.Flags().StringVar(&page, "page", "", "path of the maintenance page, HTML, - reads it from standard input (default: our own)")
	c.Flags().DurationVar(&wait, "wait", 0, "how long one request is held, at most 10m (default 30s)")
	c.Flags().DurationVar(&length, "for", 0, "how long it lasts, as in 10m (default: until you change it)")
	return c
}

func (p *program) setMode(cmd *cobra.Command, app string, change api.ModeChange) error {
	c, err := p.remote()
	if err != nil {
		return err
	}
	set, err := c.SetMode(cmd.Context(), app, change)
	if err != nil {
		return refused(err)
	}
	if set.Pending != "" {
		fmt.Fprintf(p.err, "stored, but not in force: %s\n", set.Pending)
	}
	return p.show(set, func() { fmt.Fprintf(p.out, "%s: %s\n", app, modeWords(set.Mode)) })
}

func (p *program) showMode(cmd *cobra.Command, app string) error {
	if cmd.Flags().Changed("page") || cmd.Flags().Changed("wait") || cmd.Flags().Changed("for") {
		return usage("say serve, hold or maintenance")
	}
	c, err := p.remote()
	if err != nil {
		return err
	}
	a, err := c.App(cmd.Context(), app)
	if err != nil {
		return refused(err)
	}
	return p.show(a.Mode, func() { fmt.Fprintf(p.out, "%s: %s\n", app, modeWords(a.Mode)) })
}

// modeWords is a mode in words.
func modeWords(m api.Mode) string {
	text := map[string]string{
		"serve": "visitors are served", "hold": "requests are held", "maintenance": "visitors get a maintenance page",
	}[m.Kind]
	if m.Wait != "" {
		text += ", each for at most " + m.Wait
	}
	if !m.Until.IsZero() {
		text += ", until " + m.Until.Local().Format(time.DateTime)
	}
	return text
}
