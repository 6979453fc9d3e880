package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server"
	"github.com/swingbridge/swingbridge/server/api"
	"github.com/swingbridge/swingbridge/server/auth"
	"github.com/swingbridge/swingbridge/server/store"
	"github.com/swingbridge/swingbridge/webhook"
)

// openServer makes what answers webhooks, programs and people.
func (p *plant) openServer(context.Context) error {
	calls, err := api.New(api.Options{
		Store: p.store, Commands: p.commands, Logs: p.logs,
		Follow: api.FollowLogOf(p.logs.Follow), Subscribe: api.SubscribeOf(p.bus.Subscribe),
		Doctor: p.doctor, Drift: p.runner.Drift, Logger: p.log,
	})
	if err != nil {
		return err
	}
	pages, err := p.pages()
	if err != nil {
		return err
	}
	o := server.Options{
		API: calls, Pages: pages, Auth: p.auth, Ready: p.checks(), Metrics: p.metrics, Listen: p.cfg.Listen, Logger: p.log, Now: time.Now,
	}
	if p.cfg.WebhookSecret != "" {
		o.Webhook = webhook.New(webhook.Options{
			Secret: []byte(p.cfg.WebhookSecret), Ledger: p.store, Now: time.Now, Logger: p.log, Count: func(outcome, _ string) { p.metrics.Delivery(pipeline.Outcome(outcome)) },
		})
	}
	p.server, err = server.New(o)
	return err
}

// newToken makes an API token and what is kept of it.
func newToken() (plain string, hash []byte) {
	plain = auth.NewToken()
	return plain, auth.HashToken(plain)
}

// run starts every part and waits for the end of ctx, or of one of them.
func (p *plant) run(ctx context.Context, ready func(*plant)) error {
	parts := []func(context.Context) error{
		p.server.Run, p.sender.Run, p.deploys, p.greets(ready),
		func(ctx context.Context) error { p.heads.Run(ctx); return nil },
	}
	if p.local != nil {
		parts = append(parts, p.local.Run)
	}
	return together(ctx, parts...)
}

// deploys works on the queue and keeps the world reconciled, as soon as engine
// and proxy answer.
func (p *plant) deploys(ctx context.Context) error {
	if p.local != nil {
		select {
		case <-p.local.Started():
		case <-ctx.Done():
			return nil
		}
	}
	if !p.awaitEdge(ctx) {
		return nil
	}
	p.finishLogs(ctx)
	p.runner.Stopping = ctx.Done()
	if err := p.store.Rejoin(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(reconcileEvery)
	defer tick.Stop()
	return together(ctx, p.queue.Run, func(ctx context.Context) error {
		p.runner.KeepReconciled(ctx, tick.C, p.current)
		return nil
	})
}

// finishLogs closes the logs of deployments that ended just before an
// interruption, so that nobody waits for more of them.
func (p *plant) finishLogs(ctx context.Context) {
	recent, err := p.store.Deployments(ctx, pipeline.DeploymentQuery{Page: pipeline.Page{Limit: 200}})
	for _, d := range recent {
		if d.State.Ended() {
			err = errors.Join(err, p.logs.Finish(d.ID))
		}
	}
	if err != nil {
		p.log.Warn("close the logs of ended deployments", "error", err)
	}
}

func (p *plant) current(ctx context.Context) ([]pipeline.App, []pipeline.Deployment, error) {
	apps, err := p.store.Apps(ctx)
	if err != nil {
		return nil, nil, err
	}
	active, err := p.store.Active(ctx)
	return apps, active, err
}

// awaitEdge makes the network on which the proxy reaches containers, waiting
// for an engine that does not answer yet; false if ctx ended before it did.
func (p *plant) awaitEdge(ctx context.Context) bool {
	for said := false; ; said = true {
		err := p.ensureEdge(ctx)
		if err == nil {
			p.edgeReady.Store(true)
			return true
		}
		if !said {
			p.log.Warn("waiting for the container engine", "error", err)
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Second):
		}
	}
}

func (p *plant) ensureEdge(ctx context.Context) error {
	used, err := p.engine.Subnets(ctx)
	if err != nil {
		return fmt.Errorf("list networks: %w", err)
	}
	name := p.engine.EdgeName()
	subnet, err := p.store.Edge(ctx)
	fresh := errors.Is(err, pipeline.ErrNotFound)
	if own := used[name]; fresh && len(own) == 1 {
		subnet, err = own[0], nil // made just before an interruption
	} else if fresh {
		subnet, err = pipeline.FreeSubnet(p.cfg.pool, pipeline.EdgeBits, others(used, name))
	}
	if err != nil {
		return fmt.Errorf("choose the edge subnet: %w", err)
	}
	// A subnet is free until the network is made: one that somebody else was
	// faster to take must not be kept.
	if err := p.engine.EnsureNetwork(ctx, pipeline.EdgeNetwork(name, subnet)); err != nil || !fresh {
		return err
	}
	return p.store.SetEdge(ctx, subnet, p.cfg.pool)
}

