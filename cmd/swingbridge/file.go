package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/swingbridge/swingbridge/pipeline"
)

func (p *program) file() *cobra.Command {
	c := &cobra.Command{
		Use: "file", Short: "Set, unset and list files that an app's repository lacks", Args: cobra.NoArgs, RunE: needsSubcommand,
		Long: `Set, unset and list files that an app's repository lacks: .env.local,
config/production.yml. They are sealed on the server and never shown again. A
deployment reads them as if they were in the commit: as compose files' env_file,
and where volumes name them; images do not have them. The next deployment has
them; a rollback brings back those of its release.`,
	}
	set := &cobra.Command{
		Use:   "set APP PATH [FILE]",
		Short: "Hold a file; without FILE, or with -, it is read from standard input",
		Long: `Hold a file at PATH, below the root of the app's repository; one that is held
there already is replaced. Without FILE, or with -, it is read from standard
input. At most 512 KiB. The next deployment has it.`,
		Example: `  swingbridge file set shop .env.local .env.production
  generate-config | swingbridge file set shop config/production.yml`,
		Args: cobra.RangeArgs(2, 3),
		RunE: p.setFile,
	}
	unset := &cobra.Command{
		Use: "unset APP PATH…", Short: "Take files away; the next deployment is without them", Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.remote()
			if err != nil {
				return err
			}
			for _, path := range args[1:] {
				version, err := c.UnsetFile(cmd.Context(), args[0], path)
				if err != nil {
					return refused(err)
				}
				fmt.Fprintf(p.err, "%s is gone, environment version %d\n", path, version)
			}
			return nil
		},
	}
	list := &cobra.Command{
		Use: "list APP", Short: "List the files: path, size, version and age, never what is in them", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.remote()
			if err != nil {
				return err
			}
			files, err := c.Files(cmd.Context(), args[0])
			if err != nil {
				return refused(err)
			}
			return p.show(files, func() {
				var rows [][]string
				for _, f := range files {
					rows = append(rows, []string{f.Name, sizeOf(f.Size), fmt.Sprint(f.Version), ago(f.UpdatedAt)})
				}
				p.table("PATH\tBYTES\tVERSION\tSET", rows, "No files yet.")
			})
		},
	}
	c.AddCommand(set, unset, list)
	return c
}

// sizeOf is a number of bytes; an older server does not tell it.
func sizeOf(n *int64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

func (p *program) setFile(cmd *cobra.Command, args []string) error {
	c, err := p.remote()
	if err != nil {
		return err
	}
	from := p.in
	if len(args) == 3 && args[2] != "-" {
		file, err := os.Open(args[2])
		if err != nil {
			return fmt.Errorf("read the file: %w", err)
		}
		defer file.Close()
		from = file
	}
	content, err := io.ReadAll(io.LimitReader(from, pipeline.MaxHeldFile+1))
	if err != nil {
		return fmt.Errorf("read the file: %w", err)
	}
	if len(content) > pipeline.MaxHeldFile {
		return usage("%s: a file that is held has at most %d KiB, and this is more: put it on a volume", args[1], pipeline.MaxHeldFile>>10)
	}
	version, err := c.SetFile(cmd.Context(), args[0], args[1], content)
	if err != nil {
		return refused(err)
	}
	fmt.Fprintf(p.err, "%s is set, environment version %d\n", args[1], version)
	return nil
}
