// Command cutover shows what visitors see while an app is deployed, many times
// over: that nothing is lost, nothing stale is answered and nobody waits. Its
// visitors hide nothing. .ci/bench-cutover starts the processes that are
// measured and calls one subcommand per part.
//
// Where one request fails, one kept connection is closed, one stream ends or
// one answer comes from a release that visitors had left, the program ends
// with 1. A time or ratio that misses its goal is printed as such and is no
// failure: it says as much about the machine.
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
		{"color", "answer as one release of an app", colorCommand},
		{"plain", "be a plain httputil.ReverseProxy", plainCommand},
		{"reload", "be a Caddy that is reloaded for each cutover", reloadCommand},
		{"head", "print the head of the table of cutovers", headCommand},
		{"figures", "print the head of the table of other figures", figuresCommand},
		{"figure", "print a row with a figure that a script took", figure.Command},
		{"swings", "cut over again and again under mixed traffic", swingsCommand},
		{"traffic", "send mixed traffic for a while, whatever else happens", trafficCommand},
		{"table", "fill the table of a proxy with routes", tableCommand},
		{"controller", "cut over until killed", controllerCommand},
		{"owner", "wait until a process is the proxy", ownerCommand},
		{"agree", "check that visitors are where the table says", agreeCommand},
		{"back", "time a start to the first good answer", backCommand},
		{"compare", "compare the throughput of two proxies", compareCommand},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cutover:", err)
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
		return fmt.Errorf("name a part; make bench-cutover runs them all:\n%s", strings.Join(lines, "\n"))
	}
	if err := all[at].run(ctx, args[1:], out); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return nil
}

func figuresCommand(_ context.Context, args []string, out io.Writer) error {
	if err := parse(flag.NewFlagSet("figures", flag.ContinueOnError), args); err != nil {
		return err
	}
	return figure.Head(out)
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
