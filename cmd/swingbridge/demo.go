package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/github/minihub"
	"github.com/swingbridge/swingbridge/server/api"
	"github.com/swingbridge/swingbridge/server/api/client"
)

const (
	demoHost = "harbor.localhost"
	// demoRequests is how many requests each push is met with at least.
	demoRequests = 2000
	demoBudget   = 4 * time.Minute
)

func (p *program) demo() *cobra.Command {
	var keep bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole thing on this machine: a good push, a broken push, traffic all along",
		Long: `Show the whole thing on this machine, with a sample app and no GitHub account.

A forge on this machine sends signed pushes. The first becomes the app's first
version. The second is built, started beside it, probed and swung in, while
visitors send requests without a pause. The third is broken: its server ends at
once, and nothing changes for visitors. The exit code is 0 only if all of it held.

It needs a Docker engine and nothing else, and removes what it made.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &demo{program: p, keep: keep}
			return d.run(cmd.Context())
		},
	}
	c.Flags().BoolVar(&keep, "keep", false, "leave it running until you press Ctrl-C, to look at the pages")
	return c
}

// demo is one showing.
type demo struct {
	*program
	keep bool

	dir   string
	forge *demoForge
	cfg   Config
	plant *plant
	api   *client.Client
	base  string
	quay  visitors // the visitors that stay all along
}

func (d *demo) run(ctx context.Context) (err error) {
	if d.dir, err = os.MkdirTemp("", "swingbridge-demo-"); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	if err := d.settings(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.forge.close()) }()
	log, err := os.Create(filepath.Join(d.dir, "server.log"))
	if err != nil {
		return fmt.Errorf("make the server's log: %w", err)
	}
	defer func() { _ = log.Close() }() // gone with the folder
	return d.serving(ctx, log, d.show)
}

// serving runs the server around show.
func (d *demo) serving(ctx context.Context, log io.Writer, show func(context.Context) error) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ready, ended := make(chan *plant, 1), make(chan error, 1)
	go func() {
		ended <- serve(serving, d.cfg, serveOptions{
			out: io.Discard, log: slog.New(slog.NewTextHandler(log, nil)), ready: func(p *plant) { ready <- p },
		})
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("start the server: %w", err)
	case d.plant = <-ready:
	}
	result := make(chan error, 1)
	go func() { result <- show(ctx) }()
	var err error
	select {
	case err = <-result:
	case err = <-ended:
		return errors.Join(errors.New("the server ended in the middle"), err)
	}
	err = errors.Join(err, d.cleanUp(context.WithoutCancel(ctx)))
	stop()
	return errors.Join(err, <-ended)
}

func (d *demo) settings(ctx context.Context) (err error) {
	secret := pipeline.NewID(time.Now())
	if d.forge, err = newDemoForge(ctx, d.dir, secret); err != nil {
		return err
	}
	ports, err := freePorts(ctx, 2)
	if err != nil {
		return err
	}
	environ := []string{
		"SWINGBRIDGE_DATA=" + filepath.Join(d.dir, "data"),
		"SWINGBRIDGE_LISTEN=" + ports[0], "SWINGBRIDGE_HTTP=" + ports[1], "SWINGBRIDGE_HTTPS=",
		"SWINGBRIDGE_ADMIN_TOKEN=" + pipeline.NewID(time.Now()), "SWINGBRIDGE_WEBHOOK_SECRET=" + secret,
		"SWINGBRIDGE_GITHUB_APP_ID=1", "SWINGBRIDGE_GITHUB_APP_KEY=" + d.forge.pem(),
		"SWINGBRIDGE_GITHUB_API_URL=" + d.forge.url + "api/", "SWINGBRIDGE_GITHUB_CLONE_URL=" + d.forge.url,
	}
	for _, kv := range d.environ {
		if strings.HasPrefix(kv, "DOCKER_") || strings.HasPrefix(kv, "SWINGBRIDGE_SUBNETS=") {
			environ = append(environ, kv)
		}
	}
	if d.cfg, err = loadConfig(environ); err != nil {
		return err
	}
	base, token := d.cfg.server()
	d.quay = visitors{address: ports[1], host: demoHost}
	d.api, err = client.New(base, token)
	return err
}

// freePorts finds addresses that nobody listens on now.
func freePorts(ctx context.Context, n int) ([]string, error) {
	var out []string
	var lc net.ListenConfig
	for range n {
		l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = l.Close() }() // it was only asked for its number
		out = append(out, l.Addr().String())
	}
	return out, nil
}

func (d *demo) prepare(ctx context.Context) error {
	d.base = "swingbridge-demo/" + d.plant.install + ":base"
	read, write := io.Pipe()
	go func() { write.CloseWithError(demoBase(write)) }()
	if err := d.plant.engine.Import(ctx, d.base, read); err != nil {
		return err
	}
	name, repo := "harbor", demoRepo
	files, routes := []string{"compose.yml"}, []pipeline.Route{{Host: demoHost, Service: "web", Port: 8000}}
	_, err := d.api.CreateApp(ctx, api.AppChange{Name: &name, Repo: &repo, Compose: &files, Routes: &routes})
	if err != nil {
		return fmt.Errorf("add the app: %w", err)
	}
	fmt.Fprintf(d.err, "app %s follows main of %s, visitors come to %s\n", name, repo, demoHost)
	return nil
}

// underTraffic plays the push while visitors come, with some before and some
// after it.
func (d *demo) underTraffic(ctx context.Context, play func(context.Context) error) (*visitors, error) {
	v := &visitors{address: d.quay.address, host: d.quay.host}
	coming, stop := context.WithCancel(ctx)
	defer stop()
	gone := make(chan struct{})
	go func() { defer close(gone); v.run(coming) }()
	err := v.await(ctx, 200)
	if err == nil {
		err = play(ctx)
	}
	if err == nil {
		total, _, _ := v.counts()
		err = v.await(ctx, max(demoRequests, total+200))
	}
	stop()
	<-gone
	total, failed, last := v.counts()
	fmt.Fprintf(d.out, "%d requests, %d failed, the last answer was %q\n", total, failed, last)
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d of %d requests failed, the first with: %s", failed, total, v.first)
	}
	return v, err
}

// await waits until so many requests were answered.
func (v *visitors) await(ctx context.Context, n int) error {
	for {
		if total, _, _ := v.counts(); total >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %d requests: %w", n, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// check waits for the deployment's check run to be closed.
func (d *demo) check(ctx context.Context, deployment string) (minihub.CheckRun, error) {
	for {
		for _, run := range d.forge.hub.CheckRuns() {
			if run.ExternalID == deployment && run.Status == "completed" {
				return run, nil
			}
		}
		select {
		case <-ctx.Done():
			return minihub.CheckRun{}, fmt.Errorf("wait for the check at GitHub: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (d *demo) linger(ctx context.Context) {
	base, token := d.cfg.server()
	fmt.Fprintf(d.out, "\nPages: %s/login with the token %s\nApp:   curl -H 'Host: %s' http://%s/\nLog:   %s\nPress Ctrl-C to end and remove it all.\n",
		base, token, demoHost, d.quay.address, filepath.Join(d.dir, "server.log"))
	<-ctx.Done()
}

// cleanUp removes what the demo made on the engine.
func (d *demo) cleanUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	fmt.Fprintln(d.err, "\nremoving what the demo made")
	var gone *client.Error
	err := d.api.RemoveApp(ctx, "harbor")
	if errors.As(err, &gone) && gone.Status == 404 {
		err = nil
	}
	return errors.Join(err,
		d.plant.engine.RemoveImage(ctx, d.base),
		d.plant.engine.RemoveNetwork(ctx, d.plant.engine.EdgeName()),
	)
}
