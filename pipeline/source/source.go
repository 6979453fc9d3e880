// Package source reads repositories from a forge by smart HTTP. Each
// repository has one bare store with full history on disk; a commit is read
// from there and its tree is streamed to whoever builds it. There is never a
// checkout, a hook, a shell or another program.
//
// Only git's object formats and its HTTP transport are taken from go-git. Its
// registry of protocols is not used, so that neither ssh nor local paths can
// be reached, whatever a URL says.
package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Options says where repositories come from and where they are kept.
type Options struct {
	// Dir holds a store per repository, as owner/name.git.
	Dir string
	// CloneURL is the base that owner/name.git is appended to, http or https,
	// without a user or a password.
	CloneURL string
	// Token gives the token for a repository; nil or an empty token is
	// anonymous. It is sent as the password of x-access-token and kept nowhere.
	Token func(ctx context.Context, repo string) (string, error)
	// Logger is told when a store was damaged and made again; nil is silent.
	Logger *slog.Logger
	// Timeout bounds one fetch; 0 is 15 minutes.
	Timeout time.Duration
	// Transport carries the requests; nil is one of our own.
	Transport http.RoundTripper
	// Limits bounds what a repository may cost.
	Limits Limits
}

// Limits bounds what a repository may cost. Zero fields have the default.
type Limits struct {
	Pack    int64 // bytes of one fetch on the wire; 4 GiB
	Object  int64 // bytes of one object unpacked; 512 MiB
	Objects int64 // objects in one fetch; 4 million
	Files   int   // entries in a commit's tree; 500,000
	Context int64 // bytes of a build context; 8 GiB
}

func (l Limits) orDefault() Limits {
	set := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&l.Pack, 4<<30)
	set(&l.Object, 512<<20)
	set(&l.Objects, 4_000_000)
	set(&l.Context, 8<<30)
	if l.Files <= 0 {
		l.Files = 500_000
	}
	return l
}

// headTimeout bounds the listing of a repository's branches.
const headTimeout = 30 * time.Second

// Source is a pipeline.Source. It is safe for concurrent use; fetches of one
// repository take turns.
type Source struct {
	o  Options
	mu sync.Mutex
	at map[string]*gate // by repository
}

// gate keeps fetches of one repository apart, and packs from being merged
// under a reader.
type gate struct {
	fetch  chan struct{} // holds one token while nobody fetches
	read   sync.RWMutex
	listed atomic.Pointer[listed] // by Head, for the Fetch right after it
}

