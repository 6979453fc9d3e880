package source_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/source"
	"github.com/swingbridge/swingbridge/pipeline/source/gitserver"
	"github.com/swingbridge/swingbridge/pipeline/source/sourcetest"
)

var _ pipeline.Source = (*source.Source)(nil)

// bench is a forge with one repository and a source that reads it.
type bench struct {
	*testing.T
	forge *sourcetest.Forge
	repo  *gitserver.Repo
	src   *source.Source
	dir   string
	wire  *counter
}

const repo = "octo/app"

func setup(t *testing.T) *bench { return setupWith(t, source.Options{}) }

func setupWith(t *testing.T, o source.Options) *bench {
	t.Helper()
	t.Parallel()
	f := sourcetest.NewForge(t)
	b := &bench{T: t, forge: f, repo: f.Create(repo), dir: t.TempDir(), wire: &counter{base: &http.Transport{}}}
	o.Dir, o.Transport = b.dir, b.wire
	if o.CloneURL == "" {
		o.CloneURL = f.URL
	}
	b.src = source.New(o)
	t.Cleanup(b.src.Close)
	return b
}

func (b *bench) push(files map[string]string) string {
	b.Helper()
	return b.forge.Push(b.repo, "main", files, "change\n\nwith a body")
}

func (b *bench) fetch(commit string) pipeline.Tree {
	b.Helper()
	t, err := b.src.Fetch(b.Context(), repo, "main", commit)
	if err != nil {
		b.Fatal(err)
	}
	return t
}

func (b *bench) store() string { return filepath.Join(b.dir, "octo", "app.git") }

// counter counts what answers hold.
type counter struct {
	base     http.RoundTripper
	read     atomic.Int64
	requests atomic.Int64
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.requests.Add(1)
	res, err := c.base.RoundTrip(r)
	if err == nil {
		res.Body = &countedBody{res.Body, &c.read}
	}
	return res, err
}

func (c *counter) CloseIdleConnections() { c.base.(*http.Transport).CloseIdleConnections() }

type countedBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func TestSource_HeadIsTheBranchNow(t *testing.T) {
	b := setup(t)
	for i := range 2 {
		want := b.push(map[string]string{"a": fmt.Sprint(i)})
		if got, err := b.src.Head(t.Context(), repo, "main"); err != nil || got != want {
			t.Fatalf("Head = %s, %v, want %s", got, err, want)
		}
	}
	if _, err := os.Stat(b.store()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Head made a store: %v", err)
	}
}

func TestSource_FetchesTheCommitAndItsDescription(t *testing.T) {
	b := setup(t)
	first := b.push(map[string]string{"a": "1"})
	second := b.push(map[string]string{"a": "2"})
	for commit, want := range map[string]string{first: "1", second: "2", "": "2"} {
		tree := b.fetch(commit)
		got, err := tree.ReadFile("a")
		if err != nil || string(got) != want {
			t.Errorf("a of %q = %q, %v, want %q", commit, got, err, want)
		}
		if c := tree.Commit(); c.Subject != "change" || c.Author != "Swingbridge Demo" || c.At.IsZero() || commit != "" && c.SHA != commit {
			t.Errorf("Commit = %+v", c)
		}
	}
}

func TestSource_SecondFetchTransfersLittle(t *testing.T) {
	b := setup(t)
	files := map[string]string{}
	for i := range 200 {
		files[fmt.Sprintf("dir%d/file%d", i%10, i)] = strings.Repeat(fmt.Sprintf("%x", i*7919*104729), 400)
	}
	b.fetch(b.push(files))
	first := b.wire.read.Swap(0)
	b.fetch(b.push(map[string]string{"dir1/file1": "new"}))
	second := b.wire.read.Swap(0)
	if second > 4096 || first < 10*second {
		t.Errorf("first fetch %d bytes, second %d", first, second)
	}
	head, _ := b.repo.Head("main")
	b.wire.requests.Store(0)
	b.fetch(head)
	if n := b.wire.requests.Load(); n != 1 {
		t.Errorf("fetch of nothing new made %d requests, want only the listing", n)
	}
}

func TestSource_ForcePushedBranchIsFollowedAndComparedRight(t *testing.T) {
	b := setup(t)
	base := b.push(map[string]string{"a": "1"})
	gone := b.push(map[string]string{"a": "2"})
	b.fetch(gone)
	head, err := b.repo.ForcePush(t.Context(), "main", map[string]string{"a": "3"}, "amended")
	if err != nil {
		t.Fatal(err)
	}
	b.fetch(head)
	for _, c := range []struct {
		old, commit string
		want        bool
	}{
		{base, head, true},
		{head, head, true},
		{gone, head, false},
		{head, gone, false},
		{base, gone, true},
		{head, base, false},
		{strings.Repeat("1", 40), head, false},
	} {
		if got, err := b.src.Ancestor(t.Context(), repo, c.old, c.commit); err != nil || got != c.want {
			t.Errorf("Ancestor(%.7s, %.7s) = %v, %v, want %v", c.old, c.commit, got, err, c.want)
		}
	}
	if _, err := b.src.Ancestor(t.Context(), repo, head, strings.Repeat("1", 40)); !errors.Is(err, pipeline.ErrNoCommit) {
		t.Errorf("Ancestor of a commit that was not fetched: %v", err)
	}
	if _, err := b.src.Ancestor(t.Context(), "octo/never", head, head); !errors.Is(err, pipeline.ErrNoCommit) {
		t.Errorf("Ancestor in a repository that was not fetched: %v", err)
	}
}

