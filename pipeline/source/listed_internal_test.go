package source

import (
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
)

func TestListed_ServesOnlyItsOwnHeadAndOnlyForAMoment(t *testing.T) {
	t.Parallel()
	const sha, other = "1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222"
	refs := packp.NewAdvRefs()
	refs.References["refs/heads/main"] = plumbing.NewHash(sha)
	refs.References["refs/heads/next"] = plumbing.NewHash(other)
	now := time.Now()
	l := &listed{remote: &remote{refs: refs}, at: now}
	for name, c := range map[string]struct {
		l              *listed
		age            time.Duration
		branch, commit string
		want           bool
	}{
		"the head just listed":       {l, time.Second, "main", sha, true},
		"a moment later":             {l, listedFor + 1, "main", sha, false},
		"another commit":             {l, 0, "main", other, false},
		"no commit":                  {l, 0, "main", "", false},
		"a branch that is not there": {l, 0, "gone", sha, false},
		"nothing was listed":         {nil, 0, "main", sha, false},
	} {
		if got := c.l.fits(now.Add(c.age), c.branch, c.commit); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
