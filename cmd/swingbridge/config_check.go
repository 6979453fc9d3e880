package main

import (
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/proxy"
)

func (c *Config) check() (err error) {
	if c.pool, err = netip.ParsePrefix(c.Subnets); err != nil || !c.pool.Addr().Is4() || c.pool.Bits() > 20 {
		return fmt.Errorf("SWINGBRIDGE_SUBNETS %q: give an IPv4 range of at least /20 such as 10.201.0.0/16", c.Subnets)
	}
	c.pool = c.pool.Masked()
	if c.ImagesLimit != "" {
		if c.imagesLimit, err = pipeline.ParseBytes(c.ImagesLimit); err != nil {
			return fmt.Errorf("SWINGBRIDGE_IMAGES_LIMIT: %w", err)
		}
	}
	if c.freeSpace, err = pipeline.ParseBytes(c.FreeSpace); err != nil {
		return fmt.Errorf("SWINGBRIDGE_FREE_SPACE: %w", err)
	}
	if c.SecretKey != "" {
		// Several keys, the first one seals, the others only open: rotation.
		for _, key := range strings.Fields(c.SecretKey) {
			if raw, err := base64.StdEncoding.DecodeString(key); err != nil || len(raw) != 32 {
				return errors.New("SWINGBRIDGE_SECRET_KEY: give 32 bytes in base64, as from: openssl rand -base64 32")
			}
		}
	}
	if c.WebhookSecret != "" && len(c.WebhookSecret) < 16 {
		return errors.New("SWINGBRIDGE_WEBHOOK_SECRET: use at least 16 characters, as from: openssl rand -hex 32")
	}
	if c.AdminToken != "" && len(c.AdminToken) < 16 {
		return errors.New("SWINGBRIDGE_ADMIN_TOKEN: use at least 16 characters, as from: openssl rand -hex 32")
	}
	if (c.GitHubAppID != 0) != (c.GitHubAppKey != "") {
		return errors.New("SWINGBRIDGE_GITHUB_APP_ID and SWINGBRIDGE_GITHUB_APP_KEY belong together: set both or neither")
	}
	if c.DatabaseURL != "" {
		return errors.New("SWINGBRIDGE_DATABASE_URL: this version keeps its records in SQLite only: unset it")
	}
	if err := errors.Join(c.checkAddresses(), c.checkFront()); err != nil {
		return err
	}
	if block, _ := pem.Decode([]byte(c.GitHubAppKey)); c.GitHubAppKey != "" && block == nil {
		return errors.New("SWINGBRIDGE_GITHUB_APP_KEY: not a private key in PEM, as GitHub hands it out")
	}
	if c.Proxy != "" && !strings.HasPrefix(c.Proxy, "unix:") {
		return fmt.Errorf("SWINGBRIDGE_PROXY %q: write unix:PATH", c.Proxy)
	}
	if c.Proxy != "" {
		if err := c.checkSocket(); err != nil {
			return err
		}
	}
	for _, u := range []struct{ name, value string }{
		{"SWINGBRIDGE_URL", c.URL}, {"SWINGBRIDGE_PUBLIC_URL", c.PublicURL},
		{"SWINGBRIDGE_GITHUB_API_URL", c.GitHubAPIURL}, {"SWINGBRIDGE_GITHUB_CLONE_URL", c.GitHubCloneURL},
		{"SWINGBRIDGE_ACME_CA", c.ACMECA},
	} {
		if err := checkURL(u.name, u.value); err != nil {
			return err
		}
	}
	return c.absolute()
}

// checkAddresses looks at the addresses to listen on before anything listens.
func (c *Config) checkAddresses() error {
	for _, a := range []struct {
		name, value string
		may         bool // be empty
	}{
		{"SWINGBRIDGE_LISTEN", c.Listen, false}, {"SWINGBRIDGE_HTTP", c.HTTP, true}, {"SWINGBRIDGE_HTTPS", c.HTTPS, true},
	} {
		if a.value == "" && a.may {
			continue
		}
		_, port, err := net.SplitHostPort(a.value)
		n, perr := strconv.Atoi(port)
		if err != nil || perr != nil || n < 0 || n > 65535 {
			return fmt.Errorf("%s %q: write HOST:PORT or :PORT", a.name, a.value)
		}
	}
	if c.HTTP == "" && c.HTTPS == "" {
		return errors.New("SWINGBRIDGE_HTTP and SWINGBRIDGE_HTTPS are both empty: visitors need one of them")
	}
	return nil
}

// checkFront looks at how visitors are met.
func (c *Config) checkFront() error {
	c.trusted = nil
	for _, text := range strings.FieldsFunc(c.TrustedProxies, func(r rune) bool { return r == ',' || r == ' ' }) {
		prefix, err := netip.ParsePrefix(text)
		if addr, aerr := netip.ParseAddr(text); aerr == nil {
			prefix, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return fmt.Errorf("SWINGBRIDGE_TRUSTED_PROXIES %q: write addresses or ranges such as 10.0.0.0/8, with commas in between", text)
		}
		c.trusted = append(c.trusted, prefix.Masked())
	}
	if c.TLSInternal && c.ACMECA != "" {
		return errors.New("SWINGBRIDGE_TLS_INTERNAL and SWINGBRIDGE_ACME_CA are both set: certificates come from one of them")
	}
	if c.Certificates != "" {
		if info, err := os.Stat(c.Certificates); err != nil || !info.IsDir() {
			return errors.Join(fmt.Errorf("SWINGBRIDGE_CERTIFICATES %q: name a folder that is there", c.Certificates), err)
		}
	}
	if c.ACMERoots != "" {
		if _, err := os.Stat(c.ACMERoots); err != nil {
			return fmt.Errorf("SWINGBRIDGE_ACME_ROOTS: %w", err)
		}
	}
	return nil
}

func checkURL(name, value string) error {
	if value == "" {
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%s %q: give a URL that begins with https:// or http://", name, value)
	}
	if u.User != nil {
		return fmt.Errorf("%s: leave user and password out of the URL", name)
	}
	return nil
}

// checkSocket looks whether the control socket can have its path.
func (c *Config) checkSocket() error {
	err := proxy.CheckSocket(c.socket())
	switch {
	case err == nil:
		return nil
	case c.Proxy != "":
		return fmt.Errorf("SWINGBRIDGE_PROXY: %w: name a shorter path", err)
	}
	return fmt.Errorf("SWINGBRIDGE_DATA: %w: choose a shorter folder, or name a socket elsewhere with SWINGBRIDGE_PROXY=unix:PATH", err)
}
