package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/swingbridge/swingbridge/cmd/bench/figure"
	"github.com/swingbridge/swingbridge/cmd/bench/subcommand"
	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/proxy"
)

const (
	swapRate    = 1000 // requests/s during all of it
	swapPairs   = 15   // of a quiet stretch and one with swaps
	swapRuns    = 5    // that the pairs are dealt out to, so that each has early and late ones
	swapStretch = 500 * time.Millisecond
	swapEvery   = 100 * time.Millisecond // far more often than any host deploys
)

// bridge is a running proxy with two colors behind it.
type bridge struct {
	client  *proxy.Client
	visitor string // address that visitors dial
	colors  [2]netip.AddrPort
}

// swapFigures prints what a swap costs at 1, 100 and 1,000 routes, and what it
// costs those who visit meanwhile.
func swapFigures(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("swap", flag.ContinueOnError)
	socket := f.String("socket", "", "control socket of the proxy")
	visitor := f.String("visitors", "", "address that the proxy serves visitors on")
	if err := subcommand.Parse(f, args); err != nil {
		return err
	}
	b := &bridge{client: proxy.NewClient(*socket), visitor: *visitor}
	defer b.client.Close()
	stop, err := b.serveColors(ctx)
	if err != nil {
		return err
	}
	defer stop()
	medians := map[int]float64{}
	have := 0
	for _, n := range []int{1, 100, 1000} {
		for ; have < n; have++ {
			if _, err := b.client.Swing(ctx, b.entry(have, 0), 0); err != nil {
				return fmt.Errorf("add route %d: %w", have, err)
			}
		}
		if medians[n], err = b.measure(ctx, n, out); err != nil {
			return fmt.Errorf("%d routes: %w", n, err)
		}
	}
	return figure.Row{What: "swap, 1,000 routes ÷ 1 route", Runs: []float64{medians[1000] / medians[1]}}.Print(out)
}

// serveColors answers with the name of the color on two ports.
func (b *bridge) serveColors(ctx context.Context) (stop func(), err error) {
	var servers []*http.Server
	stop = func() {
		for _, s := range servers {
			_ = s.Close() // nobody asks any more
		}
	}
	for i, name := range []string{"blue", "green"} {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			stop()
			return nil, err
		}
		b.colors[i] = netip.MustParseAddrPort(l.Addr().String())
		s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, name) // the visitor will notice
		})}
		servers = append(servers, s)
		go func() { _ = s.Serve(l) }() // ends with Close
	}
	return stop, nil
}

func (b *bridge) entry(app, turn int) pipeline.Entry {
	return pipeline.Entry{
		AppID: fmt.Sprint("app", app), App: fmt.Sprint("app", app), Deployment: fmt.Sprintf("d%d-%d", app, turn), Commit: "c0ffee",
		Color: []pipeline.Color{pipeline.Blue, pipeline.Green}[turn%2],
		Paths: []pipeline.Path{{Host: host(app), Prefix: "/", Targets: []netip.AddrPort{b.colors[turn%2]}}},
	}
}

func host(app int) string { return fmt.Sprintf("h%d.bench", app) }

// swaps is what the swaps of one table size cost.
type swaps struct{ swap, durable, call []float64 }

// measure swaps one route of n under load.
func (b *bridge) measure(ctx context.Context, n int, out io.Writer) (median float64, err error) {
	now, err := b.client.Entry(ctx, "app0")
	if err != nil {
		return 0, err
	}
	l := &load{address: b.visitor, host: host(0), every: time.Second / swapRate, connections: 32}
	l.right.color = [2]string{"blue", "green"}
	if now.Color == pipeline.Green { // where the last table size ended
		l.right.turn.Store(2)
	}
	coming, end := context.WithCancel(ctx)
	gone := make(chan struct{})
	go func() { defer close(gone); l.run(coming) }()
	s, err := b.swapUnder(ctx, l, now)
	end()
	<-gone
	if err != nil {
		return 0, err
	}
	if len(l.failed) > 0 {
		return 0, fmt.Errorf("%d requests failed, the first: %s", len(l.failed), l.failed[0])
	}
	return figure.Quantile(slices.Sorted(slices.Values(s.swap)), 0.5), s.print(out, n, l)
}

func (s *swaps) print(out io.Writer, n int, l *load) error {
	var before, during []float64
	for run := range int32(swapRuns) {
		quiet, err1 := l.p99(1 + 2*run)
		swapped, err2 := l.p99(2 + 2*run)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		before, during = append(before, quiet), append(during, swapped)
	}
	at := fmt.Sprintf(", %d routes", n)
	if n == 1 {
		at = ", 1 route"
	}
	for _, row := range []figure.Row{
		{What: "swap" + at, Unit: "µs", Runs: s.swap, Goal: figure.AtMost(1000)},
		{What: "made durable before it" + at, Unit: "µs", Runs: s.durable},
		{What: "the proxy's answer to it" + at, Unit: "µs", Runs: s.call},
		{What: "request p99, quiet" + at, Unit: "ms", Runs: before},
		{What: "request p99, during swaps ÷ quiet" + at, Runs: figure.Ratios(during, before), Goal: figure.AtMost(1.5)},
	} {
		if err := row.Print(out); err != nil {
			return err
		}
	}
	return nil
}

// swapUnder swaps to and fro in every other stretch of the load.
func (b *bridge) swapUnder(ctx context.Context, l *load, now pipeline.Entry) (*swaps, error) {
	s := &swaps{}
	if err := wait(ctx, time.Second); err != nil { // connections open, caches warm
		return s, err
	}
	was, turn := now.Version, int(l.right.now()/2)
	for pair := range int32(swapPairs) {
		run := pair % swapRuns
		l.phase.Store(1 + 2*run)
		if err := wait(ctx, swapStretch); err != nil {
			return s, err
		}
		l.phase.Store(2 + 2*run)
		for range int(swapStretch / swapEvery) {
			if err := wait(ctx, swapEvery); err != nil {
				return s, err
			}
			turn++
			l.right.turn.Add(1)
			begin := time.Now()
			swung, err := b.client.Swing(ctx, b.entry(0, turn), was)
			if err != nil {
				return s, err
			}
			s.call = append(s.call, figure.US(time.Since(begin)))
			l.right.turn.Add(1)
			was = swung.Version
			s.swap, s.durable = append(s.swap, figure.US(swung.Swap)), append(s.durable, figure.US(swung.Durable))
		}
		l.phase.Store(0)
	}
	return s, nil
}
