package source

import (
	"context"
	"time"
)

// listedFor is how long the refs that a forge listed for Head may serve a
// Fetch. It is short, for what was listed is held in memory meanwhile.
const listedFor = 5 * time.Second

// listed is a session whose refs were listed a moment ago.
type listed struct {
	*remote
	at time.Time
}

// fits reports whether nothing is learned by listing the refs again: the
// commit that is wanted is the very one that the branch was listed with.
func (l *listed) fits(now time.Time, branch, commit string) bool {
	if l == nil || now.Sub(l.at) > listedFor {
		return false
	}
	head, err := l.head(branch)
	return err == nil && head.String() == commit
}

// keep remembers what was listed, for one Fetch and a moment.
func (g *gate) keep(l *listed) {
	g.listed.Store(l)
	time.AfterFunc(listedFor, func() { g.listed.CompareAndSwap(l, nil) })
}

// listedOr takes the session of a Head that fits, or lists the refs.
func (s *Source) listedOr(ctx context.Context, repo, branch, commit string) (*remote, error) {
	if l := s.gate(repo).listed.Swap(nil); l.fits(time.Now(), branch, commit) {
		return l.remote, nil
	}
	return s.dial(ctx, repo)
}
