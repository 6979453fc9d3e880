// Command bench takes Swingbridge's published figures. .ci/bench starts the
// processes that are measured, on an engine of their own, and calls one
// subcommand per figure; each prints rows of one table.
//
// What other machines can check is a ratio within one run: a deployment against
// the same engine used directly, requests during swaps against those before.
// A figure that misses its goal is printed as such and is no failure; one that
// cannot be trusted (a failed request, a missing row) ends the program with 1.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/swingbridge/swingbridge/cmd/bench/figure"
)

// command is one subcommand.
type command struct {
	name string
	does string
	run  func(ctx context.Context, args []string, out io.Writer) error
}

func commands() []command {
	return []command{
		{"key", "write the private key of the forge's GitHub App to a file", key},
		{"head", "print the table's head", head},
		{"figure", "print a row with a figure taken elsewhere", figure.Command},
		{"swap", "time table swaps of a running proxy, and requests during them", swapFigures},
		{"push", "time a push to its first visitor, against the bare floor", pushFigures},
		{"deliveries", "count durable deliveries of a running server", deliveryFigures},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	all := commands()
	at := -1
	if len(args) > 0 {
		at = slices.IndexFunc(all, func(c command) bool { return c.name == args[0] })
	}
	if at < 0 {
		var lines []string
		for _, c := range all {
			lines = append(lines, fmt.Sprintf("  %-11s %s", c.name, c.does))
		}
		return fmt.Errorf("name a figure; make bench takes them all:\n%s", strings.Join(lines, "\n"))
	}
	if err := all[at].run(ctx, args[1:], out); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return nil
}

// parse reads a subcommand's flags and refuses anything else.
func parse(f *flag.FlagSet, args []string) error {
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	return nil
}

func head(_ context.Context, args []string, out io.Writer) error {
	if err := parse(flag.NewFlagSet("head", flag.ContinueOnError), args); err != nil {
		return err
	}
	return figure.Head(out)
}