func TestSource_FetchesACommitThatTheBranchHasNot(t *testing.T) {
	b := setup(t)
	b.push(map[string]string{"a": "main"})
	other := b.forge.Push(b.repo, "other", map[string]string{"a": "first"}, "x")
	b.forge.Push(b.repo, "other", map[string]string{"a": "second"}, "x")
	if got, err := b.fetch(other).ReadFile("a"); err != nil || string(got) != "first" {
		t.Errorf("a = %q, %v", got, err)
	}
}

func TestSource_CommitThatIsNotServedIsErrNoCommit(t *testing.T) {
	b := setup(t)
	b.push(map[string]string{"a": "1"})
	gone := b.push(map[string]string{"a": "2"})
	if _, err := b.repo.ForcePush(t.Context(), "main", map[string]string{"a": "3"}, "amended"); err != nil {
		t.Fatal(err)
	}
	for _, sha := range []string{gone, strings.Repeat("1", 40)} {
		if _, err := b.src.Fetch(t.Context(), repo, "main", sha); !errors.Is(err, pipeline.ErrNoCommit) {
			t.Errorf("Fetch(%s): %v, want ErrNoCommit", sha, err)
		}
	}
	head, _ := b.repo.Head("main")
	b.fetch(head) // the store is well afterwards
}

func TestSource_MissingBranchIsErrNoBranch(t *testing.T) {
	b := setup(t)
	if _, err := b.src.Head(t.Context(), repo, "main"); !errors.Is(err, pipeline.ErrNoBranch) {
		t.Errorf("Head of an empty repository: %v", err)
	}
	sha := b.push(map[string]string{"a": "1"})
	if _, err := b.src.Head(t.Context(), repo, "release"); !errors.Is(err, pipeline.ErrNoBranch) {
		t.Errorf("Head: %v", err)
	}
	if _, err := b.src.Fetch(t.Context(), repo, "release", sha); !errors.Is(err, pipeline.ErrNoBranch) {
		t.Errorf("Fetch: %v", err)
	}
	b.fetch(sha)
	if err := b.repo.DeleteBranch("main"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.src.Fetch(t.Context(), repo, "main", sha); !errors.Is(err, pipeline.ErrNoBranch) {
		t.Errorf("Fetch of a deleted branch: %v", err)
	}
}

func TestSource_FetchesOfOneRepositoryTakeTurns(t *testing.T) {
	b := setup(t)
	var shas []string
	for i := range 4 {
		shas = append(shas, b.push(map[string]string{"a": fmt.Sprint(i)}))
	}
	errs := make(chan error, 8)
	for i := range 8 {
		go func() {
			tree, err := b.src.Fetch(t.Context(), repo, "main", shas[i%4])
			if err == nil {
				_, err = tree.ReadFile("a")
			}
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestSource_WaitingForATurnEndsWithTheContext(t *testing.T) {
	b := setup(t)
	sha := b.push(map[string]string{"a": "1"})
	entered, leave := make(chan struct{}), make(chan struct{})
	b.forge.Intercept(func(http.ResponseWriter, *http.Request) bool {
		entered <- struct{}{}
		<-leave
		return false
	})
	first := make(chan error, 1)
	go func() {
		_, err := b.src.Fetch(t.Context(), repo, "main", sha)
		first <- err
	}()
	<-entered
	why := errors.New("a person canceled it")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := b.src.Fetch(ctx, repo, "main", sha); !errors.Is(err, why) {
		t.Errorf("Fetch = %v", err)
	}
	b.forge.Intercept(nil)
	close(leave)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

func TestFetch_UsesWhatHeadListedAMomentAgo(t *testing.T) {
	b := setup(t)
	b.fetch(b.push(map[string]string{"a": "1"}))
	asks := func(want int64, do func()) {
		t.Helper()
		before := b.wire.requests.Load()
		do()
		if n := b.wire.requests.Load() - before; n != want {
			t.Errorf("the forge was asked %d times, want %d", n, want)
		}
	}
	head := func() string {
		t.Helper()
		sha, err := b.src.Head(t.Context(), repo, "main")
		if err != nil {
			t.Fatal(err)
		}
		return sha
	}
	sha := b.push(map[string]string{"a": "2"})
	asks(2, func() { b.fetch(head()) })              // refs, pack
	asks(1, func() { b.fetch(sha) })                 // used up: refs
	asks(3, func() { head(); b.fetch(b.push(nil)) }) // another head since: refs, refs, pack
}
