package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Config is every setting, read from the environment. A secret may also be
// given as NAME_FILE, the path of a file that holds it. Nothing else in the
// program reads the environment.
type Config struct {
	// Data is the folder where Swingbridge keeps everything.
	Data string `env:"SWINGBRIDGE_DATA" envDefault:"./data"`
	// Listen is where UI, API and webhooks are served.
	Listen string `env:"SWINGBRIDGE_LISTEN" envDefault:"127.0.0.1:8080"`
	// HTTP and HTTPS are where visitors come in; an empty HTTPS means no TLS.
	HTTP  string `env:"SWINGBRIDGE_HTTP" envDefault:":80"`
	HTTPS string `env:"SWINGBRIDGE_HTTPS" envDefault:":443"`
	// Proxy is unix:PATH of a proxy process; empty means in process.
	Proxy string `env:"SWINGBRIDGE_PROXY"`
	// URL and Token say where a command finds the server, and who it is.
	URL   string `env:"SWINGBRIDGE_URL"`
	Token string `env:"SWINGBRIDGE_TOKEN"`
	// DatabaseURL names another database than the SQLite file in Data.
	DatabaseURL string `env:"SWINGBRIDGE_DATABASE_URL"`
	// PublicURL is the base of links given to GitHub.
	PublicURL string `env:"SWINGBRIDGE_PUBLIC_URL"`
	// SecretKey is 32 bytes in base64 that seal secrets; empty: made at first
	// start, in a file of Data.
	SecretKey string `env:"SWINGBRIDGE_SECRET_KEY"`
	// AdminToken is an API token with the admin role.
	AdminToken string `env:"SWINGBRIDGE_ADMIN_TOKEN"`
	// WebhookSecret is what GitHub signs deliveries with.
	WebhookSecret string `env:"SWINGBRIDGE_WEBHOOK_SECRET"`
	// GitHubToken, or GitHubAppID with GitHubAppKey (PEM), is who we are on GitHub.
	GitHubToken  string `env:"SWINGBRIDGE_GITHUB_TOKEN"`
	GitHubAppID  int64  `env:"SWINGBRIDGE_GITHUB_APP_ID"`
	GitHubAppKey string `env:"SWINGBRIDGE_GITHUB_APP_KEY"`
	// GitHubAPIURL is GitHub's REST base.
	GitHubAPIURL string `env:"SWINGBRIDGE_GITHUB_API_URL" envDefault:"https://api.github.com/"`
	// GitHubCloneURL and owner/name.git make the address of a repository.
	GitHubCloneURL string `env:"SWINGBRIDGE_GITHUB_CLONE_URL" envDefault:"https://github.com/"`
	// Subnets is where the networks that Swingbridge makes take theirs from.
	Subnets string `env:"SWINGBRIDGE_SUBNETS" envDefault:"10.201.0.0/16"`
	// ImagesLimit is how much the kept images of one app may take, such as 20GB;
	// empty: as much as its kept releases have.
	ImagesLimit string `env:"SWINGBRIDGE_IMAGES_LIMIT"`
	// FreeSpace is what must be free on the engine's disk before a build; 0: it
	// is not looked at.
	FreeSpace string `env:"SWINGBRIDGE_FREE_SPACE" envDefault:"500MB"`
	// TLSInternal has certificates issued by an authority of our own, for
	// networks that no public authority reaches.
	TLSInternal bool `env:"SWINGBRIDGE_TLS_INTERNAL"`
	// ACMECA and ACMEEmail name another authority than Let's Encrypt by its
	// directory URL, and whom it may write to; ACMERoots is a PEM file that
	// proves the authority's own certificate, where the system's do not.
	ACMECA    string `env:"SWINGBRIDGE_ACME_CA"`
	ACMEEmail string `env:"SWINGBRIDGE_ACME_EMAIL"`
	ACMERoots string `env:"SWINGBRIDGE_ACME_ROOTS"`
	// Certificates is a folder of own certificates: NAME.crt with NAME.key, or
	// folders with fullchain.pem and privkey.pem.
	Certificates string `env:"SWINGBRIDGE_CERTIFICATES"`
	// HTTP3 serves HTTP/3 too, on the UDP port of HTTPS.
	HTTP3 bool `env:"SWINGBRIDGE_HTTP3" envDefault:"true"`
	// AccessLog keeps a line for each request of an app, in DATA/proxy/access.
	AccessLog bool `env:"SWINGBRIDGE_ACCESS_LOG" envDefault:"true"`
	// TrustedProxies are the addresses and ranges, separated by commas, whose
	// X-Forwarded-* headers are believed.
	TrustedProxies string `env:"SWINGBRIDGE_TRUSTED_PROXIES"`
	// DockerHost, DockerCertPath and DockerTLSVerify are Docker's own.
	DockerHost      string `env:"DOCKER_HOST"`
	DockerCertPath  string `env:"DOCKER_CERT_PATH"`
	DockerTLSVerify string `env:"DOCKER_TLS_VERIFY"`
	// NotifySocket is systemd's: where a proxy says that it serves.
	NotifySocket string `env:"NOTIFY_SOCKET"`

	pool        netip.Prefix
	imagesLimit int64 // bytes; 0: none
	freeSpace   int64 // bytes
	trusted     []netip.Prefix
}

