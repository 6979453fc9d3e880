package source_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/source"
)

const secret = "ghs_0123456789abcdefCANARY"

// withToken is a source that says who it is.
func withToken(token string) source.Options {
	return source.Options{Token: func(_ context.Context, r string) (string, error) {
		if r != repo {
			return "", fmt.Errorf("asked for %s", r)
		}
		return token, nil
	}}
}

func TestForge_TokenIsSentAndKeptNowhere(t *testing.T) {
	b := setupWith(t, withToken(secret))
	b.forge.RequireToken(secret)
	sha := b.push(map[string]string{"a": "1"})
	b.fetch(sha)
	if _, err := b.src.Head(t.Context(), repo, "main"); err != nil {
		t.Error(err)
	}
	err := filepath.WalkDir(b.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if strings.Contains(string(raw), "CANARY") || strings.Contains(string(raw), "http") {
			t.Errorf("%s holds the token or an address", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestForge_RefusalsSayWhatToDo(t *testing.T) {
	t.Parallel()
	status := func(code int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			http.Error(w, "the token was "+r.Header.Get("Authorization"), code)
			return true
		}
	}
	for name, c := range map[string]struct {
		token  string
		wanted string
		hook   func(http.ResponseWriter, *http.Request) bool
		is     error
		says   string
	}{
		"nobody":       {wanted: secret, is: source.ErrAccess, says: "set SWINGBRIDGE_GITHUB_TOKEN"},
		"wrong token":  {token: "wrong-CANARY", wanted: secret, is: source.ErrAccess, says: "does not accept the token"},
		"forbidden":    {token: secret, hook: status(403), is: source.ErrAccess, says: "read access"},
		"absent":       {token: secret, hook: status(404), is: pipeline.ErrNotFound, says: "may not see it"},
		"down":         {token: secret, hook: status(503), is: pipeline.ErrUnreachable, says: "503"},
		"not git":      {token: secret, hook: status(200), is: pipeline.ErrUnreachable, says: "octo/app"},
		"broken off":   {token: secret, hook: func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, is: pipeline.ErrUnreachable, says: "EOF"},
		"access is it": {wanted: secret, is: pipeline.ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			b := setupWith(t, withToken(c.token))
			sha := b.push(map[string]string{"a": "1"})
			b.forge.RequireToken(c.wanted)
			b.forge.Intercept(c.hook)
			_, err := b.src.Fetch(t.Context(), repo, "main", sha)
			_, herr := b.src.Head(t.Context(), repo, "main")
			for _, err := range []error{err, herr} {
				if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v", err)
				}
				sent := base64.StdEncoding.EncodeToString([]byte("x-access-token:" + c.token))
				if err != nil && (strings.Contains(err.Error(), "CANARY") || c.token != "" && strings.Contains(err.Error(), sent)) {
					t.Errorf("the token is in the error: %v", err)
				}
			}
		})
	}
}

func TestForge_TokenDoesNotFollowARedirectToAnotherHost(t *testing.T) {
	b := setupWith(t, withToken(secret))
	sha := b.push(map[string]string{"a": "1"})
	var seen, asked atomic.Int64
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("Authorization") != "" {
			seen.Add(1)
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(thief.Close)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for _, code := range []int{301, 302, 303, 307, 308} {
			b.forge.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != method {
					return false
				}
				http.Redirect(w, r, thief.URL+r.URL.RequestURI(), code)
				return true
			})
			_, err := b.src.Fetch(t.Context(), repo, "main", sha)
			if !errors.Is(err, pipeline.ErrUnreachable) {
				t.Errorf("%s %d: %v", method, code, err)
			}
			if method == http.MethodGet && (err == nil || !strings.Contains(err.Error(), thief.URL)) {
				t.Errorf("%s %d: %v, want it to name %s", method, code, err, thief.URL)
			}
		}
	}
	if asked.Load() != 0 || seen.Load() != 0 {
		t.Errorf("the other host was asked %d times, %d of them with the token", asked.Load(), seen.Load())
	}
}

