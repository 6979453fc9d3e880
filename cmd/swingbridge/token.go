package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/swingbridge/swingbridge/pipeline"
)

func (p *program) token() *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "Create, revoke and list API tokens", Args: cobra.NoArgs, RunE: needsSubcommand}
	var role string
	create := &cobra.Command{
		Use: "create NAME", Short: "Create a token; it is printed once", Args: cobra.ExactArgs(1),
		Example: "  swingbridge token create ci --role deployer",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.remote()
			if err != nil {
				return err
			}
			t, err := c.CreateToken(cmd.Context(), args[0], pipeline.Role(role))
			if err != nil {
				return refused(err)
			}
			return p.show(t, func() {
				fmt.Fprintln(p.out, t.Token)
				fmt.Fprintf(p.err, "token %s may act as %s; it is not shown again\n", t.Name, t.Role)
			})
		},
	}
	create.Flags().StringVar(&role, "role", string(pipeline.Deployer), "viewer, deployer or admin")
	revoke := &cobra.Command{
		Use: "revoke NAME|ID", Short: "Make a token worthless", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.remote()
			if err != nil {
				return err
			}
			return refused(c.RevokeToken(cmd.Context(), args[0]))
		},
	}
	list := &cobra.Command{
		Use: "list", Short: "List the tokens", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.remote()
			if err != nil {
				return err
			}
			tokens, err := c.Tokens(cmd.Context())
			if err != nil {
				return refused(err)
			}
			return p.show(tokens, func() {
				var rows [][]string
				for _, t := range tokens {
					state := "valid"
					if !t.RevokedAt.IsZero() {
						state = "revoked " + ago(t.RevokedAt)
					}
					rows = append(rows, []string{t.ID, t.Name, string(t.Role), ago(t.CreatedAt), ago(t.UsedAt), state})
				}
				p.table("ID\tNAME\tROLE\tCREATED\tUSED\tSTATE", rows, "No tokens yet.")
			})
		},
	}
	c.AddCommand(create, revoke, list)
	return c
}
