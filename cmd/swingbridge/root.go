package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// The exit codes; scripts hold on to them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3 // not reachable, or not allowed
	exitDeployment  = 4 // the deployment failed
	exitSuperseded  = 5 // superseded or canceled
)

// stdio is where a command reads and writes. Results go to out, progress and
// errors to err.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// exitError carries an exit code through cobra. A nil err prints nothing.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	return exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// program is what the subcommands share.
type program struct {
	stdio
	environ []string
	json    bool
}

// run is the whole program but for the process: arguments and environment in,
// exit code out.
func run(ctx context.Context, args, environ []string, io stdio) int {
	p := &program{stdio: io, environ: environ}
	root := p.root()
	root.SetArgs(args)
	root.SetIn(io.in)
	root.SetOut(io.out)
	root.SetErr(io.err)
	called, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	var coded exitError
	if !errors.As(err, &coded) {
		coded = exitError{code: exitFailed, err: err}
		if isUsage(err) {
			coded.code = exitUsage
		}
	}
	if text := err.Error(); text != "" {
		fmt.Fprintf(io.err, "swingbridge: %s\n", text)
	}
	if coded.code == exitUsage {
		explain(io.err, called, isUsage(err))
	}
	return coded.code
}

// explain says where help is, and how the command is called if its arguments
// were not what it takes.
func explain(to io.Writer, called *cobra.Command, arguments bool) {
	if arguments && called.Runnable() && !called.HasSubCommands() {
		fmt.Fprintf(to, "swingbridge: usage: %s\n", called.UseLine())
	}
	fmt.Fprintf(to, "swingbridge: see %s --help\n", called.CommandPath())
}

// isUsage recognizes cobra's own complaints, which have no type.
func isUsage(err error) bool {
	for _, head := range []string{
		"unknown command", "unknown flag", "unknown shorthand", "accepts ", "requires ", "invalid argument",
		"flag needs an argument", "required flag", "bad flag syntax", "if any flags in the group", "subcommand is required",
	} {
		if strings.HasPrefix(err.Error(), head) {
			return true
		}
	}
	return false
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "swingbridge",
		Short: "Continuous deployment for a Docker host: no request lost, no push lost, no guess",
		Long: `Swingbridge turns a push to the deploy branch into the version that visitors
see: it builds, starts the idle color, probes it, swings all visitors over at
once, watches, drains, and reports every step to GitHub.

Settings come from the environment; "swingbridge serve --help" lists them.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	root.PersistentFlags().BoolVar(&p.json, "json", false, "print results as JSON")
	root.AddGroup(
		&cobra.Group{ID: "server", Title: "The server:"},
		&cobra.Group{ID: "deploy", Title: "Deploying:"},
		&cobra.Group{ID: "manage", Title: "Managing:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("server", p.serve(), p.proxy(), p.health(), p.demo())
	add("deploy", p.deploy(), p.rollback(), p.cancel(), p.resolve(), p.status(), p.logs(), p.plan())
	add("manage", p.app(), p.mode(), p.env(), p.file(), p.token())
	root.AddCommand(p.version(), p.demoApp())
	return root
}

// config reads the settings; a bad one is a matter of usage.
func (p *program) config() (Config, error) {
	cfg, err := loadConfig(p.environ)
	if err != nil {
		return Config{}, exitError{code: exitUsage, err: err}
	}
	return cfg, nil
}