// New returns a Source. The settings are looked at when they are used, so that
// a wrong CloneURL is told by every call.
func New(o Options) *Source {
	if o.Timeout <= 0 {
		o.Timeout = 15 * time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Transport == nil {
		o.Transport = ownTransport()
	}
	o.Limits = o.Limits.orDefault()
	return &Source{o: o, at: map[string]*gate{}}
}

// ownTransport shares nothing with the default client of net/http.
func ownTransport() http.RoundTripper {
	if t, ok := http.DefaultTransport.(*http.Transport); ok {
		t = t.Clone()
		t.MaxIdleConnsPerHost = 4
		return t
	}
	return &http.Transport{Proxy: http.ProxyFromEnvironment}
}

// Close ends idle connections.
func (s *Source) Close() {
	if t, ok := s.o.Transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// Head implements pipeline.Source. It asks the forge for its branches; nothing
// is read from the store.
func (s *Source) Head(ctx context.Context, repo, branch string) (string, error) {
	if err := errors.Join(checkRepo(repo), checkBranch(branch)); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, min(headTimeout, s.o.Timeout))
	defer cancel()
	r, err := s.dial(ctx, repo)
	if err != nil {
		return "", err
	}
	h, err := r.head(branch)
	if err != nil {
		return "", err
	}
	s.gate(repo).keep(&listed{remote: r, at: time.Now()})
	return h.String(), nil
}

// Fetch implements pipeline.Source. An empty commit is the branch's head. Where
// the forge is not reachable but the commit was fetched before, it is served
// from the store. A store that turns out damaged is removed and fetched anew,
// once.
func (s *Source) Fetch(ctx context.Context, repo, branch, commit string) (pipeline.Tree, error) {
	if err := errors.Join(checkRepo(repo), checkBranch(branch), checkCommit(commit)); err != nil {
		return nil, err
	}
	g := s.gate(repo)
	select {
	case <-g.fetch:
		defer func() { g.fetch <- struct{}{} }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another fetch of %s: %w", repo, context.Cause(ctx))
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()

	t, err := s.fetch(ctx, repo, branch, commit)
	var damage *damageError
	if !errors.As(err, &damage) || ctx.Err() != nil {
		return t, err
	}
	s.o.Logger.WarnContext(ctx, "a repository's store is damaged and is fetched anew", "repo", repo, "error", damage)
	if err := removeStore(s.dir(repo)); err != nil {
		return nil, fmt.Errorf("remove the damaged store of %s: %w", repo, err)
	}
	return s.fetch(ctx, repo, branch, commit)
}

// fetch is one try of Fetch.
func (s *Source) fetch(ctx context.Context, repo, branch, commit string) (pipeline.Tree, error) {
	st, err := openStore(s.dir(repo))
	if err != nil {
		return nil, err
	}
	defer st.Close()
	if err := st.check(); err != nil {
		return nil, err
	}
	want, err := s.update(ctx, st, repo, branch, commit)
	if err != nil {
		if !errors.Is(err, errOffline) || ctx.Err() != nil || commit == "" || !st.has(plumbing.NewHash(commit)) {
			return nil, err
		}
		s.o.Logger.WarnContext(ctx, "the forge is not reachable, the commit comes from the store", "repo", repo, "commit", commit)
		want = plumbing.NewHash(commit)
	}
	t, err := s.tree(ctx, st, repo, want)
	if err != nil {
		return nil, err
	}
	g := s.gate(repo)
	if g.read.TryLock() {
		defer g.read.Unlock()
		if err := st.merge(); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// update brings the store up to the forge's branch and makes sure that it has
// the commit. It returns the commit, or the branch's head where none is named.
func (s *Source) update(ctx context.Context, st *store, repo, branch, commit string) (plumbing.Hash, error) {
	r, err := s.listedOr(ctx, repo, branch, commit)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	head, err := r.head(branch)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	if !st.has(head) {
		if err := r.receive(ctx, st, head); err != nil {
			return plumbing.ZeroHash, err
		}
	}
	if err := st.set(branchRef(branch), head); err != nil {
		return plumbing.ZeroHash, err
	}
	if commit == "" {
		return head, nil
	}
	want := plumbing.NewHash(commit)
	if st.has(want) {
		return want, nil
	}
	if !r.serves(want) {
		return want, fmt.Errorf("%w: %s is not in the history of %s, and the forge serves no other commits",
			pipeline.ErrNoCommit, commit, branch)
	}
	if err := r.receive(ctx, st, want); err != nil {
		return want, err
	}
	return want, st.set(commitRef(want), want)
}

// Ancestor implements pipeline.Source, from the store alone.
func (s *Source) Ancestor(ctx context.Context, repo, old, commit string) (bool, error) {
	if err := errors.Join(checkRepo(repo), checkCommit(old), checkCommit(commit)); err != nil {
		return false, err
	}
	g := s.gate(repo)
	g.read.RLock()
	defer g.read.RUnlock()
	dir := s.dir(repo)
	if _, err := os.Stat(dir); err != nil {
		return false, fmt.Errorf("%w: nothing of %s was fetched yet", pipeline.ErrNoCommit, repo)
	}
	st, err := openStore(dir)
	if err != nil {
		return false, err
	}
	defer st.Close()
	is, err := st.ancestor(ctx, plumbing.NewHash(old), plumbing.NewHash(commit))
	s.report(dir, err)
	if err != nil {
		return false, fmt.Errorf("compare commits of %s: %w", repo, err)
	}
	return is, nil
}

// report marks the store so that the next fetch makes it anew, where err says
// that it is damaged.
func (s *Source) report(dir string, err error) {
	var damage *damageError
	if errors.As(err, &damage) {
		if err := markDamaged(dir); err != nil {
			s.o.Logger.Warn("cannot mark a damaged store", "error", err)
		}
	}
}

func (s *Source) dir(repo string) string {
	return filepath.Join(s.o.Dir, filepath.FromSlash(repo)+".git")
}

func (s *Source) gate(repo string) *gate {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.at[repo]
	if !ok {
		g = &gate{fetch: make(chan struct{}, 1)}
		g.fetch <- struct{}{}
		s.at[repo] = g
	}
	return g
}
