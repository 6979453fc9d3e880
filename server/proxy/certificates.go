package proxy

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// lookEvery is how often handshakes look whether certificate files changed.
const lookEvery = 2 * time.Second

// ownCertificates are those that an operator keeps as files: NAME.crt with
// NAME.key, or a folder with fullchain.pem and privkey.pem. They come before
// those that an authority issues, as long as they are valid. A nil one has none.
type ownCertificates struct {
	folder string
	log    *slog.Logger
	now    func() time.Time

	looking sync.Mutex // guards what follows
	looked  time.Time
	pairs   map[string]*pair // by path of the certificate
	failed  bool             // the folder could not be read, and that was said

	byName atomic.Pointer[map[string][]*tls.Certificate]
}

// pair is a certificate and its key.
type pair struct {
	stamp string // of the files as they were last read
	cert  *tls.Certificate
}

// newOwnCertificates reads the folder, which must be there; nil for no folder.
func newOwnCertificates(folder string, log *slog.Logger, now func() time.Time) (*ownCertificates, error) {
	if folder == "" {
		return nil, nil
	}
	c := &ownCertificates{folder: folder, log: log, now: now, pairs: map[string]*pair{}}
	c.byName.Store(&map[string][]*tls.Certificate{})
	return c, c.look()
}

// find returns a certificate for the handshake, nil if there is none.
func (c *ownCertificates) find(hello *tls.ClientHelloInfo) *tls.Certificate {
	c.refresh()
	name, names, now := canonicalHost(hello.ServerName), *c.byName.Load(), c.now()
	for _, known := range []string{name, wildcardOf(name)} {
		for _, cert := range names[known] {
			if now.Before(cert.Leaf.NotAfter) && now.After(cert.Leaf.NotBefore) && hello.SupportsCertificate(cert) == nil {
				return cert
			}
		}
	}
	return nil
}

// wildcardOf is the name of the certificate for all hosts beside this one.
func wildcardOf(name string) string {
	_, parent, _ := strings.Cut(name, ".")
	return "*." + parent
}

// refresh looks at the files now and then. One handshake does it, others go on.
func (c *ownCertificates) refresh() {
	if !c.looking.TryLock() {
		return
	}
	defer c.looking.Unlock()
	if c.now().Sub(c.looked) < lookEvery {
		return
	}
	err := c.look()
	if err != nil && !c.failed {
		c.log.Warn("certificates stay as they were", "error", err)
	}
	c.failed = err != nil
}

// look reads what has changed. A pair that cannot be read stays as it was: its
// files may be about to be written.
func (c *ownCertificates) look() error {
	c.looked = c.now()
	files, err := certificateFiles(c.folder)
	if err != nil {
		return fmt.Errorf("SWINGBRIDGE_CERTIFICATES: %w", err)
	}
	changed := false
	for certFile, keyFile := range files {
		p := c.pairs[certFile]
		if p == nil {
			p = new(pair)
			c.pairs[certFile] = p
		}
		stamp := stampOf(certFile) + stampOf(keyFile)
		if stamp == p.stamp {
			continue
		}
		p.stamp = stamp
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			c.log.Warn("a certificate cannot be used", "file", certFile, "error", err)
			continue
		}
		p.cert, changed = &cert, true
		c.log.Info("certificate read", "file", certFile, "names", cert.Leaf.DNSNames, "until", cert.Leaf.NotAfter)
	}
	maps.DeleteFunc(c.pairs, func(file string, _ *pair) bool {
		_, there := files[file]
		changed = changed || !there
		return !there
	})
	if changed {
		c.index()
	}
	return nil
}

// index makes the lookup by name, what is valid longest first.
func (c *ownCertificates) index() {
	names := map[string][]*tls.Certificate{}
	for _, p := range c.pairs {
		if p.cert == nil {
			continue
		}
		for _, name := range p.cert.Leaf.DNSNames {
			name = canonicalHost(name)
			names[name] = append(names[name], p.cert)
		}
	}
	for _, certs := range names {
		slices.SortFunc(certs, func(a, b *tls.Certificate) int { return b.Leaf.NotAfter.Compare(a.Leaf.NotAfter) })
	}
	c.byName.Store(&names)
}

// certificateFiles finds the pairs in a folder: certificate to key.
func certificateFiles(folder string) (map[string]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		if name, ok := strings.CutSuffix(path, ".crt"); ok {
			out[path] = name + ".key"
			continue
		}
		chain := filepath.Join(path, "fullchain.pem") // as certbot has it
		if _, err := os.Stat(chain); err == nil {
			out[chain] = filepath.Join(path, "privkey.pem")
		}
	}
	return out, nil
}

// stampOf changes when the file does.
func stampOf(file string) string {
	info, err := os.Stat(file)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %d;", info.ModTime().UnixNano(), info.Size())
}

// presentOwn has the TLS listener ask for own certificates first, before Caddy
// looks into its cache: a certificate that an authority has issued for the same
// host would come first otherwise. Hosts that nobody has get none.
func (p *Proxy) presentOwn(app any) {
	own, server := p.own, (*caddyhttp.Server)(nil)
	if web, ok := app.(*caddyhttp.App); ok {
		server = web.Servers["https"]
	}
	if own == nil || server == nil {
		return
	}
	for _, policy := range server.TLSConnPolicies {
		issued := policy.TLSConfig.GetCertificate
		policy.TLSConfig.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			challenge := slices.Equal(hello.SupportedProtos, []string{"acme-tls/1"}) // RFC 8737
			if !challenge && p.serves(canonicalHost(hello.ServerName)) {
				if cert := own.find(hello); cert != nil {
					return cert, nil
				}
			}
			return issued(hello)
		}
	}
}