func TestForge_RenamedRepositoryIsFollowedOnTheSameHost(t *testing.T) {
	b := setup(t)
	sha := b.push(map[string]string{"a": "1"})
	b.forge.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		rest, old := strings.CutPrefix(r.URL.RequestURI(), "/octo/old.git")
		if old {
			http.Redirect(w, r, "/octo/app.git"+rest, http.StatusMovedPermanently)
		}
		return old
	})
	if _, err := b.src.Fetch(t.Context(), "octo/old", "main", sha); err != nil {
		t.Error(err)
	}
}

func TestForge_WrongCloneURLIsToldWithoutItsPassword(t *testing.T) {
	t.Parallel()
	for _, u := range []string{
		"", "github.com", "file:///srv/git/", "ssh://git@github.com/", "git@github.com:", "https://user:CANARY@github.com/", "https://CANARY@github.com/",
		"https://github.com/?x=CANARY", "https://us\x7f:CANARY@github.com/", "/srv/git/",
	} {
		s := source.New(source.Options{Dir: t.TempDir(), CloneURL: u})
		_, err := s.Head(t.Context(), repo, "main")
		if !errors.Is(err, pipeline.ErrInvalid) || !strings.Contains(err.Error(), "SWINGBRIDGE_GITHUB_CLONE_URL") || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%q: %v", u, err)
		}
	}
}

func TestForge_DownServesWhatWasFetchedBefore(t *testing.T) {
	b := setup(t)
	old := b.push(map[string]string{"a": "1"})
	b.fetch(old)
	fresh := b.push(map[string]string{"a": "2"})
	b.forge.Down(true)
	if got, err := b.fetch(old).ReadFile("a"); err != nil || string(got) != "1" {
		t.Errorf("a = %q, %v", got, err)
	}
	for _, commit := range []string{fresh, ""} {
		if _, err := b.src.Fetch(t.Context(), repo, "main", commit); !errors.Is(err, pipeline.ErrUnreachable) {
			t.Errorf("Fetch(%q): %v", commit, err)
		}
	}
	b.forge.Down(false)
	b.forge.RequireToken(secret)
	if _, err := b.src.Fetch(t.Context(), repo, "main", old); !errors.Is(err, source.ErrAccess) {
		t.Errorf("a forge that does not let us in any more: %v", err)
	}
}

func TestForge_ThatNeverAnswersIsGivenUp(t *testing.T) {
	b := setupWith(t, source.Options{Timeout: 50 * time.Millisecond})
	sha := b.push(map[string]string{"a": "1"})
	b.forge.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		return true
	})
	if _, err := b.src.Fetch(t.Context(), repo, "main", sha); !errors.Is(err, pipeline.ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Fetch: %v", err)
	}
	why := errors.New("shutting down")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := b.src.Head(ctx, repo, "main"); !errors.Is(err, why) || errors.Is(err, pipeline.ErrUnreachable) {
		t.Errorf("Head: %v", err)
	}
}

func TestForge_TransferThatBreaksOffHarmsNothing(t *testing.T) {
	b := setup(t)
	first := b.push(map[string]string{"a": "1"})
	b.fetch(first)
	files := map[string]string{}
	for i := range 100 {
		files[fmt.Sprint("f", i)] = strings.Repeat(fmt.Sprint(i*i*i), 300)
	}
	second := b.push(files)
	b.forge.Intercept(answer("0008NAK\nPACK\x00\x00\x00\x02\x00\x00\x01"))
	if _, err := b.src.Fetch(t.Context(), repo, "main", second); err == nil {
		t.Fatal("half a pack was accepted")
	}
	b.forge.Intercept(nil)
	b.fetch(second)
	left, err := filepath.Glob(filepath.Join(b.store(), "objects", "pack", "tmp_*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Damage inside of a file is seen only when the file is read; the next fetch
// heals it.
