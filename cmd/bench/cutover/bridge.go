package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/proxy"
)

const (
	ownHost   = "app0.bench"  // of the app that is deployed again and again
	otherHost = "other.bench" // of one that nobody deploys
)

// bridge is what cuts over: a turn is on one color, the next on the other.
type bridge interface {
	swing(ctx context.Context, turn int) (cost, error)
	close()
}

// cost is what one cutover took.
type cost struct {
	swap    time.Duration // in memory; 0 where there is no such thing
	durable time.Duration // writing and fsyncing before it
	call    time.Duration // for who asked for it
}

// colors are where the releases answer: the app's two, and the other app's.
type colors struct {
	own   [2]netip.AddrPort
	other netip.AddrPort
}

// flags adds the colors' flags; the result is there once they are parsed.
func (c *colors) flags(f *flag.FlagSet) {
	f.TextVar(&c.own[0], "blue", netip.AddrPort{}, "address of the blue release")
	f.TextVar(&c.own[1], "green", netip.AddrPort{}, "address of the green release")
	f.TextVar(&c.other, "other", netip.AddrPort{}, "address of the other app")
}

func names() [2]string { return [2]string{"blue", "green"} }

func hostOf(app int) string { return fmt.Sprintf("app%d.bench", app) }

// swingbridge cuts over by the control socket of a proxy.
type swingbridge struct {
	client *proxy.Client
	colors colors
	was    uint64 // version of the app's entry
}

func newSwingbridge(socket string, c colors) *swingbridge {
	return &swingbridge{client: proxy.NewClient(socket), colors: c}
}

func (s *swingbridge) close() { s.client.Close() }

func (s *swingbridge) entry(app, turn int) pipeline.Entry {
	id := fmt.Sprintf("app%d", app)
	return pipeline.Entry{
		AppID: id, App: id, Deployment: fmt.Sprintf("%s-%d", id, turn), Commit: "c0ffee",
		Color: []pipeline.Color{pipeline.Blue, pipeline.Green}[turn%2],
		Paths: []pipeline.Path{{Host: hostOf(app), Prefix: "/", Targets: []netip.AddrPort{s.colors.own[turn%2]}}},
	}
}

// fill puts n apps in the table, all on blue, and the other one.
func (s *swingbridge) fill(ctx context.Context, n int) error {
	other := pipeline.Entry{
		AppID: "other", App: "other", Deployment: "other-0", Commit: "c0ffee", Color: pipeline.Blue,
		Paths: []pipeline.Path{{Host: otherHost, Prefix: "/", Targets: []netip.AddrPort{s.colors.other}}},
	}
	have, err := s.client.Entries(ctx)
	if err != nil {
		return err
	}
	versions := map[string]uint64{}
	for _, e := range have {
		versions[e.AppID] = e.Version
	}
	for app := range n {
		e := s.entry(app, 0)
		if versions[e.AppID] > 0 && app > 0 {
			continue
		}
		swung, err := s.client.Swing(ctx, e, versions[e.AppID])
		if err != nil {
			return fmt.Errorf("add app %d: %w", app, err)
		}
		if app == 0 {
			s.was = swung.Version
		}
	}
	_, err = s.client.Swing(ctx, other, versions[other.AppID])
	return err
}

func (s *swingbridge) swing(ctx context.Context, turn int) (cost, error) {
	begin := time.Now()
	swung, err := s.client.Swing(ctx, s.entry(0, turn), s.was)
	if err != nil {
		return cost{}, err
	}
	s.was = swung.Version
	return cost{swap: swung.Swap, durable: swung.Durable, call: time.Since(begin)}, nil
}

// atRest reports an error if the proxy counts requests of the app that nobody
// makes any more: its drains would never end.
func (s *swingbridge) atRest(ctx context.Context) error {
	for begin := time.Now(); ; {
		stats, err := s.client.StatsOf(ctx, "app0")
		if err != nil {
			return err
		}
		open := 0
		for _, t := range stats.Traffic {
			open += t.Inflight
		}
		if open == 0 {
			return nil
		}
		if time.Since(begin) > patience {
			return fmt.Errorf("the proxy counts %d requests in flight after the last one ended", open)
		}
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// reloader cuts over by having a Caddy reload its configuration.
type reloader struct{ http *http.Client }

func newReloader(socket string) *reloader {
	return &reloader{&http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}}
}

func (r *reloader) close() { r.http.CloseIdleConnections() }

func (r *reloader) swing(ctx context.Context, turn int) (cost, error) {
	order, err := json.Marshal(turn % 2)
	if err != nil {
		return cost{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://caddy/", bytes.NewReader(order))
	if err != nil {
		return cost{}, err
	}
	begin := time.Now()
	resp, err := r.http.Do(req)
	if err != nil {
		return cost{}, err
	}
	defer func() { _ = resp.Body.Close() }() // read to its end
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("reload: %s: %s", resp.Status, text)
	}
	return cost{call: time.Since(begin)}, err
}
