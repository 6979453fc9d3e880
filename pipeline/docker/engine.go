package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/client"
	"github.com/docker/go-connections/tlsconfig"

	"github.com/swingbridge/swingbridge/pipeline"
)

var _ pipeline.Engine = (*Engine)(nil)

// settle is how long an act that the engine has begun may go on after its
// caller gave up. Making and starting a container take well under a second.
const settle = 15 * time.Second

// Options says which engine, and whose things on it are ours.
type Options struct {
	Host         string // DOCKER_HOST; empty: the local socket
	CertPath     string // DOCKER_CERT_PATH: folder with ca.pem, cert.pem, key.pem
	TLSVerify    bool   // DOCKER_TLS_VERIFY: the engine's certificate must be of that ca
	Installation string // short id that every name and label carries
	ConfigFile   string // registry credentials; empty: ~/.docker/config.json
	Folders      string // on the engine's host: holds data and files of each app, by its id; empty: nothing is bound
	Logger       *slog.Logger
	Labels       map[string]string // put on everything made, besides our own
}

// Engine is one Docker engine, seen by one installation.
type Engine struct {
	api          *client.Client
	installation string
	configFile   string
	folders      string
	log          *slog.Logger
	extra        map[string]string
	local        bool     // the engine's processes are this machine's
	own          sync.Map // IDs of containers that are known to have been made here, see check
}

// Info is what people and checks want to know about the engine.
type Info struct {
	Version      string // of the engine
	API          string // highest version of its API
	Storage      string // storage driver
	LiveRestore  bool   // containers survive an engine restart
	BridgeFilter bool   // iptables sees bridged packets: without it the edge does not isolate
}

// New makes the adapter. The engine need not answer yet: what it speaks is
// agreed on at the first call that reaches it.
func New(ctx context.Context, o Options) (*Engine, error) {
	if !isInstallation(o.Installation) {
		return nil, fmt.Errorf("%w installation id %q", pipeline.ErrInvalid, o.Installation)
	}
	opts, err := clientOptions(o)
	if err != nil {
		return nil, err
	}
	api, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, fmt.Errorf("docker client for %q: %w", o.Host, err)
	}
	e := &Engine{api: api, installation: o.Installation, configFile: o.ConfigFile, folders: o.Folders, log: o.Logger, extra: o.Labels}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	e.local = strings.HasPrefix(api.DaemonHost(), "unix://")
	if e.configFile == "" {
		if home, err := os.UserHomeDir(); err == nil {
			e.configFile = filepath.Join(home, ".docker", "config.json")
		}
	}
	if _, err := api.Ping(ctx); err != nil {
		e.log.WarnContext(ctx, "the container engine does not answer yet", "host", api.DaemonHost(), "error", err)
	}
	return e, nil
}

// clientOptions turns the settings into the client's. TLS comes before the host,
// which completes the transport that TLS made.
func clientOptions(o Options) ([]client.Opt, error) {
	host := o.Host
	if host == "" {
		host = client.DefaultDockerHost
	}
	scheme, _, _ := strings.Cut(host, "://")
	switch {
	case scheme == "ssh":
		return nil, fmt.Errorf("%w DOCKER_HOST %q: ssh is not supported, use unix or tcp with TLS", pipeline.ErrInvalid, host)
	case scheme != "unix" && o.TLSVerify && o.CertPath == "":
		return nil, fmt.Errorf("%w: DOCKER_TLS_VERIFY needs DOCKER_CERT_PATH", pipeline.ErrInvalid)
	}
	var opts []client.Opt
	if scheme != "unix" && o.CertPath != "" {
		tlsc, err := tlsconfig.Client(tlsconfig.Options{
			CAFile:             filepath.Join(o.CertPath, "ca.pem"),
			CertFile:           filepath.Join(o.CertPath, "cert.pem"),
			KeyFile:            filepath.Join(o.CertPath, "key.pem"),
			InsecureSkipVerify: !o.TLSVerify,
		})
		if err != nil {
			return nil, fmt.Errorf("read the engine's certificates in %s: %w", o.CertPath, err)
		}
		opts = append(opts, client.WithHTTPClient(&http.Client{
			Transport:     &http.Transport{TLSClientConfig: tlsc},
			CheckRedirect: client.CheckRedirect,
		}))
	}
	return append(opts, client.WithHost(host), client.WithAPIVersionNegotiation()), nil
}

// Close gives back the connections to the engine. Containers go on.
func (e *Engine) Close() error { return e.api.Close() }

// Ping asks the engine what it is. An error wrapping pipeline.ErrUnreachable if
// it does not answer.
func (e *Engine) Ping(ctx context.Context) (Info, error) {
	version, err := e.api.ServerVersion(ctx)
	if err != nil {
		return Info{}, said(err, "ask the engine for its version")
	}
	info, err := e.api.Info(ctx)
	if err != nil {
		return Info{}, said(err, "ask the engine about itself")
	}
	return Info{
		Version: version.Version, API: version.APIVersion, Storage: info.Driver,
		LiveRestore: info.LiveRestoreEnabled, BridgeFilter: bridgeFilter(info.Warnings),
	}, nil
}

// bridgeFilter reads from the engine's warnings whether iptables sees bridged
// packets; the field that said so is gone from newer engines.
func bridgeFilter(warnings []string) bool {
	for _, w := range warnings {
		if strings.Contains(w, "bridge-nf-call-iptables is disabled") {
			return false
		}
	}
	return true
}

// outlive returns a context that ends some time after ctx does, see settle. What the engine has
// begun cannot be recalled; waiting it out makes its outcome known.
func outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	long, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(settle, cancel)
		context.AfterFunc(long, func() { timer.Stop() })
	})
	return long, func() {
		stop()
		cancel()
	}
}

// looking returns a context to look at the engine with where its answer did not
// come. It outlives ctx, but not for long: whoever stops the server waits, and
// the next one looks again.
func looking(ctx context.Context) (context.Context, context.CancelFunc) {
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookFor)
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(lookLast, cancel)
		context.AfterFunc(look, func() { timer.Stop() })
	})
	return look, func() {
		stop()
		cancel()
	}
}

// pause waits between two looks at the engine.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// RemoveApp ends and removes all of the app's containers, networks and images,
// whatever state they are in, and keeps its volumes. It does all it can and
// reports everything that it could not.
func (e *Engine) RemoveApp(ctx context.Context, appID string) error {
	if appID == "" {
		return fmt.Errorf("%w: no app given", pipeline.ErrInvalid)
	}
	return errors.Join(
		e.removeContainers(ctx, appID),
		e.removeNetworks(ctx, appID),
		e.removeImages(ctx, appID),
	)
}
