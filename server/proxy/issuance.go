package proxy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

const (
	// After a host's first failure its authority is left alone for this long,
	// and twice as long after each further one: Let's Encrypt takes five
	// failed validations of a host in an hour.
	issueAgain    = 2 * time.Minute
	longestBefore = time.Hour

	// After an attempt that was given up, which the authority hears of too.
	issueGivenUp = 10 * time.Second
)

// issuance remembers for which hosts no certificate could be had. Without it
// every visitor's handshake would begin another order.
type issuance struct {
	now func() time.Time

	mu    sync.Mutex
	hosts map[string]failing
}

// failing is a host without a certificate.
type failing struct {
	times int
	until time.Time // nothing is asked for before
}

func newIssuance(now func() time.Time) *issuance {
	return &issuance{now: now, hosts: map[string]failing{}}
}

// failed notes that no certificate was issued.
func (i *issuance) failed(host string, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f := i.hosts[host]
	pause := issueGivenUp
	if !errors.Is(err, context.Canceled) {
		pause = min(issueAgain<<min(f.times, 10), longestBefore)
		f.times++
	}
	f.until = i.now().Add(pause)
	i.hosts[host] = f
}

// obtained forgets a host's failures.
func (i *issuance) obtained(host string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.hosts, host)
}

// allowed returns why no certificate may be asked for now.
func (i *issuance) allowed(host string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if f := i.hosts[host]; i.now().Before(f.until) {
		return fmt.Errorf("no certificate could be had for %s, the next attempt is at %s", host, f.until.UTC().Format(time.RFC3339))
	}
	return nil
}

// issuanceModule hears from Caddy how issuing went.
type issuanceModule struct {
	Proxy string `json:"proxy"`

	proxy *Proxy
}

func (issuanceModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.swingbridge_issuance", New: func() caddy.Module { return new(issuanceModule) }}
}

// Provision finds the proxy.
func (m *issuanceModule) Provision(caddy.Context) (err error) {
	m.proxy, err = known().find(m.Proxy)
	return err
}

// Handle implements caddyevents.Handler.
func (m *issuanceModule) Handle(_ context.Context, e caddy.Event) error {
	name, _ := e.Data["identifier"].(string)
	if host := canonicalHost(name); e.Name() == "cert_failed" {
		err, _ := e.Data["error"].(error)
		m.proxy.issuance.failed(host, err)
	} else {
		m.proxy.issuance.obtained(host)
	}
	return nil
}

// events is the configuration of Caddy's events.
func (p *Proxy) events() object {
	return object{"subscriptions": list{object{
		"events":   list{"cert_failed", "cert_obtained"},
		"handlers": list{object{"handler": "swingbridge_issuance", "proxy": p.id}},
	}}}
}

var (
	_ caddyevents.Handler = (*issuanceModule)(nil)
	_ caddy.Provisioner   = (*issuanceModule)(nil)
)
