package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/swingbridge/swingbridge/cmd/bench/figure"
	"github.com/swingbridge/swingbridge/cmd/bench/subcommand"
)

// throughput is a closed loop: each visitor sends its next request when it has
// the answer.
type throughput struct {
	host     string
	visitors int
	lasts    time.Duration
}

// compareCommand prints the throughput of a proxy, of a plain one, and one
// divided by the other. They take turns, and who is first changes with each.
func compareCommand(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	t := throughput{host: ownHost}
	address, pid := f.String("visitors", "", "address of the proxy"), f.Int("pid", 0, "its process")
	plain, plainPID := f.String("plain", "", "address of the plain proxy"), f.Int("plain-pid", 0, "its process")
	what := f.String("what", "", "what follows the names of the figures")
	goal := f.Float64("at-least", 0, "goal of the ratio of throughput, 0 for none")
	rounds := f.Int("rounds", 8, "counted rounds")
	f.IntVar(&t.visitors, "connections", 32, "connections")
	f.DurationVar(&t.lasts, "for", 2*time.Second, "time of one round of each")
	if err := subcommand.Parse(f, args); err != nil {
		return err
	}
	at, pids := [2]string{*address, *plain}, [2]int{*pid, *plainPID}
	var rates, costs [2][]float64
	for round := range *rounds + 1 {
		for k := range at {
			who := (k + round) % 2
			rate, cost, err := t.measure(ctx, at[who], pids[who])
			if err != nil {
				return fmt.Errorf("%s: %w", at[who], err)
			}
			if round > 0 { // the first one warms up
				rates[who], costs[who] = append(rates[who], rate), append(costs[who], cost)
			}
		}
	}
	var bound figure.Goal
	if *goal > 0 {
		bound = figure.AtLeast(*goal)
	}
	for _, row := range []figure.Row{
		{What: "throughput" + *what, Unit: "/s", Runs: rates[0]},
		{What: "throughput, plain" + *what, Unit: "/s", Runs: rates[1]},
		{What: "throughput ÷ plain" + *what, Runs: figure.Ratios(rates[0], rates[1]), Goal: bound},
		{What: "CPU per request" + *what, Unit: "µs", Runs: costs[0]},
		{What: "CPU per request, plain" + *what, Unit: "µs", Runs: costs[1]},
		{What: "CPU per request ÷ plain" + *what, Runs: figure.Ratios(costs[0], costs[1])},
	} {
		if err := row.Print(out); err != nil {
			return err
		}
	}
	return nil
}

// measure returns requests/s, and what one costs the process in µs of CPU.
func (t throughput) measure(ctx context.Context, address string, pid int) (rate, cost float64, err error) {
	used, err := cpuTime(pid)
	if err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	count, err := t.ask(ctx, address)
	if err != nil {
		return 0, 0, err
	}
	took := time.Since(begin).Seconds()
	usedNow, err := cpuTime(pid)
	return float64(count) / took, figure.US(usedNow-used) / float64(count), err
}

// ask has the visitors ask and counts the answers.
func (t throughput) ask(ctx context.Context, address string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, t.lasts)
	defer cancel()
	var count atomic.Int64
	errs := make([]error, t.visitors)
	var wg sync.WaitGroup
	for i := range t.visitors {
		wg.Go(func() {
			v := &visitor{address: address, host: t.host}
			defer v.close()
			for ctx.Err() == nil && errs[i] == nil {
				if _, errs[i] = v.keepAlive(context.WithoutCancel(ctx)); errs[i] == nil {
					count.Add(1)
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return count.Load(), nil
}

// cpuTime is what the process has used so far, in user and in kernel mode. See
// proc(5): the fields after the name, which ends with the last parenthesis, are
// counted from 3; 14 and 15 are ticks of 10 ms.
func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var sum int64
	for _, field := range []int{14, 15} {
		ticks, err := strconv.ParseInt(fields[field-3], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read CPU time of process %d: %w", pid, err)
		}
		sum += ticks
	}
	return time.Duration(sum) * 10 * time.Millisecond, nil
}
