package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/docker"
	"github.com/swingbridge/swingbridge/pipeline/folder"
	"github.com/swingbridge/swingbridge/pipeline/github"
	"github.com/swingbridge/swingbridge/pipeline/source"
	"github.com/swingbridge/swingbridge/server"
	"github.com/swingbridge/swingbridge/server/auth"
	"github.com/swingbridge/swingbridge/server/command"
	"github.com/swingbridge/swingbridge/server/events"
	"github.com/swingbridge/swingbridge/server/logs"
	"github.com/swingbridge/swingbridge/server/proxy"
	"github.com/swingbridge/swingbridge/server/queue"
	"github.com/swingbridge/swingbridge/server/store"
)

const (
	// workers is how many deployments run at once, of different apps.
	workers = 4
	// headsEvery is how often branch heads are read without a delivery.
	headsEvery = time.Minute
	// reconcileEvery is how often what runs is compared with what should.
	reconcileEvery = 15 * time.Second
	// tryAgain is the pause before a deployment whose state could not be
	// written is taken up again.
	tryAgain = 5 * time.Second
)

// serveOptions is what serve needs besides the settings.
type serveOptions struct {
	out    io.Writer // where the one-time setup link is printed
	log    *slog.Logger
	labels map[string]string // put on everything made on the engine
	ready  func(*plant)      // called once everything listens
}

// plant is everything that serve wires together. Its fields are filled in the
// order in which they need each other.
type plant struct {
	cfg    Config
	log    *slog.Logger
	out    io.Writer
	labels map[string]string

	db       *store.Database
	store    *store.Store
	logs     *logs.Dir
	bus      *events.Bus
	auth     *auth.Auth
	queue    *queue.Queue
	engine   *docker.Engine
	local    *proxy.Proxy // nil where a proxy process has the data plane
	plane    dataPlane
	source   *source.Source
	folders  *folder.Folders
	github   *github.Client
	sender   *github.Sender
	runner   *pipeline.Runner
	heads    *pipeline.HeadWatch
	commands *command.Commands
	metrics  *server.Metrics
	server   *server.Server

	edgeReady atomic.Bool
	install   string
}

// dataPlane is what the control plane asks of the proxy, in process or not.
type dataPlane interface {
	pipeline.Proxy
	pipeline.Prover
	pipeline.Modes
	pipeline.Targets
	pipeline.Gauge
	Stats(ctx context.Context) (proxy.Stats, error)
}

// serve runs the control plane until ctx ends.
func serve(ctx context.Context, cfg Config, o serveOptions) (err error) {
	p := &plant{cfg: cfg, log: o.log, out: o.out, labels: o.labels}
	defer func() { err = errors.Join(err, p.close()) }()
	if err := p.build(ctx); err != nil {
		return err
	}
	return p.run(ctx, o.ready)
}

