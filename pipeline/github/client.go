package github

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	gogithub "github.com/google/go-github/v60/github"

	"github.com/swingbridge/swingbridge/pipeline"
)

// defaultTimeout bounds one request to GitHub, its answer included. GitHub
// itself gives up after 10 s.
const defaultTimeout = 15 * time.Second

// maxRedirects is how often one request follows GitHub's redirects, which it
// sends for renamed and transferred repositories.
const maxRedirects = 3

// ErrNoIdentity is wrapped where GitHub would need to know who we are and no
// fitting identity is set.
var ErrNoIdentity = errors.New("no identity on GitHub that may do this")

// ErrRedirect is wrapped where GitHub's answer pointed somewhere we do not
// follow: another host would be handed our token.
var ErrRedirect = errors.New("redirect not followed")

// Options says where GitHub is and who we are there. An App wins over a token.
type Options struct {
	BaseURL   string       // of the REST API; empty is https://api.github.com/
	Token     string       // personal or fine-grained access token
	AppID     int64        // of a GitHub App, with AppKey
	AppKey    []byte       // its private key, PEM
	PublicURL string       // base of the links that reports carry; empty: none
	Plain     bool         // visitors come over http, not https
	HTTP      *http.Client // transport and timeout are taken from it; nil is a timeout of 15 s
	Now       func() time.Time
	Logger    *slog.Logger
}

// Client speaks to GitHub's REST API with one identity. It is safe for
// concurrent use.
type Client struct {
	base      *url.URL
	publicURL string
	plain     bool
	identity  identity
	timeout   time.Duration
	now       func() time.Time
	log       *slog.Logger
}

// New checks the options and makes a client. It does not speak to GitHub.
func New(o Options) (*Client, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	base, err := parseBase(o.BaseURL)
	if err != nil {
		return nil, err
	}
	d := dialer{base: base, transport: http.DefaultTransport, timeout: defaultTimeout, limits: newLimits(o.Now)}
	if o.HTTP != nil {
		if o.HTTP.Transport != nil {
			d.transport = o.HTTP.Transport
		}
		if o.HTTP.Timeout > 0 {
			d.timeout = o.HTTP.Timeout
		}
	}
	who, err := newIdentity(o, d)
	if err != nil {
		return nil, err
	}
	return &Client{
		base: base, identity: who, timeout: d.timeout, now: o.Now, log: o.Logger,
		publicURL: strings.TrimRight(o.PublicURL, "/"), plain: o.Plain,
	}, nil
}

// parseBase reads the REST base. go-github resolves paths against it, for which
// it must end in a slash.
func parseBase(raw string) (*url.URL, error) {
	if raw == "" {
		raw = "https://api.github.com/"
	}
	base, err := url.Parse(raw)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, errors.New("the GitHub API URL must be an http or https URL")
	}
	if base.User != nil {
		return nil, errors.New("the GitHub API URL must not hold credentials")
	}
	if !strings.HasSuffix(base.Path, "/") {
		base.Path += "/"
	}
	return base, nil
}

// Targets lists the places where this identity reports a deployment.
func (c *Client) Targets() []pipeline.ReportTarget { return c.identity.targets() }

// GitToken returns a token with which git reads the repository: for an App one
// that reads this repository only and lives for an hour, else the configured
// one. It is empty where no identity is set. It must not be logged.
func (c *Client) GitToken(ctx context.Context, repo string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*c.timeout)
	defer cancel()
	token, err := c.identity.token(ctx, repo)
	if err != nil {
		return "", fmt.Errorf("token for %s: %w", repo, c.explain(err))
	}
	return token, nil
}

// Identity asks GitHub who we are, in words for an operator. An error says that
// GitHub is not reachable or refuses the identity.
func (c *Client) Identity(ctx context.Context) (string, error) {
	name, err := c.identity.describe(ctx, c)
	if err != nil {
		return "", fmt.Errorf("identity on GitHub: %w", err)
	}
	return name, nil
}

// Head returns the commit that a branch points at now. The error wraps
// pipeline.ErrNoBranch where the repository has no such branch and
// pipeline.ErrNotFound where there is no such repository for us.
func (c *Client) Head(ctx context.Context, repo, branch string) (string, error) {
	path, err := repoPath(repo, "branches", branch)
	if err != nil {
		return "", err
	}
	var answer struct {
		Name   string `json:"name"`
		Commit struct {
			SHA string `json:"sha"`
		} `json:"commit"`
	}
	_, err = c.do(ctx, call{repo: repo, scope: readContents, method: http.MethodGet, path: path, into: &answer})
	var refused *APIError
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound && strings.Contains(refused.Message, "Branch not found"):
		return "", fmt.Errorf("%s of %s: %w", branch, repo, pipeline.ErrNoBranch)
	case err != nil:
		return "", fmt.Errorf("head of %s of %s: %w", branch, repo, err)
	case answer.Name != branch: // GitHub follows renamed branches, git does not
		return "", fmt.Errorf("%s of %s is called %q now: %w", branch, repo, answer.Name, pipeline.ErrNoBranch)
	case answer.Commit.SHA == "":
		return "", fmt.Errorf("head of %s of %s: the answer names no commit", branch, repo)
	}
	return answer.Commit.SHA, nil
}

// repoPath builds the path of a resource of a repository, each part escaped.
func repoPath(repo string, parts ...string) (string, error) {
	owner, name, ok := strings.Cut(repo, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") || name == "." || name == ".." {
		return "", fmt.Errorf("%w repository %q: write it as owner/name", pipeline.ErrInvalid, repo)
	}
	path := "repos/" + url.PathEscape(owner) + "/" + url.PathEscape(name)
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path, nil
}

// call is one request to GitHub.
type call struct {
	repo   string // owner/name: chooses the installation of an App
	scope  scope  // chooses what the token may do
	method string
	path   string // below the base, escaped
	query  url.Values
	body   any // sent as JSON, nil for none
	into   any // decoded from JSON, nil for none
}

// do makes the call and returns the number of the next page, 0 if there is
// none. Errors are *RateLimited, *APIError or wrap pipeline.ErrUnreachable.
func (c *Client) do(ctx context.Context, w call) (int, error) {
	session, err := c.session(ctx, w)
	if err != nil {
		return 0, c.explain(err)
	}
	next, err := c.send(ctx, session, w)
	var refused *APIError
	if errors.As(err, &refused) && (refused.Status == http.StatusUnauthorized || refused.token) {
		c.identity.forget(w.repo) // the App may have been installed anew
	}
	return next, err
}

func (c *Client) session(ctx context.Context, w call) (*gogithub.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return c.identity.session(ctx, w.repo, w.scope)
}

// send makes the call as whom the session is. It bounds it by a context:
// go-github v60 does not close the body of an answer that is an error, and the
// goroutine behind http.Client.Timeout would stay until that is over.
func (c *Client) send(ctx context.Context, session *gogithub.Client, w call) (int, error) {
	target := w.path
	if len(w.query) > 0 {
		target += "?" + w.query.Encode()
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := session.NewRequest(w.method, target, w.body)
	if err != nil {
		return 0, fmt.Errorf("request %s %s: %w", w.method, w.path, err)
	}
	began := time.Now()
	resp, err := session.Do(ctx, req, w.into)
	if err = c.explain(err); err != nil {
		c.log.DebugContext(ctx, "github call", "method", w.method, "path", w.path, "took", time.Since(began), "error", err)
		return 0, err
	}
	c.log.DebugContext(ctx, "github call", "method", w.method, "path", w.path, "took", time.Since(began), "status", resp.StatusCode)
	return resp.NextPage, nil
}
