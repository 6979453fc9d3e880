// Package sourcetest is a forge for tests: repositories served by git's own
// http-backend, so that what reads them is tested against git and not against
// itself. It needs git on the machine.
package sourcetest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline/source/gitserver"
)

// Forge serves repositories on a loopback port until the test ends.
type Forge struct {
	// URL is the base that owner/name.git is appended to; it ends in a slash.
	URL string
	// Root holds the repositories, as owner/name.git.
	Root string

	t     testing.TB
	mu    sync.Mutex
	token string
	hook  func(http.ResponseWriter, *http.Request) bool

	sent     atomic.Int64
	requests atomic.Int64
}

// NewForge starts a forge without repositories.
func NewForge(t testing.TB) *Forge {
	t.Helper()
	f := &Forge{t: t, Root: t.TempDir()}
	backend := &cgi.Handler{
		Path: git(t),
		Args: []string{"http-backend"},
		Dir:  f.Root,
		Env: []string{
			"GIT_PROJECT_ROOT=" + f.Root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=test",
			"HOME=" + f.Root, "GIT_CONFIG_NOSYSTEM=1",
		},
		Stderr: io.Discard,
	}
	srv := httptest.NewServer(f.front(backend))
	t.Cleanup(srv.Close)
	f.URL = srv.URL + "/"
	return f
}

// git is the program's path: the handler wants it whole. It is looked for here,
// so that no package but tests themselves names os/exec, and a linter can say so.
func git(t testing.TB) string {
	t.Helper()
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		path := filepath.Join(dir, "git")
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	t.Fatal("sourcetest needs git, and no folder of PATH has it")
	return ""
}

// Create makes an empty repository owner/name.
func (f *Forge) Create(name string) *gitserver.Repo {
	f.t.Helper()
	r, err := gitserver.Create(f.Root, name)
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// Push commits files over what the branch has, and returns the SHA.
func (f *Forge) Push(r *gitserver.Repo, branch string, files map[string]string, message string) string {
	f.t.Helper()
	sha, err := r.Commit(context.Background(), branch, files, message)
	if err != nil {
		f.t.Fatal(err)
	}
	return sha
}

// RequireToken has the forge ask for basic auth as GitHub does: any other
// password than the token is a 401. An empty one lets everybody in again.
func (f *Forge) RequireToken(token string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.token = token
}

// Intercept has a function see each request first; it answers itself and
// returns true, or returns false. nil takes it away.
func (f *Forge) Intercept(hook func(http.ResponseWriter, *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

// Down has every request answered with 503 until it is called with false.
func (f *Forge) Down(down bool) {
	if !down {
		f.Intercept(nil)
		return
	}
	f.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "down for the test", http.StatusServiceUnavailable)
		return true
	})
}

// Sent is the number of bytes answered so far, without headers.
func (f *Forge) Sent() int64 { return f.sent.Load() }

// Requests is the number of requests so far.
func (f *Forge) Requests() int64 { return f.requests.Load() }

func (f *Forge) front(backend http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.requests.Add(1)
		f.mu.Lock()
		token, hook := f.token, f.hook
		f.mu.Unlock()
		w = &counted{w, &f.sent}
		if hook != nil && hook(w, r) {
			return
		}
		user, password, _ := r.BasicAuth()
		if token != "" && (user != "x-access-token" || password != token) {
			w.Header().Set("WWW-Authenticate", `Basic realm="forge"`)
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		// CGI wants to know a body's length; git sends long ones in chunks.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
		backend.ServeHTTP(w, r)
	})
}

// counted counts what is written.
type counted struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.n.Add(int64(n))
	return n, err
}
