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
	"io"
	"os"

	"github.com/swingbridge/swingbridge/cmd/bench/figure"
	"github.com/swingbridge/swingbridge/cmd/bench/subcommand"
)

func commands() []subcommand.Subcommand {
	return []subcommand.Subcommand{
		{Name: "color", Does: "answer as one release of an app", Run: colorCommand},
		{Name: "plain", Does: "be a plain httputil.ReverseProxy", Run: plainCommand},
		{Name: "reload", Does: "be a Caddy that is reloaded for each cutover", Run: reloadCommand},
		{Name: "head", Does: "print the head of the table of cutovers", Run: headCommand},
		{Name: "figures", Does: "print the head of the table of other figures", Run: figuresCommand},
		{Name: "figure", Does: "print a row with a figure that a script took", Run: figure.Command},
		{Name: "swings", Does: "cut over again and again under mixed traffic", Run: swingsCommand},
		{Name: "traffic", Does: "send mixed traffic for a while, whatever else happens", Run: trafficCommand},
		{Name: "table", Does: "fill the table of a proxy with routes", Run: tableCommand},
		{Name: "controller", Does: "cut over until killed", Run: controllerCommand},
		{Name: "owner", Does: "wait until a process is the proxy", Run: ownerCommand},
		{Name: "agree", Does: "check that visitors are where the table says", Run: agreeCommand},
		{Name: "back", Does: "time a start to the first good answer", Run: backCommand},
		{Name: "compare", Does: "compare the throughput of two proxies", Run: compareCommand},
	}
}

func main() {
	os.Exit(subcommand.Main("cutover", "name a part; make bench-cutover runs them all:", commands()))
}

func figuresCommand(_ context.Context, args []string, out io.Writer) error {
	if err := subcommand.Parse(flag.NewFlagSet("figures", flag.ContinueOnError), args); err != nil {
		return err
	}
	return figure.Head(out)
}
