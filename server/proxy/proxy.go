package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

const (
	ownFolder    = "proxy" // of the data folder: all that a proxy keeps, certificates too
	tableFile    = "proxy.table.json"
	lockFile     = "proxy.lock"
	defaultGrace = 20 * time.Second
)

// Options says how a proxy serves.
type Options struct {
	HTTP    string // address of the plain listener, empty for none
	HTTPS   string // address of the TLS listener; empty means no TLS
	DataDir string // its subfolder proxy has all that a proxy keeps

	// ControlPlane is a built-in route: all of Host goes to Dial. An empty
	// Host means no such route.
	ControlPlane ControlPlane

	Internal bool // certificates from an authority of our own, for tests and local networks
	ACME     ACME // where certificates come from otherwise

	// Certificates is a folder with certificates of the operator's own, which
	// come before both; empty for none.
	Certificates string

	// TrustedProxies are the addresses whose X-Forwarded-* headers are
	// believed. From anyone else they are replaced.
	TrustedProxies []netip.Prefix

	NoHTTP3 bool // HTTP/3 needs the HTTPS port as UDP too

	AccessLog bool          // a line for each request of an app, in DATA/proxy/access/APP.log
	Grace     time.Duration // longest drain when Run ends; 0 is 20 s
	Logger    *slog.Logger
	Now       func() time.Time

	limits limits            // replaced in tests
	at     func(step string) // tests: called at a step of a take-over
}

// ControlPlane says where the pages, the API and the webhooks are.
type ControlPlane struct {
	Host string // of SWINGBRIDGE_PUBLIC_URL
	Dial string // address:port
}

// ACME chooses the certificate authority. The zero value is Let's Encrypt.
type ACME struct {
	CA    string   // directory URL
	Roots []string // PEM files that prove the CA's own certificate
	Email string
}

// Proxy is the data plane of one data folder. It implements pipeline.Proxy and
// pipeline.Prover.
type Proxy struct {
	o       Options
	log     *slog.Logger
	id      string // under which Caddy's modules find this proxy
	lock    *os.File
	proofs  *proofs
	control *route // the built-in route, nil if there is none

	table    atomic.Pointer[table]
	changes  sync.Mutex              // serialises table changes and guards traffic
	traffic  map[string]*traffic     // by deployment id
	counters map[string]*appCounters // by app id, guarded by changes
	unsaved  bool                    // the table in memory is ahead of the file; guarded by changes
	save     func(t *table) error    // durable when it returns; replaced in tests

	http, https *listener
	quic        *net.UDPConn // nil: no HTTP/3
	access      *accessLog   // nil: none
	own         *ownCertificates
	issuance    *issuance
	conns       conns
	draining    atomic.Bool
	unrouted    atomic.Uint64 // requests for a host or path nobody has
	started     chan struct{}
	leaving     chan struct{} // closed when draining begins: nobody waits any more
	hands       succession
	release     sync.Once
}

var (
	_ pipeline.Proxy   = (*Proxy)(nil)
	_ pipeline.Prover  = (*Proxy)(nil)
	_ pipeline.Targets = (*Proxy)(nil)
	_ pipeline.Gauge   = (*Proxy)(nil)
	_ pipeline.Modes   = (*Proxy)(nil)
)

// New takes the data folder's lock and loads the routing table. It fails with
// ErrLocked if another proxy has the folder and with ErrDamaged if the table
// file cannot be trusted. Call Run, or Close if it is not to run after all.
func New(o Options) (*Proxy, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.path(""), 0o700); err != nil {
		return nil, fmt.Errorf("make the proxy's folder: %w", err)
	}
	lock, err := takeLock(o.path(lockFile))
	if err != nil {
		return nil, err
	}
	var p *Proxy
	if err = o.moveIn(); err == nil {
		p, err = build(o, lock)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return p, nil
}

// build makes the proxy that owns the lock.
func build(o Options, lock *os.File) (*Proxy, error) {
	p := &Proxy{
		o: o, log: o.Logger, lock: lock, proofs: newProofs(o.Now), issuance: newIssuance(o.Now),
		traffic: map[string]*traffic{}, counters: map[string]*appCounters{}, started: make(chan struct{}), leaving: make(chan struct{}), hands: newSuccession(),
	}
	p.save = func(t *table) error { return writeTable(p.path(tableFile), t) }
	if err := p.load(); err != nil {
		return nil, err
	}
	p.id = known().add(p)
	return p, nil
}

