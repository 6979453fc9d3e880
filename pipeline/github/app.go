package github

import (
	"bytes"
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/golang-jwt/jwt/v4"
	gogithub "github.com/google/go-github/v60/github"

	"github.com/swingbridge/swingbridge/pipeline"
)

// app is a GitHub App. It acts in a repository through the installation that
// covers it, with tokens that reach only this repository and one permission.
type app struct {
	id     int64
	key    *rsa.PrivateKey
	dialer dialer
	self   *gogithub.Client // signs as the App itself

	mu            sync.Mutex
	installations map[string]int64 // by repository, lower case
	grants        map[grantKey]grant
}

// grantKey names one installation token.
type grantKey struct {
	repo  string // lower case
	scope scope
}

// grant is a token that renews itself, and the client that uses it.
type grant struct {
	transport *ghinstallation.Transport
	client    *gogithub.Client
}

func newApp(id int64, pem []byte, d dialer) (*app, error) {
	if id <= 0 || len(pem) == 0 {
		return nil, errors.New("a GitHub App needs both its id and its private key")
	}
	key, err := jwt.ParseRSAPrivateKeyFromPEM(pem)
	if err != nil {
		return nil, errors.New("the GitHub App's private key is not an RSA key in PEM") // the cause could quote it
	}
	a := &app{id: id, key: key, dialer: d, installations: map[string]int64{}, grants: map[grantKey]grant{}}
	a.self = d.dial("app", a.sign)
	return a, nil
}

// sign makes a transport that signs as the App. Each use has its own: an
// installation transport writes into the one that it is made of.
func (a *app) sign(next http.RoundTripper) http.RoundTripper { return a.appTransport(next) }

func (a *app) appTransport(next http.RoundTripper) *ghinstallation.AppsTransport {
	t := ghinstallation.NewAppsTransportFromPrivateKey(next, a.id, a.key)
	t.BaseURL = strings.TrimRight(a.dialer.base.String(), "/")
	return t
}

func (a *app) targets() []pipeline.ReportTarget {
	return []pipeline.ReportTarget{pipeline.ReportCheck, pipeline.ReportDeployment}
}

func (a *app) session(ctx context.Context, repo string, s scope) (*gogithub.Client, error) {
	g, err := a.grant(ctx, repo, s)
	return g.client, err
}

func (a *app) token(ctx context.Context, repo string) (string, error) {
	g, err := a.grant(ctx, repo, readContents)
	if err != nil {
		return "", err
	}
	token, err := g.transport.Token(ctx)
	var refused *APIError
	if errors.As(err, &refused) {
		a.forget(repo)
	}
	return token, err
}

// grant finds or makes the token of a repository and scope.
func (a *app) grant(ctx context.Context, repo string, s scope) (grant, error) {
	key := grantKey{repo: strings.ToLower(repo), scope: s}
	a.mu.Lock()
	g, known := a.grants[key]
	a.mu.Unlock()
	if known {
		return g, nil
	}
	installation, err := a.installation(ctx, repo)
	if err != nil {
		return grant{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if g, known = a.grants[key]; known { // made by someone else meanwhile
		return g, nil
	}
	g = a.newGrant(installation, repo, s)
	a.grants[key] = g
	return g, nil
}

func (a *app) newGrant(installation int64, repo string, s scope) grant {
	var g grant
	g.client = a.dialer.dial("installation "+strconv.FormatInt(installation, 10), func(next http.RoundTripper) http.RoundTripper {
		g.transport = ghinstallation.NewFromAppsTransport(a.appTransport(tokenAnswers{next: next}), installation)
		_, name, _ := strings.Cut(repo, "/")
		g.transport.InstallationTokenOptions = &gogithub.InstallationTokenOptions{
			Repositories: []string{name},
			Permissions:  permissions(s),
		}
		return g.transport
	})
	return g
}

// permissions is the least that a scope needs. Reading metadata is always
// included by GitHub.
func permissions(s scope) *gogithub.InstallationPermissions {
	switch s {
	case writeChecks:
		return &gogithub.InstallationPermissions{Checks: gogithub.String("write")}
	case writeStatuses:
		return &gogithub.InstallationPermissions{Statuses: gogithub.String("write")}
	case writeDeployments:
		return &gogithub.InstallationPermissions{Deployments: gogithub.String("write")}
	}
	return &gogithub.InstallationPermissions{Contents: gogithub.String("read")}
}

// installation finds the installation that covers a repository.
func (a *app) installation(ctx context.Context, repo string) (int64, error) {
	a.mu.Lock()
	id, known := a.installations[strings.ToLower(repo)]
	a.mu.Unlock()
	if known {
		return id, nil
	}
	path, err := repoPath(repo, "installation")
	if err != nil {
		return 0, err
	}
	req, err := a.self.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		return 0, fmt.Errorf("ask for the installation: %w", err)
	}
	var answer struct {
		ID int64 `json:"id"`
	}
	if _, err := a.self.Do(ctx, req, &answer); err != nil {
		return 0, fmt.Errorf("installation of the GitHub App on %s: %w", repo, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.installations[strings.ToLower(repo)] = answer.ID
	return answer.ID, nil
}

func (a *app) forget(repo string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	repo = strings.ToLower(repo)
	delete(a.installations, repo)
	for key := range a.grants {
		if key.repo == repo {
			delete(a.grants, key)
		}
	}
}

func (a *app) describe(ctx context.Context, c *Client) (string, error) {
	var answer struct {
		Name string `json:"name"`
		Slug string `json:"slug"`
	}
	if _, err := c.send(ctx, a.self, call{method: http.MethodGet, path: "app", into: &answer}); err != nil {
		return "", err
	}
	return fmt.Sprintf("the GitHub App %q (%s)", answer.Name, answer.Slug), nil
}

// tokenAnswers stands between ghinstallation and GitHub's answers about tokens.
// It takes the list of repositories out of them: ghinstallation decodes it with
// go-github v60, which fails on custom properties that are lists. And it
// returns a refusal as an error of ours, body closed and reason kept.
type tokenAnswers struct {
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t tokenAnswers) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil || !strings.HasSuffix(req.URL.Path, "/access_tokens") {
		return resp, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read, or is not wanted
	if resp.StatusCode/100 != 2 {
		refused := newAPIError(resp)
		refused.token = true
		return nil, refused
	}
	var answer struct {
		Token     string    `json:"token"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("decode the installation token: %w", err)
	}
	short, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("shorten the installation token's answer: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(short))
	resp.ContentLength = int64(len(short))
	return resp, nil
}
