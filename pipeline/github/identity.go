package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	gogithub "github.com/google/go-github/v60/github"

	"github.com/swingbridge/swingbridge/pipeline"
)

// scope is what a call needs to be allowed to do.
type scope string

// The scopes. Each becomes an installation token of its own, so that what one
// lacks does not take the others down.
const (
	readContents     scope = "contents"
	writeChecks      scope = "checks"
	writeStatuses    scope = "statuses"
	writeDeployments scope = "deployments"
)

// identity is who a Client is on GitHub.
type identity interface {
	targets() []pipeline.ReportTarget
	// session returns a client that may do what the scope says in the repository.
	session(ctx context.Context, repo string, s scope) (*gogithub.Client, error)
	token(ctx context.Context, repo string) (string, error)
	describe(ctx context.Context, c *Client) (string, error)
	// forget drops what is remembered about the repository's access.
	forget(repo string)
}

func newIdentity(o Options, d dialer) (identity, error) {
	token := strings.TrimSpace(o.Token)
	switch {
	case o.AppID != 0 || len(o.AppKey) > 0:
		return newApp(o.AppID, o.AppKey, d)
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, errors.New("the GitHub token holds characters that no token has")
	case token != "":
		return static{secret: token, client: d.dial("token", bearer(token))}, nil
	}
	return static{client: d.dial("anonymous", nil)}, nil
}

// dialer makes go-github clients that share a transport and its limits.
type dialer struct {
	base      *url.URL
	transport http.RoundTripper
	timeout   time.Duration
	limits    *limits
}

// dial makes a client whose requests go through sign, and through the limits of
// the identity that key names.
func (d dialer) dial(key string, sign func(http.RoundTripper) http.RoundTripper) *gogithub.Client {
	var transport http.RoundTripper = limited{next: d.transport, key: key, limits: d.limits}
	if sign != nil {
		transport = sign(transport)
	}
	client := gogithub.NewClient(&http.Client{Transport: transport, CheckRedirect: d.checkRedirect})
	client.BaseURL = d.base
	client.UserAgent = "swingbridge"
	return client
}

// checkRedirect follows redirects within GitHub only, since every request that
// leaves carries a token, and only those that keep the method.
func (d dialer) checkRedirect(req *http.Request, via []*http.Request) error {
	switch {
	case req.URL.Scheme != d.base.Scheme || req.URL.Host != d.base.Host:
		return fmt.Errorf("%w: it leads to another host, %s", ErrRedirect, req.URL.Host)
	case req.Method != via[0].Method:
		return fmt.Errorf("%w: it turns a %s into a %s", ErrRedirect, via[0].Method, req.Method)
	case len(via) > maxRedirects:
		return fmt.Errorf("%w: there are too many", ErrRedirect)
	}
	return nil
}

// signer adds the token to each request.
type signer struct {
	next   http.RoundTripper
	secret string
}

func bearer(secret string) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper { return signer{next: next, secret: secret} }
}

// RoundTrip implements http.RoundTripper.
func (s signer) RoundTrip(req *http.Request) (*http.Response, error) {
	signed := req.Clone(req.Context())
	signed.Header.Set("Authorization", "Bearer "+s.secret)
	return s.next.RoundTrip(signed)
}

// static is a token, or nobody if the token is empty.
type static struct {
	secret string
	client *gogithub.Client
}

func (s static) targets() []pipeline.ReportTarget {
	if s.secret == "" {
		return nil
	}
	return []pipeline.ReportTarget{pipeline.ReportStatus, pipeline.ReportDeployment}
}

func (s static) session(_ context.Context, _ string, want scope) (*gogithub.Client, error) {
	if s.secret == "" && want != readContents {
		return nil, fmt.Errorf("%w: set a token or a GitHub App", ErrNoIdentity)
	}
	if want == writeChecks {
		return nil, fmt.Errorf("%w: only a GitHub App may write check runs", ErrNoIdentity)
	}
	return s.client, nil
}

func (s static) token(context.Context, string) (string, error) { return s.secret, nil }

func (s static) forget(string) {}

// describe asks for the rate limit, which every kind of token may, and which
// costs nothing.
func (s static) describe(ctx context.Context, c *Client) (string, error) {
	if s.secret == "" {
		if _, err := c.send(ctx, s.client, call{method: http.MethodGet, path: "meta"}); err != nil {
			return "", err
		}
		return "nobody: public repositories only, nothing is reported", nil
	}
	var answer struct {
		Resources struct {
			Core struct {
				Limit     int `json:"limit"`
				Remaining int `json:"remaining"`
			} `json:"core"`
		} `json:"resources"`
	}
	if _, err := c.send(ctx, s.client, call{method: http.MethodGet, path: "rate_limit", into: &answer}); err != nil {
		return "", err
	}
	core := answer.Resources.Core
	return fmt.Sprintf("a token with %d of %d requests left this hour", core.Remaining, core.Limit), nil
}
