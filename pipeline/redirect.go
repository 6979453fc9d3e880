package pipeline

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// checkRedirects says in sentences what is wrong with the redirects of an app
// with these routes.
func checkRedirects(redirects []stack.Redirect, routes []Route) []string {
	var problems []string
	routed, seen := map[string]bool{}, map[string]bool{}
	for _, r := range routes {
		routed[r.Host] = true
	}
	for _, r := range redirects {
		_, err := redirectTarget(r)
		switch {
		case err != nil:
			problems = append(problems, fmt.Sprintf("redirect %s: %v", r, err))
		case routed[r.Host]:
			problems = append(problems, fmt.Sprintf("redirect %s: a route of this app answers that host", r))
		case seen[r.Host]:
			problems = append(problems, fmt.Sprintf("redirect of %s is there twice", r.Host))
		}
		seen[r.Host] = true
	}
	for _, r := range Circling(redirects) {
		problems = append(problems, fmt.Sprintf("redirect %s goes round in circles", r))
	}
	return problems
}

// redirectTarget is the host that the redirect leads to, or what is wrong with
// the redirect.
func redirectTarget(r stack.Redirect) (string, error) {
	if !isHost(r.Host) {
		return "", errors.New("the host must be a lower-case domain name")
	}
	switch r.Status {
	case 0, 301, 302, 307, 308:
	default:
		return "", fmt.Errorf("status %d: use 301, 302, 307 or 308", r.Status)
	}
	if isHost(r.To) {
		return r.To, nil
	}
	to, err := url.Parse(r.To)
	switch {
	case err != nil, to.Scheme != "http" && to.Scheme != "https", !isHost(to.Hostname()):
		return "", errors.New("it must lead to a lower-case domain name, or to http:// or https:// with one")
	case to.Path != "" && to.Path != "/", to.RawQuery != "", to.Fragment != "", to.User != nil:
		return "", errors.New("leave path and query out of where it leads: those of the visitor are kept")
	}
	return to.Hostname(), nil
}

// Circling are those of the redirects whose visitors come back to where they
// were. The port does not tell two hosts apart: where ours is another than the
// visitor's, behind a load balancer, such a redirect would go round as well.
func Circling(redirects []stack.Redirect) (out []stack.Redirect) {
	leads := map[string]string{}
	for _, r := range redirects {
		if to, err := redirectTarget(r); err == nil {
			leads[r.Host] = to
		}
	}
	for _, r := range redirects {
		at := r.Host
		for range leads {
			if at = leads[at]; at == r.Host {
				out = append(out, r)
				break
			}
		}
	}
	return out
}

func isHost(s string) bool {
	return s != "" && s == strings.ToLower(s) && (hostRule().MatchString(s) || net.ParseIP(s) != nil)
}
