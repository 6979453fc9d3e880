package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/swingbridge/swingbridge/server/proxy"
)

// settingsHelp lists the settings for people; CONTRACT for the outside.
const settingsHelp = `Settings (environment; a secret also as NAME_FILE):
  SWINGBRIDGE_DATA                 where everything is kept (./data)
  SWINGBRIDGE_LISTEN               UI, API, webhooks (127.0.0.1:8080)
  SWINGBRIDGE_HTTP, _HTTPS         visitors (:80, :443); empty HTTPS means no TLS
  SWINGBRIDGE_TLS_INTERNAL         certificates of an own authority, for LANs (false)
  SWINGBRIDGE_ACME_CA, _EMAIL      another authority by its directory URL (Let's Encrypt)
  SWINGBRIDGE_ACME_ROOTS           PEM file that proves that authority
  SWINGBRIDGE_CERTIFICATES         folder of own certificates, NAME.crt and NAME.key
  SWINGBRIDGE_HTTP3                HTTP/3 on the UDP port of HTTPS (true)
  SWINGBRIDGE_ACCESS_LOG           a line per request in DATA/proxy/access/APP.log (true)
  SWINGBRIDGE_TRUSTED_PROXIES      whose X-Forwarded-* are believed: ranges, commas
  SWINGBRIDGE_PROXY                unix:PATH of a "swingbridge proxy" (in process)
  SWINGBRIDGE_URL, _TOKEN          where a command finds the server, and who it is
  SWINGBRIDGE_PUBLIC_URL           base of links given to GitHub
  SWINGBRIDGE_SECRET_KEY           32 bytes in base64 (made at first start)
  SWINGBRIDGE_ADMIN_TOKEN          an API token with the admin role
  SWINGBRIDGE_WEBHOOK_SECRET       what GitHub signs deliveries with
  SWINGBRIDGE_GITHUB_TOKEN         identity on GitHub: a token, or
  SWINGBRIDGE_GITHUB_APP_ID, _KEY  a GitHub App
  SWINGBRIDGE_GITHUB_API_URL       REST base (https://api.github.com/)
  SWINGBRIDGE_GITHUB_CLONE_URL     base of clone addresses (https://github.com/)
  SWINGBRIDGE_SUBNETS              range for our networks (10.201.0.0/16)
  SWINGBRIDGE_IMAGES_LIMIT         what an app's kept images may take, as 20GB (no limit)
  SWINGBRIDGE_FREE_SPACE           what must be free before a build (500MB)
  DOCKER_HOST, DOCKER_CERT_PATH, DOCKER_TLS_VERIFY
  NOTIFY_SOCKET                    set by systemd: where proxy says that it serves`

func (p *program) serve() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the control plane and, unless SWINGBRIDGE_PROXY names another, the data plane",
		Long:  "Run the control plane (webhooks, UI, API, queue) and, unless SWINGBRIDGE_PROXY\nnames a proxy process, the data plane.\n\n" + settingsHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.config()
			if err != nil {
				return err
			}
			return serve(cmd.Context(), cfg, serveOptions{out: p.err, log: logger(p.err)})
		},
	}
}

// planeOptions are the settings of the data plane, in process or not.
func planeOptions(cfg Config, log *slog.Logger) proxy.Options {
	o := proxy.Options{
		HTTP: cfg.HTTP, HTTPS: cfg.HTTPS, DataDir: cfg.Data, Internal: cfg.TLSInternal, Logger: log,
		ACME: proxy.ACME{CA: cfg.ACMECA, Email: cfg.ACMEEmail}, Certificates: cfg.Certificates,
		NoHTTP3: !cfg.HTTP3, AccessLog: cfg.AccessLog, TrustedProxies: cfg.trusted,
	}
	if cfg.ACMERoots != "" {
		o.ACME.Roots = []string{cfg.ACMERoots}
	}
	if host := hostOf(cfg.PublicURL); host != "" {
		o.ControlPlane.Host, o.ControlPlane.Dial = host, dialable(cfg.Listen)
	}
	return o
}

// logger writes one line of text per event.
func logger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// together runs the parts until ctx ends or one of them does, then waits for
// all. The end of ctx is no error.
func together(ctx context.Context, parts ...func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan error)
	for _, part := range parts {
		go func() { results <- part(ctx) }()
	}
	var errs []error
	for range parts {
		if err := <-results; err != nil && !errors.Is(err, context.Canceled) {
			errs = append(errs, err)
		}
		cancel()
	}
	return errors.Join(errs...)
}

func hostOf(publicURL string) string {
	_, rest, _ := strings.Cut(publicURL, "://")
	host, _, _ := strings.Cut(rest, "/")
	host, _, _ = strings.Cut(host, ":")
	return host
}

// dialable is a listen address as one to connect to.
func dialable(listen string) string {
	if strings.HasPrefix(listen, ":") {
		return "127.0.0.1" + listen
	}
	return strings.Replace(listen, "0.0.0.0:", "127.0.0.1:", 1)
}