// secretNames are the settings that may also be given as NAME_FILE.
func secretNames() []string {
	return []string{
		"SWINGBRIDGE_TOKEN", "SWINGBRIDGE_DATABASE_URL", "SWINGBRIDGE_SECRET_KEY", "SWINGBRIDGE_ADMIN_TOKEN",
		"SWINGBRIDGE_WEBHOOK_SECRET", "SWINGBRIDGE_GITHUB_TOKEN", "SWINGBRIDGE_GITHUB_APP_KEY",
	}
}

// loadConfig reads and checks the settings; environ is in the form of
// os.Environ.
func loadConfig(environ []string) (Config, error) {
	vars := env.ToMap(environ)
	if err := readSecretFiles(vars); err != nil {
		return Config{}, err
	}
	if err := refuseUnknown(vars); err != nil {
		return Config{}, err
	}
	var c Config
	if err := env.ParseWithOptions(&c, env.Options{Environment: vars}); err != nil {
		return Config{}, badSetting(err, vars)
	}
	// An empty value is a value here: no such listener.
	if v, set := vars["SWINGBRIDGE_HTTPS"]; set {
		c.HTTPS = v
	}
	if v, set := vars["SWINGBRIDGE_HTTP"]; set {
		c.HTTP = v
	}
	return c, c.check()
}

// badSetting names the variable that a parse error is about; the library names
// the field.
func badSetting(err error, vars map[string]string) error {
	params, perr := env.GetFieldParams(&Config{})
	if perr != nil {
		return errors.Join(err, perr)
	}
	var parse env.ParseError
	if errors.As(err, &parse) {
		for _, p := range params {
			if field, ok := reflect.TypeFor[Config]().FieldByName(parse.Name); ok && field.Tag.Get("env") == p.Key {
				return fmt.Errorf("%s %q: not a %s", p.Key, vars[p.Key], parse.Type)
			}
		}
	}
	return fmt.Errorf("read settings: %w", err)
}

func readSecretFiles(vars map[string]string) error {
	for _, name := range secretNames() {
		path := vars[name+"_FILE"]
		if path == "" { // as empty as an empty setting
			delete(vars, name+"_FILE")
			continue
		}
		if vars[name] != "" {
			return fmt.Errorf("%s and %s_FILE are both set: keep one", name, name)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("%s_FILE: %w", name, err)
		}
		vars[name] = strings.TrimRight(string(content), "\r\n")
		delete(vars, name+"_FILE")
	}
	return nil
}

func refuseUnknown(vars map[string]string) error {
	params, err := env.GetFieldParams(&Config{})
	if err != nil {
		return fmt.Errorf("list settings: %w", err)
	}
	known := map[string]bool{}
	for _, p := range params {
		known[p.Key] = true
	}
	for name := range vars {
		if strings.HasPrefix(name, "SWINGBRIDGE_") && !known[name] {
			return fmt.Errorf("unknown setting %s: see swingbridge serve --help for those that exist", name)
		}
	}
	return nil
}

func (c *Config) absolute() error {
	if c.Data == "" {
		return errors.New("SWINGBRIDGE_DATA: name a folder")
	}
	abs, err := filepath.Abs(c.Data)
	if err != nil {
		return fmt.Errorf("SWINGBRIDGE_DATA: %w", err)
	}
	c.Data = abs
	c.GitHubAPIURL = withSlash(c.GitHubAPIURL)
	c.GitHubCloneURL = withSlash(c.GitHubCloneURL)
	return nil
}

// socket is where the proxy's control socket is.
func (c *Config) socket() string {
	if c.Proxy != "" {
		return strings.TrimPrefix(c.Proxy, "unix:")
	}
	return filepath.Join(c.Data, "proxy.sock")
}

// server is where a command finds the server.
func (c *Config) server() (base, token string) {
	base, token = c.URL, c.Token
	if base == "" {
		base = "http://" + c.Listen
		if strings.HasPrefix(c.Listen, ":") {
			base = "http://127.0.0.1" + c.Listen
		}
	}
	if token == "" {
		token = c.AdminToken
	}
	return base, token
}

func withSlash(s string) string {
	if strings.HasSuffix(s, "/") {
		return s
	}
	return s + "/"
}
