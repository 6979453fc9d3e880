package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"

	// The modules that the configuration names, besides those that our own
	// modules import.
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode/zstd"
	_ "github.com/caddyserver/caddy/v2/modules/caddypki"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
)

// engine is Caddy, running for one proxy.
//
// caddy.Run is not used: it keeps one configuration per process and replaces
// whatever ran before. The configuration is provisioned without its apps
// first; they are then loaded in a context of our own, which can be canceled.
type engine struct {
	apps   []caddy.App // started, the listening one last
	cancel context.CancelFunc
}

// startCaddy serves on the proxy's listeners.
func startCaddy(p *Proxy) (*engine, error) {
	known().caddy.Lock()
	defer known().caddy.Unlock()
	root, err := json.Marshal(p.rootConfig())
	if err != nil {
		return nil, fmt.Errorf("encode caddy's configuration: %w", err)
	}
	config := new(caddy.Config)
	if err := json.Unmarshal(root, config); err != nil {
		return nil, fmt.Errorf("read caddy's configuration: %w", err)
	}
	outer, err := caddy.ProvisionContext(config)
	if err != nil {
		return nil, fmt.Errorf("prepare caddy: %w", err)
	}
	if config.AppsRaw, err = p.appsConfig(); err != nil {
		return nil, err
	}
	ctx, cancel := caddy.NewContext(outer)
	e := &engine{cancel: cancel}
	if err := e.start(ctx, p); err != nil {
		e.end()
		return nil, fmt.Errorf("start caddy: %w", err)
	}
	return e, nil
}

// appNames lists Caddy's apps in the order they are started, the one that
// listens last.
func (p *Proxy) appNames() []string {
	if p.https != nil && p.o.Internal {
		return []string{"events", "pki", "tls", "http"}
	}
	return []string{"events", "tls", "http"}
}

// start loads the apps and starts them.
func (e *engine) start(ctx caddy.Context, p *Proxy) error {
	for _, name := range p.appNames() {
		loaded, err := ctx.App(name)
		if err != nil {
			return err
		}
		p.presentOwn(loaded)
		app, ok := loaded.(caddy.App)
		if !ok {
			return fmt.Errorf("%s is not an app", name)
		}
		if err := app.Start(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		e.apps = append(e.apps, app)
	}
	return nil
}

// shutdown lets the servers close what is idle now and what is in flight when
// it ends. It does not wait.
func (e *engine) shutdown() error {
	last := len(e.apps) - 1
	app := e.apps[last]
	e.apps = e.apps[:last]
	return app.Stop()
}

// stop ends what is left of Caddy: WebSockets are closed with a close frame.
func (e *engine) stop() {
	known().caddy.Lock()
	defer known().caddy.Unlock()
	e.end()
}

func (e *engine) end() {
	for _, app := range slices.Backward(e.apps) {
		_ = app.Stop() // Caddy's events, authority and TLS: none of them can fail
	}
	e.cancel()
}
