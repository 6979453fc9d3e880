package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/swingbridge/swingbridge/pipeline"
)

const (
	maxListing = 32 << 20 // of refs, bytes: about half a million
	maxPage    = 16 << 10 // of an error, bytes
)

// wire carries the requests of one session and remembers what went wrong
// underneath, because go-git turns such errors into text on their way up.
type wire struct {
	base  http.RoundTripper
	limit int64 // bytes of one answer

	mu  sync.Mutex
	err error // first failure of the network, or ErrTooLarge
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "http" && req.URL.Scheme != "https" {
		return nil, fmt.Errorf("scheme %q is not spoken", req.URL.Scheme)
	}
	res, err := w.base.RoundTrip(req)
	if err != nil {
		w.note(err)
		return nil, err
	}
	limit := w.limit
	switch {
	case res.StatusCode >= 300:
		// An error page; go-git reads all of it, and nobody reads it after.
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, maxPage), res.Body}
	case req.Method == http.MethodGet:
		limit = min(limit, maxListing)
	}
	res.Body = &meter{ReadCloser: res.Body, wire: w, limit: limit, left: limit}
	return res, nil
}

func (w *wire) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

func (w *wire) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// meter ends an answer that is too long.
type meter struct {
	io.ReadCloser
	wire  *wire
	limit int64
	left  int64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	m.left -= int64(n)
	if m.left < 0 {
		err = fmt.Errorf("the forge's answer is %w: more than %d bytes", ErrTooLarge, m.limit)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		m.wire.note(err)
	}
	return n, err
}

// redirectError is a redirect that leaves the forge.
type redirectError struct{ to string }

func (r *redirectError) Error() string { return "redirected to " + r.to }

// sameOrigin refuses to follow a redirect to another scheme, host or port: a
// token is for one place.
func sameOrigin(req *http.Request, via []*http.Request) error {
	if first := via[0].URL; req.URL.Scheme != first.Scheme || !strings.EqualFold(req.URL.Host, first.Host) {
		return &redirectError{req.URL.Scheme + "://" + req.URL.Host}
	}
	if len(via) > 5 {
		return errors.New("more than 5 redirects")
	}
	return nil
}

// client makes the transport of one session.
func (s *Source) client(w *wire) transport.Transport {
	return githttp.NewClient(&http.Client{Transport: w, CheckRedirect: sameOrigin})
}

// endpoint is where a repository is.
func (s *Source) endpoint(repo string) (*transport.Endpoint, error) {
	const setting = "SWINGBRIDGE_GITHUB_CLONE_URL"
	u, err := url.Parse(s.o.CloneURL)
	if err != nil {
		// The error of url.Parse repeats the address, which may have a password.
		return nil, fmt.Errorf("%w %s: not a URL", pipeline.ErrInvalid, setting)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%w %s: want an http or https URL", pipeline.ErrInvalid, setting)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%w %s: a base without user, password, query or fragment is wanted; give a token by SWINGBRIDGE_GITHUB_TOKEN",
			pipeline.ErrInvalid, setting)
	}
	ep, err := transport.NewEndpoint(strings.TrimSuffix(u.String(), "/") + "/" + repo + ".git")
	if err != nil {
		return nil, fmt.Errorf("address of %s: %w", repo, err)
	}
	return ep, nil
}

// explain turns what a session met into a sentence and one of the errors that
// steps tell apart.
func (r *remote) explain(ctx context.Context, err error) error {
	var redirect *redirectError
	below := r.wire.failure()
	switch {
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return fmt.Errorf("read %s from %s: %w", r.repo, r.host, context.Cause(ctx))
	case ctx.Err() != nil:
		return fmt.Errorf("%w, %w: %s took too long for %s: %w", pipeline.ErrUnreachable, errOffline, r.host, r.repo, context.Cause(ctx))
	case errors.Is(below, ErrTooLarge):
		return fmt.Errorf("read %s: %w", r.repo, below)
	case errors.As(err, &redirect):
		return fmt.Errorf("%w: %s sends us on to %s for %s, where the token must not go; set SWINGBRIDGE_GITHUB_CLONE_URL to where the repositories are",
			pipeline.ErrUnreachable, r.host, redirect.to, r.repo)
	case errors.Is(err, transport.ErrAuthenticationRequired) && !r.token:
		return fmt.Errorf("%w, %w: %s asks who we are for %s: it is private or does not exist; set SWINGBRIDGE_GITHUB_TOKEN, or SWINGBRIDGE_GITHUB_APP_ID and SWINGBRIDGE_GITHUB_APP_KEY",
			pipeline.ErrUnreachable, ErrAccess, r.host, r.repo)
	case errors.Is(err, transport.ErrAuthenticationRequired):
		return fmt.Errorf("%w, %w: %s does not accept the token for %s; renew SWINGBRIDGE_GITHUB_TOKEN, or look at SWINGBRIDGE_GITHUB_APP_ID and SWINGBRIDGE_GITHUB_APP_KEY",
			pipeline.ErrUnreachable, ErrAccess, r.host, r.repo)
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return fmt.Errorf("%w, %w: %s does not let us read %s; the token or GitHub App needs read access to its contents",
			pipeline.ErrUnreachable, ErrAccess, r.host, r.repo)
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return fmt.Errorf("repository %s: %w on %s, or the token or GitHub App may not see it", r.repo, pipeline.ErrNotFound, r.host)
	case below != nil:
		return fmt.Errorf("%w, %w: %s for %s: %w", pipeline.ErrUnreachable, errOffline, r.host, r.repo, below)
	}
	return fmt.Errorf("%w, %w: %s for %s: %s", pipeline.ErrUnreachable, errOffline, r.host, r.repo, short(err.Error()))
}

// short keeps a stranger's text to one line of bounded length.
func short(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}
