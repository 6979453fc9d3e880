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
	"io"
	"os"

	"github.com/swingbridge/swingbridge/cmd/bench/figure"
	"github.com/swingbridge/swingbridge/cmd/bench/subcommand"
)

func commands() []subcommand.Subcommand {
	return []subcommand.Subcommand{
		{Name: "key", Does: "write the private key of the forge's GitHub App to a file", Run: key},
		{Name: "head", Does: "print the table's head", Run: head},
		{Name: "figure", Does: "print a row with a figure taken elsewhere", Run: figure.Command},
		{Name: "swap", Does: "time table swaps of a running proxy, and requests during them", Run: swapFigures},
		{Name: "push", Does: "time a push to its first visitor, against the bare floor", Run: pushFigures},
		{Name: "deliveries", Does: "count durable deliveries of a running server", Run: deliveryFigures},
	}
}

func main() {
	os.Exit(subcommand.Main("bench", "name a figure; make bench takes them all:", commands()))
}

func head(_ context.Context, args []string, out io.Writer) error {
	if err := subcommand.Parse(flag.NewFlagSet("head", flag.ContinueOnError), args); err != nil {
		return err
	}
	return figure.Head(out)
}
