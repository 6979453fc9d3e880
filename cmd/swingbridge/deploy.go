package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
	"github.com/swingbridge/swingbridge/server/api/client"
)

func (p *program) deploy() *cobra.Command {
	var commit string
	var wait bool
	c := &cobra.Command{
		Use:   "deploy APP",
		Short: "Deploy the branch head, or the given commit",
		Example: `  swingbridge deploy shop --wait
  swingbridge deploy shop --commit 9f31c02d5e6b7a8c9d0e1f2a3b4c5d6e7f8a9b0c`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.remote()
			if err != nil {
				return err
			}
			d, err := c.Deploy(cmd.Context(), args[0], commit)
			return p.started(cmd.Context(), c, d, err, wait)
		},
	}
	c.Flags().StringVar(&commit, "commit", "", "full id of the commit (default: the branch head)")
	c.Flags().BoolVar(&wait, "wait", false, "show the steps and wait for the end; the exit code tells how it went")
	return c
}

func (p *program) rollback() *cobra.Command {
	var to string
	var wait bool
	c := &cobra.Command{
		Use:   "rollback APP",
		Short: "Run the last good release before the live one again, or that of a deployment",
		Long: `Run the last good release before the live one again, or that of a deployment.

A rollback starts the images that were built then, with the environment of then;
it needs neither GitHub nor a build. While the live release is still being
watched, visitors are swung back at once.`,
		Example: "  swingbridge rollback shop --wait",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.remote()
			if err != nil {
				return err
			}
			d, err := c.Rollback(cmd.Context(), args[0], to)
			err = p.started(cmd.Context(), c, d, err, wait)
			// What was being watched was told to go back: that it did is success.
			if ended := (endError{}); d.Trigger != pipeline.Rollback && errors.As(err, &ended) && ended.state == pipeline.RolledBack {
				return nil
			}
			return err
		},
	}
	c.Flags().StringVar(&to, "to", "", "id of the deployment whose release is wanted")
	c.Flags().BoolVar(&wait, "wait", false, "show the steps and wait for the end; the exit code tells how it went")
	return c
}

// started prints a deployment that was just queued and, if asked, its way.
func (p *program) started(ctx context.Context, c *client.Client, d api.Deployment, err error, wait bool) error {
	if err != nil {
		return refused(err)
	}
	if !wait {
		return p.show(d, func() {
			fmt.Fprintf(p.out, "%s\n", d.ID)
			fmt.Fprintf(p.err, "%s of %s is %s: swingbridge status %s\n", pipeline.Short(d.Commit), d.App, d.State, d.App)
		})
	}
	seen := progress{out: p.err}
	end, err := c.Await(ctx, d.ID, seen.show)
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("nobody waits for the deployment any more, and it goes on: see swingbridge status %s, or end it with swingbridge cancel %s", d.App, d.ID)
	case err != nil:
		return refused(err)
	}
	if err := p.show(end, func() { fmt.Fprintf(p.out, "%s %s\n", end.ID, end.State) }); err != nil {
		return err
	}
	if code := codeOf(end); code != exitDone {
		text := fmt.Sprintf("%s of %s ended %s: %s", pipeline.Short(end.Commit), end.App, end.State, end.Reason)
		return exitError{code: code, err: endError{state: end.State, text: text}}
	}
	return nil
}

// endError is a deployment that was waited for and did not end live.
type endError struct {
	state pipeline.State
	text  string
}

func (e endError) Error() string { return e.text }

func (p *program) cancel() *cobra.Command {
	return &cobra.Command{
		Use:   "cancel ID",
		Short: "End a deployment: what it did is undone, visitors stay where they were",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.remote()
			if err != nil {
				return err
			}
			d, err := c.Cancel(cmd.Context(), args[0])
			if err != nil {
				return refused(err)
			}
			if !d.State.Ended() {
				fmt.Fprintf(p.err, "it was told to end, and undoes what it did: see swingbridge status %s\n", d.App)
			}
			return p.show(d, func() { fmt.Fprintf(p.out, "%s %s\n", d.ID, d.State) })
		},
	}
}

func (p *program) resolve() *cobra.Command {
	var as string
	c := &cobra.Command{
		Use:   "resolve ID --as live|rolled_back|failed",
		Short: "Decide about a stuck deployment",
		Long: `Decide about a stuck deployment: one whose outcome the server could not find out.

Look first (swingbridge status, the deployment's log, docker ps), then say what is
true. As live, visitors are pointed at it; otherwise its containers are ended and
visitors are pointed at the release that was live before.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch pipeline.State(as) {
			case pipeline.Live, pipeline.RolledBack, pipeline.Failed:
			default:
				return usage("--as %q: say live, rolled_back or failed", as)
			}
			c, err := p.remote()
			if err != nil {
				return err
			}
			d, err := c.Resolve(cmd.Context(), args[0], pipeline.State(as))
			if err != nil {
				return refused(err)
			}
			return p.show(d, func() { fmt.Fprintf(p.out, "%s %s\n", d.ID, d.State) })
		},
	}
	c.Flags().StringVar(&as, "as", "", "live, rolled_back or failed")
	if err := c.MarkFlagRequired("as"); err != nil {
		panic(err) // the flag is defined on the line above
	}
	return c
}

func (p *program) plan() *cobra.Command {
	var commit string
	c := &cobra.Command{
		Use:   "plan APP",
		Short: "Say what a deployment would build, start, replace and leave alone",
		Long: `Say what a deployment would build, pull, create, run once, replace and leave
alone, what would be away for a moment, and what is missing. Nothing is changed;
a deployment says the same in its log before it acts.

Permissions are shown as a diff against the live release: + is new, - is no longer
asked for. What the app is not allowed comes with the command that allows it.`,
		Example: "  swingbridge plan shop\n  swingbridge plan shop --commit $(git rev-parse HEAD)",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.remote()
			if err != nil {
				return err
			}
			plan, err := c.Plan(cmd.Context(), args[0], commit)
			if err != nil {
				return refused(err)
			}
			return p.show(plan, func() { p.printPlan(plan) })
		},
	}
	c.Flags().StringVar(&commit, "commit", "", "all 40 digits of the commit's id (default: the branch head)")
	return c
}

// printPlan prints one group after the other, in the order in which things
// happen.
func (p *program) printPlan(plan api.Plan) {
	fmt.Fprintf(p.out, "commit %s\n", plan.Commit)
	permissions := pipeline.PermissionDiff(plan.Permissions)
	var diff []string
	if permissions.Changes() {
		for _, l := range permissions.Lines() {
			diff = append(diff, l.String())
		}
		diff = append(diff, permissions.Remedy())
	}
	for _, group := range []struct {
		name  string
		lines []string
	}{
		{"Missing, it would fail", plan.Missing}, {strings.TrimSuffix(permissions.Heading(), ":"), diff},
		{"Built", plan.Build}, {"Pulled", plan.Pull}, {"Created", plan.Create}, {"Run once", plan.Release}, {"Replaced", plan.Replace},
		{"Away for a moment", plan.Blink}, {"Left alone", plan.Keep}, {"Not deployed", plan.Aside}, {"Notes", plan.Notes},
	} {
		if len(group.lines) == 0 {
			continue
		}
		fmt.Fprintf(p.out, "\n%s\n", group.name)
		for _, line := range group.lines {
			if line != "" {
				fmt.Fprintf(p.out, "  %s\n", line)
			}
		}
	}
}
