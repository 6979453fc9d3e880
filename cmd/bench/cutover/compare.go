package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/swingbridge/swingbridge/cmd/bench/figure"
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
	address := f.String("visitors", "", "address of the proxy")
	plain := f.String("plain", "", "address of the plain proxy")
	what := f.String("what", "throughput", "name of the figures")
	rounds := f.Int("rounds", 8, "counted rounds")
	f.IntVar(&t.visitors, "connections", 32, "connections")
	f.DurationVar(&t.lasts, "for", 2*time.Second, "time of one round of each")
	if err := parse(f, args); err != nil {
		return err
	}
	at := [2]string{*address, *plain}
	var rates [2][]float64
	for round := range *rounds + 1 {
		var rate [2]float64
		for k := range at {
			who := (k + round) % 2
			var err error
			if rate[who], err = t.measure(ctx, at[who]); err != nil {
				return fmt.Errorf("%s: %w", at[who], err)
			}
		}
		if round > 0 { // the first one warms up
			rates[0], rates[1] = append(rates[0], rate[0]), append(rates[1], rate[1])
		}
	}
	for _, row := range []figure.Row{
		{What: *what, Unit: "/s", Runs: rates[0]},
		{What: *what + ", plain ReverseProxy", Unit: "/s", Runs: rates[1]},
		{What: *what + " ÷ plain ReverseProxy", Runs: figure.Ratios(rates[0], rates[1]), Goal: figure.AtLeast(0.95)},
	} {
		if err := row.Print(out); err != nil {
			return err
		}
	}
	return nil
}

// measure returns requests/s.
func (t throughput) measure(ctx context.Context, address string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, t.lasts)
	defer cancel()
	var count atomic.Int64
	errs := make([]error, t.visitors)
	var wg sync.WaitGroup
	begin := time.Now()
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
	took := time.Since(begin).Seconds()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return float64(count.Load()) / took, nil
}
