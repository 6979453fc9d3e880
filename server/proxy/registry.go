package proxy

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// listenNetwork is the name under which Caddy asks for our listeners.
const listenNetwork = "swingbridge"

// registry finds a proxy by the id in its modules' configuration.
//
// It is the one package-level state here, and there is no way around it: Caddy
// keeps its module types in a global list and makes the modules itself from
// JSON, so a module can be told only the name of the table it is to use.
type registry struct {
	once sync.Once // registers the module types

	mu    sync.Mutex
	last  int
	items map[string]*Proxy

	// caddy serialises start and stop. Caddy's certificate cache is one per
	// process, made by the first start and ended by any stop.
	caddy sync.Mutex
}

//nolint:gochecknoglobals // see registry
var proxies = registry{items: map[string]*Proxy{}}

func known() *registry { return &proxies }

func (r *registry) add(p *Proxy) string {
	r.once.Do(registerModules)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	id := "proxy" + strconv.Itoa(r.last)
	r.items[id] = p
	return id
}

func (r *registry) remove(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.items, id)
}

func (r *registry) find(id string) (*Proxy, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.items[id]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("no proxy %q in this process", id)
}

// registerModules tells Caddy our module types.
func registerModules() {
	// Until our log is set up, Caddy would write to stderr.
	caddy.BufferedLog()
	caddy.RegisterModule(routeModule{})
	caddy.RegisterModule(forwardModule{})
	caddy.RegisterModule(permissionModule{})
	caddy.RegisterModule(logModule{})
	caddy.RegisterModule(compressModule{})
	caddy.RegisterModule(gzipModule{})
	caddy.RegisterModule(issuanceModule{})
	caddy.RegisterNetwork(listenNetwork, handListener)
	caddy.RegisterNetwork(quicNetwork, handPackets)
	caddyhttp.RegisterNetworkHTTP3(listenNetwork, quicNetwork)
}

// handListener gives Caddy a listener that we opened. Caddy's own would be
// opened with SO_REUSEPORT, by which a second server on the same port takes
// half of the visitors where it should fail to start.
func handListener(_ context.Context, _, host, _ string, _ uint, _ net.ListenConfig) (any, error) {
	p, err := known().find(host)
	if err == nil {
		return p.http, nil
	}
	id, tls := cutTLS(host)
	if !tls {
		return nil, err
	}
	if p, err = known().find(id); err != nil {
		return nil, err
	}
	return p.https, nil
}
