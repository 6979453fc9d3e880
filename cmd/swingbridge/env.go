package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

func (p *program) env() *cobra.Command {
	c := &cobra.Command{
		Use: "env", Short: "Set, unset and list an app's variables", Args: cobra.NoArgs, RunE: needsSubcommand,
		Long: `Set, unset and list an app's variables. Values are sealed on the server and never
shown again. They fill in ${NAME} in compose files, stand in for a .env that the
repository lacks, and reach the services that are built from it. The next
deployment has them; a rollback brings back those of its release.`,
	}
	set := &cobra.Command{
		Use:   "set APP NAME[=VALUE] …",
		Short: "Set variables; without =VALUE the value is read from standard input",
		Example: `  swingbridge env set shop DEBUG=off
  openssl rand -hex 32 | swingbridge env set shop SECRET_KEY`,
		Args: cobra.MinimumNArgs(2),
		RunE: p.setEnv,
	}
	unset := &cobra.Command{
		Use: "unset APP NAME …", Short: "Remove variables", Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.remote()
			if err != nil {
				return err
			}
			for _, name := range args[1:] {
				version, err := c.UnsetEnv(cmd.Context(), args[0], name)
				if err != nil {
					return refused(err)
				}
				fmt.Fprintf(p.err, "%s is gone, environment version %d\n", name, version)
			}
			return nil
		},
	}
	list := &cobra.Command{
		Use: "list APP", Short: "List the names of the variables", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.remote()
			if err != nil {
				return err
			}
			vars, err := c.Env(cmd.Context(), args[0])
			if err != nil {
				return refused(err)
			}
			return p.show(vars, func() {
				var rows [][]string
				for _, v := range vars {
					rows = append(rows, []string{v.Name, fmt.Sprint(v.Version), ago(v.UpdatedAt)})
				}
				p.table("NAME\tVERSION\tSET", rows, "No variables yet.")
			})
		},
	}
	c.AddCommand(set, unset, list)
	return c
}

func (p *program) setEnv(cmd *cobra.Command, args []string) error {
	c, err := p.remote()
	if err != nil {
		return err
	}
	for _, arg := range args[1:] {
		name, value, given := strings.Cut(arg, "=")
		if !given {
			if len(args) > 2 {
				return usage("%s: only a single variable can be read from standard input", name)
			}
			if value, err = readAll(p.in); err != nil {
				return err
			}
			value = strings.TrimRight(value, "\r\n")
		}
		version, err := c.SetEnv(cmd.Context(), args[0], name, value)
		if err != nil {
			return refused(err)
		}
		fmt.Fprintf(p.err, "%s is set, environment version %d\n", name, version)
	}
	return nil
}

// readAll reads at most a megabyte, far more than a variable or an overlay may
// have.
func readAll(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return "", fmt.Errorf("read standard input: %w", err)
	}
	return string(b), nil
}
