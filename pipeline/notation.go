package pipeline

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// The notation in which operators write routes and redirects, in flags and in
// forms.

// ParseRoute reads HOST[/PATH]=SERVICE:PORT. Errors wrap ErrInvalid.
func ParseRoute(text string) (Route, error) {
	where, to, ok := strings.Cut(text, "=")
	service, port, ok2 := strings.Cut(to, ":")
	n, err := strconv.Atoi(strings.TrimSpace(port))
	if !ok || !ok2 || err != nil {
		return Route{}, fmt.Errorf("%w route %q: write HOST[/PATH]=SERVICE:PORT, as in shop.example.org=web:8000", ErrInvalid, text)
	}
	host, path, more := strings.Cut(strings.TrimSpace(where), "/")
	if more {
		path = "/" + path
	}
	return Route{Host: host, Path: path, Service: strings.TrimSpace(service), Port: n}, nil
}

// Notation is what ParseRoute reads.
func (r Route) Notation() string { return fmt.Sprintf("%s%s=%s:%d", r.Host, r.Path, r.Service, r.Port) }

// ParseRedirect reads HOST=TO[,STATUS], where TO is a host, or an http(s) URL
// without path. Errors wrap ErrInvalid.
func ParseRedirect(text string) (stack.Redirect, error) {
	host, to, ok := strings.Cut(text, "=")
	to, code, given := strings.Cut(to, ",")
	out := stack.Redirect{Host: strings.TrimSpace(host), To: strings.TrimSpace(to)}
	var err error
	if given {
		out.Status, err = strconv.Atoi(strings.TrimSpace(code))
	}
	if !ok || out.Host == "" || out.To == "" || err != nil {
		return stack.Redirect{}, fmt.Errorf("%w redirect %q: write HOST=TO[,STATUS], as in www.example.org=example.org,301", ErrInvalid, text)
	}
	return out, nil
}

// RedirectNotation is what ParseRedirect reads.
func RedirectNotation(r stack.Redirect) string {
	if r.Status == 0 {
		return r.Host + "=" + r.To
	}
	return fmt.Sprintf("%s=%s,%d", r.Host, r.To, r.Status)
}