// build makes every part, from the database up.
func (p *plant) build(ctx context.Context) error {
	for _, part := range []func(context.Context) error{
		p.openStore, p.openEngine, p.openGitHub, p.openPlane, p.openRunner, p.openServer,
	} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *plant) openStore(ctx context.Context) (err error) {
	if err := os.MkdirAll(p.cfg.Data, 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	if p.db, err = store.OpenDatabase(ctx, p.cfg.Data); err != nil {
		return err
	}
	sealer, err := auth.LoadKey(p.cfg.Data, []byte(p.cfg.SecretKey))
	if err != nil {
		return err
	}
	p.bus = events.New()
	p.logs = logs.New(filepath.Join(p.cfg.Data, "logs"))
	p.metrics = server.NewMetrics(server.MetricsOptions{})
	p.store = store.New(p.db, store.Options{
		Sealer: sealer, Logger: p.log,
		Enqueue: func(ctx context.Context, tx *sql.Tx, d pipeline.Deployment) error {
			err := queue.Insert(ctx, tx, time.Now(), queue.Job{
				Kind: "deploy", SerialKey: d.AppID, UniqueKey: d.ID, Args: []byte(fmt.Sprintf(`{"deployment":%q}`, d.ID)),
			})
			if errors.Is(err, queue.ErrDuplicate) {
				return nil // its job is there: it was held back and is let go again
			}
			return err
		},
		Dequeue:   queue.Remove,
		Cancel:    queue.CancelIn,
		Canceled:  queue.CanceledIn,
		Committed: p.committed,
		Reports:   func(pipeline.App) []pipeline.ReportTarget { return p.github.Targets() },
	})
	if err := p.store.CheckSeals(ctx); err != nil {
		return err
	}
	if p.install, err = p.store.Installation(ctx); err != nil {
		return err
	}
	p.queue = queue.New(p.db.Write, p.db.Read, queue.Options{
		Worker: p.install + "-" + pipeline.NewID(time.Now()), Workers: workers, TakeBack: true, Logger: p.log, Handle: p.handle,
		Causes: []error{pipeline.ErrCanceled, pipeline.ErrRollBack},
	})
	p.auth, err = auth.New(auth.Options{
		Store: p.store, Setup: p.store, AdminToken: p.cfg.AdminToken,
		Secure: strings.HasPrefix(p.cfg.PublicURL, "https://"), Proxies: loopback(), Now: time.Now,
	})
	return err
}

// loopback is where our own proxy speaks from: its X-Forwarded-For is believed.
func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// committed spreads the news of a transaction. It must not block.
func (p *plant) committed(c store.Change) {
	if c.Canceled {
		p.queue.Heed()
		return // what comes of it is told when it comes
	}
	if c.Queued {
		p.queue.Wake()
	}
	if p.sender != nil {
		p.sender.Wake()
	}
	if c.State != "" && c.Step == "" {
		p.metrics.Deployment(c.State)
	}
	kind := "app"
	if c.Deployment != "" {
		kind = "deployment"
	}
	p.bus.Publish(events.Event{App: c.App, Deployment: c.Deployment, State: string(c.State), At: time.Now(), Kind: kind})
}

func (p *plant) openEngine(ctx context.Context) (err error) {
	p.engine, err = docker.New(ctx, docker.Options{
		Host: p.cfg.DockerHost, CertPath: p.cfg.DockerCertPath, TLSVerify: p.cfg.DockerTLSVerify != "",
		Installation: p.install, Folders: p.appFolders(), Logger: p.log, Labels: p.labels,
	})
	if err != nil {
		return fmt.Errorf("open container engine: %w", err)
	}
	return p.checkFolder(ctx)
}

// appFolders is where what binds name is kept, for each app by its id.
func (p *plant) appFolders() string { return filepath.Join(p.cfg.Data, "apps") }

func (p *plant) openGitHub(context.Context) (err error) {
	p.github, err = github.New(github.Options{
		BaseURL: p.cfg.GitHubAPIURL, Token: p.cfg.GitHubToken, AppID: p.cfg.GitHubAppID, AppKey: []byte(p.cfg.GitHubAppKey),
		PublicURL: p.cfg.PublicURL, Plain: p.cfg.HTTPS == "", Logger: p.log,
	})
	if err != nil {
		return err
	}
	p.sender = github.NewSender(github.SenderOptions{Client: p.github, Outbox: p.store, Logs: p.tail, Logger: p.log})
	p.source = source.New(source.Options{
		Dir: filepath.Join(p.cfg.Data, "git"), CloneURL: p.cfg.GitHubCloneURL, Token: p.github.GitToken, Logger: p.log,
	})
	return nil
}

// tail returns the last lines of a deployment's log, for GitHub.
func (p *plant) tail(deployment string, lines int) []string {
	out, err := p.logs.Tail(deployment, lines)
	if err != nil {
		p.log.Warn("read deployment log", "deployment", deployment, "error", err)
	}
	return out
}

func (p *plant) openPlane(context.Context) (err error) {
	p.metrics.Visitors(p.visitors)
	if p.cfg.Proxy != "" {
		p.plane = proxy.NewClient(p.cfg.socket())
		return nil
	}
	if p.local, err = proxy.New(planeOptions(p.cfg, p.log)); err != nil {
		return fmt.Errorf("prepare the data plane: %w", err)
	}
	p.plane = p.local
	return nil
}

// close gives back what build opened; parts that were never opened are nil.
func (p *plant) close() error {
	var errs []error
	if p.local != nil {
		errs = append(errs, p.local.Close())
	}
	if p.engine != nil {
		errs = append(errs, p.engine.Close())
	}
	if p.source != nil {
		p.source.Close()
	}
	if p.store != nil {
		errs = append(errs, p.store.Close())
	}
	if p.db != nil {
		errs = append(errs, p.db.Close())
	}
	return errors.Join(errs...)
}

// origin is the base of the pages, for people.
func (p *plant) origin() string {
	if p.cfg.PublicURL != "" {
		return strings.TrimSuffix(p.cfg.PublicURL, "/")
	}
	return "http://" + dialable(p.cfg.Listen)
}
