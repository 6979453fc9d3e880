package proxy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// object is a piece of Caddy's configuration. It is written as Caddy documents
// it (https://caddyserver.com/docs/json/), and Caddy checks it strictly.
type object map[string]any

type list []any

const (
	maxHeader = 64 << 10 // bytes; Caddy's 16 KiB is too little for some sign-on cookies

	// A visitor who neither reads nor sends for this long is gone. It is not
	// a limit on how long a request takes: a long poll or an event stream
	// may be silent for hours, an upload may take as long as it moves.
	stall = 2 * time.Minute

	// From the first byte of a request's head, or of a handshake, to its last:
	// a first certificate comes within.
	headerTimeout = 30 * time.Second

	// Connections to a target are kept for less than any common app server
	// keeps its own side (gunicorn 2 s, uvicorn and Node 5 s): a POST sent on
	// a connection that the app closes at that moment cannot be repeated.
	keepUpstream = time.Second

	dialTimeout = 5 * time.Second
	dialOthers  = time.Second // where another target could be dialed instead
)

// limits bound how long visitors may take, and a file of the access log.
type limits struct {
	header, stall time.Duration
	log           int // MiB
}

func (l *limits) fill() {
	l.header = cmp.Or(l.header, headerTimeout)
	l.stall = cmp.Or(l.stall, stall)
	l.log = cmp.Or(l.log, accessSize)
}

// rootConfig is the configuration without its apps.
func (p *Proxy) rootConfig() object {
	return object{
		"admin": object{"disabled": true, "config": object{"persist": false}},
		"logging": object{"logs": object{"default": object{
			"writer": object{"output": "swingbridge_log", "proxy": p.id},
			"level":  "INFO",
		}}},
		"storage": object{"module": "file_system", "root": p.path("")},
	}
}

// appsConfig is the configuration of Caddy's apps.
func (p *Proxy) appsConfig() (caddy.ModuleMap, error) {
	servers := object{}
	if p.http != nil {
		servers["http"] = p.server(p.id, p.http, list{"h1"})
	}
	if p.https != nil {
		https := p.server(p.id+tlsSuffix, p.https, p.protocols())
		https["tls_connection_policies"] = list{object{}}
		servers["https"] = https
	}
	apps := object{
		"http": object{
			"http_port": p.http.port(80), "https_port": p.https.port(443),
			"grace_period": p.o.Grace.String(), "servers": servers,
		},
		"tls":    p.tlsConfig(),
		"events": p.events(),
	}
	if p.o.Internal {
		// Without this Caddy would put its authority in the system's trust store.
		apps["pki"] = object{"certificate_authorities": object{"local": object{"install_trust": false}}}
	}
	out := caddy.ModuleMap{}
	for name, config := range apps {
		raw, err := json.Marshal(config)
		if err != nil {
			return nil, fmt.Errorf("encode caddy's %s configuration: %w", name, err)
		}
		out[name] = raw
	}
	return out, nil
}

// server is one listener with the one route that all requests take.
func (p *Proxy) server(host string, l *listener, protocols list) object {
	s := object{
		"listen":    list{listenNetwork + "/" + net.JoinHostPort(host, fmt.Sprint(l.port(0)))},
		"protocols": protocols,
		// Certificates are had on demand and redirects made in serve, both
		// from the table; Caddy's automation knows only its configuration.
		"automatic_https":     object{"disable": true},
		"max_header_bytes":    maxHeader,
		"read_header_timeout": p.o.limits.header.String(),
		"read_idle_timeout":   p.o.limits.stall.String(),
		"write_idle_timeout":  p.o.limits.stall.String(),
		// A request that came before the handshake's end can be played again
		// by whoever saw it.
		"allow_0rtt": false,
		"routes": list{object{"handle": list{
			object{"handler": "swingbridge_route", "proxy": p.id},
			compress(),
			object{"handler": "swingbridge_forward", "proxy": p.id},
		}}},
	}
	if len(p.o.TrustedProxies) > 0 {
		s["trusted_proxies"] = object{"source": "static", "ranges": p.o.TrustedProxies}
		s["trusted_proxies_strict"] = 1
	}
	return s
}

func (p *Proxy) tlsConfig() object {
	issuer := object{"module": "internal"}
	if !p.o.Internal {
		issuer = object{"module": "acme", "challenges": object{
			"http":     object{"alternate_port": p.http.port(80), "disabled": p.http == nil},
			"tls-alpn": object{"alternate_port": p.https.port(443)},
		}}
		if p.o.ACME.CA != "" {
			issuer["ca"] = p.o.ACME.CA
		}
		if p.o.ACME.Email != "" {
			issuer["email"] = p.o.ACME.Email
		}
		if len(p.o.ACME.Roots) > 0 {
			issuer["trusted_roots_pem_files"] = p.o.ACME.Roots
		}
	}
	return object{
		"automation": object{
			"policies":  list{object{"on_demand": true, "issuers": list{issuer}}},
			"on_demand": object{"permission": object{"module": "swingbridge_host", "proxy": p.id}},
		},
		// Its cleaning leaves an id in the home folder of the user.
		"disable_storage_clean": true,
	}
}

// tlsSuffix marks the name under which Caddy asks for the TLS listener.
const tlsSuffix = "-tls"

func cutTLS(host string) (id string, found bool) { return strings.CutSuffix(host, tlsSuffix) }
