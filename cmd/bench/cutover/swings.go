package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/cmd/bench/figure"
	"github.com/swingbridge/swingbridge/cmd/bench/subcommand"
)

// plan says how many cutovers there are, and when.
type plan struct {
	rounds, swings int           // rounds, and cutovers in each
	every          time.Duration // between two of them
	quiet          time.Duration // without any, before those of each round
	warm           time.Duration // before the first round
}

func (p *plan) flags(f *flag.FlagSet) {
	f.IntVar(&p.rounds, "rounds", 10, "rounds, each of a quiet time and one of cutovers")
	f.IntVar(&p.swings, "swings", 100, "cutovers in a round")
	f.DurationVar(&p.every, "every", 80*time.Millisecond, "between two cutovers")
	f.DurationVar(&p.quiet, "quiet", 3*time.Second, "quiet time of a round")
	f.DurationVar(&p.warm, "warm", 2*time.Second, "traffic before the first round")
}

// trial is a bridge with traffic over it.
type trial struct {
	name   string
	routes int
	bridge bridge
	plan   plan

	traffic traffic
	streams *streams
	ended   error // what the streams ended with
	costs   []cost
}

// swingsCommand cuts over under traffic and prints a row of the table.
func swingsCommand(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("swings", flag.ContinueOnError)
	t, c := &trial{traffic: traffic{slowness: slowness}}, colors{}
	t.plan.flags(f)
	c.flags(f)
	f.StringVar(&t.traffic.address, "visitors", "", "address that visitors dial")
	f.IntVar(&t.traffic.rate, "rate", 2000, "requests/s")
	f.IntVar(&t.routes, "routes", 1, "apps with a route each")
	socket := f.String("socket", "", "control socket of the proxy")
	contrast := f.Bool("contrast", false, "the proxy is a Caddy that is reloaded, and may fail")
	if err := subcommand.Parse(f, args); err != nil {
		return err
	}
	if *contrast {
		t.name, t.bridge = "Caddy, reloaded", newReloader(*socket)
	} else {
		s := newSwingbridge(*socket, c)
		if err := s.fill(ctx, t.routes); err != nil {
			return err
		}
		t.name, t.bridge = "Swingbridge", s
	}
	defer t.bridge.close()
	if err := t.run(ctx); err != nil {
		return err
	}
	if err := t.print(out); err != nil {
		return err
	}
	if *contrast {
		return nil
	}
	return t.verdict(ctx)
}

// streamsEach is how many WebSockets, and event streams, are open to each app.
const streamsEach = 5

// run sends traffic and cuts over.
func (t *trial) run(ctx context.Context) (err error) {
	t.traffic.host, t.traffic.turns = ownHost, &turns{names: names()}
	if t.streams, err = openStreams(ctx, t.traffic.address, streamsEach, ownHost, otherHost); err != nil {
		return err
	}
	coming, stop := context.WithCancel(ctx)
	gone := make(chan struct{})
	go func() { defer close(gone); t.traffic.run(coming) }()
	err = t.rounds(ctx)
	stop()
	<-gone
	t.ended = t.streams.end()
	return err
}

// The phases of a round, counted from 0.
func before(round int) int32 { return int32(1 + 2*round) }
func during(round int) int32 { return int32(2 + 2*round) }

func (t *trial) rounds(ctx context.Context) error {
	if err := wait(ctx, t.plan.warm); err != nil {
		return err
	}
	for round := range t.plan.rounds {
		t.traffic.phase.Store(before(round))
		if err := wait(ctx, t.plan.quiet); err != nil {
			return err
		}
		t.traffic.phase.Store(during(round))
		tick := time.NewTicker(t.plan.every)
		defer tick.Stop()
		for range t.plan.swings {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			t.traffic.turns.begin()
			c, err := t.bridge.swing(ctx, len(t.costs)+1)
			if err != nil {
				return fmt.Errorf("cutover %d: %w", len(t.costs)+1, err)
			}
			t.traffic.turns.end()
			t.costs = append(t.costs, c)
		}
		t.traffic.phase.Store(0)
	}
	return nil
}

// verdict is nil if visitors did not notice anything.
func (t *trial) verdict(ctx context.Context) error {
	err := errors.Join(t.traffic.tally.complaint(), t.ended)
	if s, ok := t.bridge.(*swingbridge); ok {
		err = errors.Join(err, s.atRest(ctx))
	}
	return err
}

const trialColumns = "| %-15s | %6s | %8s | %8s | %6s | %6s | %13s | %12s | %11s | %11s | %-24s | %-17s | %-19s | %-19s |\n"

func headCommand(_ context.Context, args []string, out io.Writer) error {
	if err := subcommand.Parse(flag.NewFlagSet("head", flag.ContinueOnError), args); err != nil {
		return err
	}
	fmt.Fprintf(out, trialColumns, "", "routes", "cutovers", "requests", "failed", "stale", "old after new", "streams kept",
		"p50 before", "p99 before", "p99 during ÷ before", "swap p50, p99", "durable p50, p99", "call p50, p99")
	_, err := fmt.Fprintln(out, "| --- |"+strings.Repeat(" ---: |", 13))
	return err
}

// print prints the trial's row: times of requests in ms, of cutovers in µs.
func (t *trial) print(out io.Writer) error {
	var half, most, ratio []float64
	for round := range t.plan.rounds {
		was, is := t.traffic.tally.sorted(before(round)), t.traffic.tally.sorted(during(round))
		if len(was) == 0 || len(is) == 0 {
			return fmt.Errorf("round %d has no answers to take times of", round)
		}
		half, most = append(half, figure.Quantile(was, 0.5)), append(most, figure.Quantile(was, 0.99))
		ratio = append(ratio, figure.Quantile(is, 0.99)/most[round])
	}
	slices.Sort(half)
	slices.Sort(most)
	slices.Sort(ratio)
	median := func(sorted []float64) string { return figure.Show(figure.Quantile(sorted, 0.5)) }
	s := &t.traffic.tally
	_, err := fmt.Fprintf(out, trialColumns, t.name, fmt.Sprint(t.routes), fmt.Sprint(len(t.costs)), fmt.Sprint(s.total()),
		fmt.Sprint(s.failed), fmt.Sprint(s.stale), fmt.Sprint(s.old), fmt.Sprintf("%d of %d", t.streams.kept(), t.streams.opened),
		median(half)+" ms", median(most)+" ms",
		fmt.Sprintf("%s (%s to %s)", median(ratio), figure.Show(ratio[0]), figure.Show(ratio[len(ratio)-1])),
		t.costOf(func(c cost) time.Duration { return c.swap }),
		t.costOf(func(c cost) time.Duration { return c.durable }),
		t.costOf(func(c cost) time.Duration { return c.call }))
	return err
}

// costOf is p50 and p99 of one part of the cutovers' cost.
func (t *trial) costOf(part func(cost) time.Duration) string {
	var all []float64
	for _, c := range t.costs {
		all = append(all, figure.US(part(c)))
	}
	slices.Sort(all)
	if len(all) == 0 || all[len(all)-1] == 0 {
		return ""
	}
	return figure.Show(figure.Quantile(all, 0.5)) + ", " + figure.Show(figure.Quantile(all, 0.99)) + " µs"
}
