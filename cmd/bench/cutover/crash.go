package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/swingbridge/swingbridge/cmd/bench/subcommand"
	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/proxy"
)

// trafficCommand sends mixed traffic while a script does harm. It fails if
// visitors noticed.
func trafficCommand(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("traffic", flag.ContinueOnError)
	t := &traffic{host: ownHost, slowness: slowness}
	f.StringVar(&t.address, "visitors", "", "address that visitors dial")
	f.IntVar(&t.rate, "rate", 2000, "requests/s")
	lasts := f.Duration("for", 10*time.Second, "how long")
	what := f.String("what", "traffic", "what happens meanwhile")
	if err := subcommand.Parse(f, args); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, *lasts)
	defer cancel()
	t.run(bounded)
	s := &t.tally
	fmt.Fprintf(out, "%s: %d requests, %d failed, %d stale\n", *what, s.total(), s.failed, s.stale)
	return s.complaint()
}

// tableCommand fills a proxy's table.
func tableCommand(ctx context.Context, args []string, _ io.Writer) error {
	f := flag.NewFlagSet("table", flag.ContinueOnError)
	var c colors
	c.flags(f)
	socket := f.String("socket", "", "control socket of the proxy")
	routes := f.Int("routes", 1, "apps with a route each")
	if err := subcommand.Parse(f, args); err != nil {
		return err
	}
	s := newSwingbridge(*socket, c)
	defer s.close()
	return s.fill(ctx, *routes)
}

// controllerCommand cuts over without a pause, as no control plane does, so
// that whoever kills it most likely kills it in the middle of a call. It goes on
// from where the one before it was killed.
func controllerCommand(ctx context.Context, args []string, _ io.Writer) error {
	f := flag.NewFlagSet("controller", flag.ContinueOnError)
	var c colors
	c.flags(f)
	socket := f.String("socket", "", "control socket of the proxy")
	if err := subcommand.Parse(f, args); err != nil {
		return err
	}
	s := newSwingbridge(*socket, c)
	defer s.close()
	e, err := s.client.Entry(ctx, "app0")
	if err != nil {
		return err
	}
	s.was = e.Version
	turn := int(e.Version)
	for ctx.Err() == nil {
		turn++
		_, err := s.swing(ctx, turn)
		if errors.Is(err, pipeline.ErrConflict) {
			// The call of the one that was killed went on after the kill.
			if e, err = s.client.Entry(ctx, "app0"); err == nil {
				s.was = e.Version
			}
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// ownerCommand waits until that process is the proxy.
func ownerCommand(ctx context.Context, args []string, _ io.Writer) error {
	f := flag.NewFlagSet("owner", flag.ContinueOnError)
	socket, pid := f.String("socket", "", "control socket"), f.Int("pid", 0, "the process")
	if err := subcommand.Parse(f, args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := proxy.NewClient(*socket)
	for {
		h, err := c.Health(ctx)
		c.Close() // the next one may be answered by another process
		if err == nil && h.Ready && h.PID == *pid {
			return nil
		}
		if waited := wait(ctx, 5*time.Millisecond); waited != nil {
			return fmt.Errorf("process %d is not the proxy, %d is (%w)", *pid, h.PID, errors.Join(err, waited))
		}
	}
}

// agreeCommand fails unless visitors are on the color that the table names.
func agreeCommand(ctx context.Context, args []string, _ io.Writer) error {
	f := flag.NewFlagSet("agree", flag.ContinueOnError)
	socket := f.String("socket", "", "control socket of the proxy")
	address := f.String("visitors", "", "address that visitors dial")
	if err := subcommand.Parse(f, args); err != nil {
		return err
	}
	c := proxy.NewClient(*socket)
	defer c.Close()
	e, err := c.Entry(ctx, "app0")
	if err != nil {
		return err
	}
	a, err := (&visitor{address: *address, host: ownHost}).fresh(ctx)
	if err == nil && a.release != string(e.Color) {
		err = fmt.Errorf("the table names %s, and %s answers", e.Color, a.release)
	}
	return err
}

// backCommand prints the time from a start to the first good answer, in ms.
func backCommand(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("back", flag.ContinueOnError)
	address := f.String("visitors", "", "address that visitors dial")
	since := f.Float64("since", 0, "when it was started, Unix time in seconds")
	host := f.String("host", ownHost, "host to ask for")
	if err := subcommand.Parse(f, args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	v := &visitor{address: *address, host: *host}
	for {
		if _, err := v.fresh(ctx); err == nil {
			break
		} else if waited := wait(ctx, time.Millisecond); waited != nil {
			return fmt.Errorf("no good answer: %w", err)
		}
	}
	took := float64(time.Now().UnixNano())/1e6 - *since*1000
	_, err := fmt.Fprintf(out, "%.1f\n", took)
	return err
}
