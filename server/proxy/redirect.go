package proxy

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// redirection is a host of an app that only sends its visitors elsewhere.
type redirection struct {
	entry  *entry
	status int
	to     *url.URL // without scheme: the one that visitors are to use here
}

// place takes up the entry's redirects. It fails if a host has routes or is
// another app's, or if visitors would be sent in a circle.
func (t *table) place(e *entry) error {
	for _, r := range e.routes {
		if other, taken := t.redirects[r.host]; taken {
			return fmt.Errorf("%w: route %s%s: app %s redirects this host to %s",
				pipeline.ErrInvalid, r.host, r.prefix, other.entry.App, other.to.Host)
		}
	}
	for _, r := range e.Redirects {
		to, err := parseDestination(r.To)
		if err != nil {
			return err
		}
		if routes := t.hosts[r.Host]; len(routes) > 0 {
			return fmt.Errorf("%w redirect of %s: the host has routes of app %s", pipeline.ErrInvalid, r.Host, routes[0].entry.App)
		}
		if other, taken := t.redirects[r.Host]; taken {
			return fmt.Errorf("%w redirect of %s: app %s redirects this host", pipeline.ErrInvalid, r.Host, other.entry.App)
		}
		if t.redirects == nil {
			t.redirects = map[string]redirection{}
		}
		t.redirects[r.Host] = redirection{entry: e, status: statusOf(r), to: to}
	}
	for _, r := range e.Redirects {
		if path, circle := t.follow(r.Host); circle {
			return fmt.Errorf("%w redirect of %s: it leads in a circle: %s", pipeline.ErrInvalid, r.Host, strings.Join(path, " to "))
		}
	}
	return nil
}

// has reports whether visitors get an answer for the host.
func (t *table) has(host string) bool {
	_, redirected := t.redirects[host]
	return redirected || len(t.hosts[host]) > 0
}

// displace lets go of the entry's redirects.
func (t *table) displace(e *entry) {
	for _, r := range e.Redirects {
		if t.redirects[r.Host].entry == e {
			delete(t.redirects, r.Host)
		}
	}
}

// follow goes from redirect to redirect, and reports whether it comes to a host
// twice. A destination with a port is somebody else's server.
func (t *table) follow(host string) (path []string, circle bool) {
	for {
		circle = slices.Contains(path, host)
		path = append(path, host)
		next, more := t.redirects[host]
		if circle || !more || next.to.Port() != "" {
			return path, circle
		}
		host = canonicalHost(next.to.Host)
	}
}

func statusOf(r stack.Redirect) int {
	if r.Status == 0 {
		return http.StatusPermanentRedirect
	}
	return r.Status
}

// parseDestination reads a host, or an http or https URL without path.
func parseDestination(to string) (*url.URL, error) {
	if !strings.Contains(to, "://") {
		if host := canonicalHost(to); validHost(host) && !strings.Contains(to, ":") {
			return &url.URL{Host: host}, nil
		}
		return nil, fmt.Errorf("%w redirect to %q: write a host such as example.org, or a URL without path", pipeline.ErrInvalid, to)
	}
	u, err := url.Parse(to)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w redirect: %w", pipeline.ErrInvalid, err)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%w redirect to %q: it must begin with https:// or http://", pipeline.ErrInvalid, to)
	case !validHost(canonicalHost(u.Host)):
		return nil, fmt.Errorf("%w redirect to %q: it names no host", pipeline.ErrInvalid, to)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/":
		return nil, fmt.Errorf("%w redirect to %q: leave out what follows the host: path and query of the request are kept", pipeline.ErrInvalid, to)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// validHost reports whether a canonical host can be one in a URL: a name in
// ASCII, as browsers send it, or an address.
func validHost(host string) bool {
	return host != "" && len(host) <= 253 && strings.Trim(host, ".") != "" &&
		!strings.ContainsFunc(host, func(c rune) bool {
			return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_'
		})
}

// validRedirects checks an entry's redirects and makes their hosts canonical.
// What depends on other apps is for place.
func (p *Proxy) validRedirects(e *pipeline.Entry) error {
	e.Redirects = slices.Clone(e.Redirects)
	for i := range e.Redirects {
		r := &e.Redirects[i]
		r.Host = canonicalHost(r.Host)
		switch {
		case !validHost(r.Host):
			return fmt.Errorf("%w redirect of host %q", pipeline.ErrInvalid, r.Host)
		case r.Host == p.o.ControlPlane.Host:
			return fmt.Errorf("%w redirect of %s: this host is Swingbridge's own", pipeline.ErrInvalid, r.Host)
		}
		switch r.Status {
		case 0, http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		default:
			return fmt.Errorf("%w redirect of %s: its status is %d, not 301, 302, 307 or 308", pipeline.ErrInvalid, r.Host, r.Status)
		}
		if _, err := parseDestination(r.To); err != nil {
			return err
		}
	}
	return nil
}

// elsewhere sends the visitors of a redirected host on their way, in one step
// also where they come by plain HTTP. It returns false for any other host.
func (p *Proxy) elsewhere(w http.ResponseWriter, r *http.Request, v *visit) bool {
	to, ok := p.table.Load().redirects[v.host]
	if !ok {
		return false
	}
	base := to.to.String()
	if to.to.Scheme == "" {
		switch {
		case p.https != nil:
			base = "https:" + base + p.https.portSuffix()
		case v.secure:
			base = "https:" + base
		default:
			base = "http:" + base
			if port := p.http.port(80); port != 80 {
				base += ":" + strconv.Itoa(port)
			}
		}
	}
	if v.secure && to.entry.hsts != "" {
		w.Header()[hstsHeader] = []string{to.entry.hsts}
	}
	w.Header().Set("Location", base+pathAndQuery(r.URL))
	w.WriteHeader(to.status)
	p.account(r, v, to.entry, answered{status: to.status, first: p.o.Now()})
	return true
}

// toHTTPS sends a visitor from HTTP to HTTPS, with method and body.
func (p *Proxy) toHTTPS(w http.ResponseWriter, r *http.Request, v *visit) {
	w.Header().Set("Location", "https://"+hostInURL(v.host)+p.https.portSuffix()+pathAndQuery(r.URL))
	w.WriteHeader(http.StatusPermanentRedirect)
}

// pathAndQuery is what follows the host in a Location. It always begins with a
// slash: RequestURI does not for a request such as "GET http:.evil.example/",
// by which a host could be made another one.
func pathAndQuery(u *url.URL) string {
	path := u.EscapedPath()
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	if u.RawQuery != "" || u.ForceQuery {
		path += "?" + u.RawQuery
	}
	return path
}
