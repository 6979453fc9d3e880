package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
)

// routeModule is the handler that chooses the deployment and counts.
type routeModule struct {
	Proxy string `json:"proxy"` // id in the registry

	proxy *Proxy
}

func (routeModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.swingbridge_route", New: func() caddy.Module { return new(routeModule) }}
}

// Provision finds the proxy.
func (m *routeModule) Provision(caddy.Context) (err error) {
	m.proxy, err = known().find(m.Proxy)
	return err
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (m *routeModule) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return m.proxy.serve(w, r, next)
}

// permissionModule allows certificates for hosts that visitors can reach.
type permissionModule struct {
	Proxy string `json:"proxy"`

	proxy *Proxy
}

func (permissionModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "tls.permission.swingbridge_host", New: func() caddy.Module { return new(permissionModule) }}
}

// Provision finds the proxy.
func (m *permissionModule) Provision(caddy.Context) (err error) {
	m.proxy, err = known().find(m.Proxy)
	return err
}

// CertificateAllowed implements caddytls.OnDemandPermission.
func (m *permissionModule) CertificateAllowed(_ context.Context, name string) error {
	host := canonicalHost(name)
	if !m.proxy.serves(host) {
		return fmt.Errorf("%w: no app has host %s", caddytls.ErrPermissionDenied, name)
	}
	if err := m.proxy.issuance.allowed(host); err != nil {
		return fmt.Errorf("%w: %w", caddytls.ErrPermissionDenied, err)
	}
	return nil
}

// logModule passes Caddy's log to ours.
type logModule struct {
	Proxy string `json:"proxy"`

	log *slog.Logger
}

func (logModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.writers.swingbridge_log", New: func() caddy.Module { return new(logModule) }}
}

// Provision finds the proxy's logger.
func (m *logModule) Provision(caddy.Context) error {
	p, err := known().find(m.Proxy)
	if err != nil {
		return err
	}
	m.log = p.log
	return nil
}

func (m *logModule) String() string                       { return "the log of " + m.Proxy }
func (m *logModule) WriterKey() string                    { return "swingbridge:" + m.Proxy }
func (m *logModule) OpenWriter() (io.WriteCloser, error)  { return m, nil }
func (m *logModule) Close() error                         { return nil }
func (m *logModule) Write(line []byte) (n int, err error) { m.record(line); return len(line), nil }

// record turns one of Caddy's JSON lines into a record. What Caddy calls
// information is for debugging here, except news about certificates.
func (m *logModule) record(line []byte) {
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		m.log.Warn("caddy", "line", string(bytes.TrimSpace(line)))
		return
	}
	name, _ := fields["logger"].(string)
	text, _ := fields["msg"].(string)
	level := slog.LevelDebug
	switch fields["level"] {
	case "warn":
		level = slog.LevelWarn
	case "error", "panic", "fatal", "dpanic":
		level = slog.LevelError
	case "info":
		if strings.HasPrefix(name, "tls.obtain") || strings.HasPrefix(name, "tls.renew") {
			level = slog.LevelInfo
		}
	}
	attrs := []slog.Attr{slog.String("caddy", name)}
	for key, value := range fields {
		switch key {
		case "logger", "msg", "level", "ts":
		default:
			attrs = append(attrs, slog.Any(key, value))
		}
	}
	m.log.LogAttrs(context.Background(), level, text, attrs...)
}

var (
	_ caddyhttp.MiddlewareHandler = (*routeModule)(nil)
	_ caddyhttp.MiddlewareHandler = (*forwardModule)(nil)
	_ caddy.CleanerUpper          = (*forwardModule)(nil)
	_ caddytls.OnDemandPermission = (*permissionModule)(nil)
	_ caddy.WriterOpener          = (*logModule)(nil)
	_ caddy.Provisioner           = (*routeModule)(nil)
	_ caddy.Provisioner           = (*forwardModule)(nil)
	_ caddy.Provisioner           = (*permissionModule)(nil)
	_ caddy.Provisioner           = (*logModule)(nil)
)