func others(used map[string][]netip.Prefix, own string) []netip.Prefix {
	used = maps.Clone(used)
	delete(used, own)
	return slices.Concat(slices.Collect(maps.Values(used))...)
}

// greets tells people where to go once everything listens.
func (p *plant) greets(ready func(*plant)) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-p.server.Started():
		case <-ctx.Done():
			return nil
		}
		fmt.Fprintf(p.out, "Swingbridge %s serves pages, API and webhooks on %s\n", version, p.server.Addr())
		if p.cfg.PublicURL != "" {
			fmt.Fprintf(p.out, "Links given to people and to GitHub begin with %s\n", p.origin())
		}
		if p.cfg.WebhookSecret == "" {
			fmt.Fprintln(p.out, "No webhook secret is set: deliveries are refused until SWINGBRIDGE_WEBHOOK_SECRET is.")
		}
		if err := p.setupLink(ctx); err != nil {
			p.log.Error("make the setup link", "error", err)
		}
		if ready != nil {
			ready(p)
		}
		<-ctx.Done()
		return nil
	}
}

// setupLink prints a one-time link where nobody could sign in otherwise.
func (p *plant) setupLink(ctx context.Context) error {
	tokens, err := p.store.Tokens(ctx)
	if err != nil || p.cfg.AdminToken != "" || len(tokens) > 0 {
		return err
	}
	token, err := p.auth.SetupToken(ctx)
	if err != nil || token == "" {
		return err
	}
	fmt.Fprintf(p.out, "Nobody can sign in yet. Open this link once, within a day:\n  %s/setup?token=%s\n", p.origin(), token)
	return nil
}

// checks are the parts of /readyz.
func (p *plant) checks() []server.Check {
	return []server.Check{
		{Name: "database", Needed: true, Check: func(ctx context.Context) error {
			_, err := p.store.Installation(ctx)
			return err
		}},
		{Name: "docker", Needed: true, Check: func(ctx context.Context) error {
			if _, err := p.engine.Ping(ctx); err != nil {
				return err
			}
			if !p.edgeReady.Load() {
				return errors.New("the edge network is not there yet")
			}
			return nil
		}},
		{Name: "proxy", Needed: true, Check: func(ctx context.Context) error {
			_, err := p.plane.Stats(ctx)
			return err
		}},
		{Name: "github", Every: time.Minute, Check: func(ctx context.Context) error {
			if len(p.github.Targets()) == 0 {
				return errors.New("no identity on GitHub is set: nothing is reported there")
			}
			_, err := p.github.Identity(ctx)
			return err
		}},
	}
}

// doctor says in sentences how the parts are.
func (p *plant) doctor(ctx context.Context) []api.Check {
	fixes := map[string]string{
		"database": "look at the server's log and at the disk of the data folder",
		"docker":   "start the engine, or correct DOCKER_HOST",
		"proxy":    "start swingbridge proxy, or correct SWINGBRIDGE_PROXY",
		"github":   "set SWINGBRIDGE_GITHUB_TOKEN, or a GitHub App, and check its permissions",
	}
	var out []api.Check
	for _, c := range p.checks() {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		err := c.Check(ctx)
		cancel()
		item := api.Check{Name: c.Name, OK: err == nil, Message: "answers"}
		if err != nil {
			item.Message, item.Fix = err.Error(), fixes[c.Name]
		}
		out = append(out, item)
	}
	hook := api.Check{Name: "webhook secret", OK: p.cfg.WebhookSecret != "", Message: "is set"}
	if !hook.OK {
		hook.Message, hook.Fix = "is not set: deliveries are refused", "set SWINGBRIDGE_WEBHOOK_SECRET here and at GitHub"
	}
	return append(out, hook)
}

// replayer decides once more about a stored delivery.
type replayer struct{ store *store.Store }

// Replay implements command.Replayer.
func (r replayer) Replay(ctx context.Context, id string) (pipeline.Delivery, error) {
	d, err := r.store.DeliveryByID(ctx, id)
	if err != nil {
		return pipeline.Delivery{}, err
	}
	e, err := webhook.Read(d.Event, d.Body)
	if err != nil {
		return pipeline.Delivery{}, fmt.Errorf("%w delivery: %w", pipeline.ErrInvalid, err)
	}
	again := e.Delivery("replay-"+pipeline.NewID(time.Now()), d.Body, time.Now())
	return r.store.Deliver(ctx, again, func(apps []pipeline.Standing) pipeline.Delivery {
		return webhook.Decide(e, again, apps)
	})
}