func (o *Options) check() error {
	if o.HTTP == "" && o.HTTPS == "" {
		return errors.New("proxy: no address to listen on: set SWINGBRIDGE_HTTP")
	}
	if o.DataDir == "" {
		return errors.New("proxy: no data folder: set SWINGBRIDGE_DATA")
	}
	o.ControlPlane.Host = canonicalHost(o.ControlPlane.Host)
	if o.ControlPlane.Host != "" && o.ControlPlane.Dial == "" {
		return errors.New("proxy: the control plane's host is known but not where it listens")
	}
	if o.Grace <= 0 {
		o.Grace = defaultGrace
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.limits.fill()
	if o.at == nil {
		o.at = func(string) {}
	}
	return nil
}

// load reads the table file and makes the built-in route.
func (p *Proxy) load() error {
	content, err := readTable(p.path(tableFile))
	if err != nil {
		return err
	}
	t := newTable(content.seq)
	p.table.Store(t)
	for _, e := range content.entries {
		made := p.entry(e)
		made.mode = content.modes[e.AppID]
		if t, err = t.with(made); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrDamaged, p.path(tableFile), err)
		}
	}
	p.table.Store(t)
	if p.o.ControlPlane.Host == "" {
		return nil
	}
	if routes := t.hosts[p.o.ControlPlane.Host]; len(routes) > 0 {
		p.log.Warn("an app's route has the control plane's host and is not reachable",
			"host", p.o.ControlPlane.Host, "app", routes[0].entry.App)
	}
	own := &entry{Entry: pipeline.Entry{App: "swingbridge"}, hsts: p.o.hsts(stack.Front{}), traffic: newTraffic("", p.o.Now), room: new(room)}
	p.control = &route{host: p.o.ControlPlane.Host, prefix: "/", entry: own, traffic: own.traffic}
	p.control.targets = []*target{{dial: p.o.ControlPlane.Dial}}
	return nil
}

func (p *Proxy) path(name string) string { return p.o.path(name) }

// path is that of a file in the proxy's own folder.
func (o *Options) path(name string) string { return filepath.Join(o.DataDir, ownFolder, name) }

// Started is closed once visitors are served.
func (p *Proxy) Started() <-chan struct{} { return p.started }

// Close gives back what New or TakeOver took. Run does it too.
func (p *Proxy) Close() error {
	var err error
	p.release.Do(func() {
		known().remove(p.id)
		err = p.lock.Close() // the lock goes with the last descriptor
		err = errors.Join(err, p.hands.from.leave())
	})
	return err
}

// Run serves until ctx ends or another process has taken over. Then it stops
// accepting, lets what is in flight end within Options.Grace, closes what is
// left, and returns.
func (p *Proxy) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, p.Close()) }()
	if err := p.listen(ctx); err != nil {
		return err
	}
	if p.own, err = newOwnCertificates(p.o.Certificates, p.log, p.o.Now); err != nil {
		p.stopListening()
		p.stopQUIC()
		return err
	}
	if p.o.AccessLog {
		if p.access, err = newAccessLog(p.path(accessFolder), p.o.limits.log, p.log); err != nil {
			p.log.Warn("there is no access log", "error", err) // and no reason to serve nobody
		}
		defer p.access.close()
	}
	engine, err := startCaddy(p)
	if err != nil {
		p.stopListening()
		p.stopQUIC()
		return err
	}
	if err := p.takeCharge(ctx); err != nil {
		p.stopListening()
		engine.stop()
		p.stopQUIC()
		return err
	}
	p.log.Info("proxy serves", "http", p.http.address(), "https", p.https.address(), "apps", len(p.table.Load().apps))
	close(p.started)
	defer makeRoom()()
	select {
	case <-ctx.Done():
		p.lastTurn()
	case <-p.hands.taken:
	}
	p.drain(engine)
	p.stopQUIC()
	p.hands.late.Wait()
	return nil
}
