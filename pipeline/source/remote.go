package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/swingbridge/swingbridge/pipeline"
)

// haves bounds the commits named to the forge as already here. After a force
// push the common commit is found among them unless the branch was rewritten
// further back; then only more is transferred.
const haves = 512

// remote is a session with a forge about one repository, with its refs listed.
type remote struct {
	repo  string
	host  string
	token bool // whether we said who we are
	limit Limits
	wire  *wire
	sess  transport.UploadPackSession
	refs  *packp.AdvRefs
}

// dial lists the refs of a repository.
func (s *Source) dial(ctx context.Context, repo string) (*remote, error) {
	ep, err := s.endpoint(repo)
	if err != nil {
		return nil, err
	}
	r := &remote{repo: repo, host: ep.Host, limit: s.o.Limits, wire: &wire{base: s.o.Transport, limit: s.o.Limits.Pack}}
	var auth transport.AuthMethod
	if s.o.Token != nil {
		token, err := s.o.Token(ctx, repo)
		if err != nil {
			return nil, fmt.Errorf("get a token for %s: %w", repo, err)
		}
		if token != "" {
			auth, r.token = &githttp.BasicAuth{Username: "x-access-token", Password: token}, true
		}
	}
	r.sess, err = s.client(r.wire).NewUploadPackSession(ep, auth)
	if err != nil {
		return nil, r.explain(ctx, err)
	}
	r.refs, err = r.sess.AdvertisedReferencesContext(ctx)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		r.refs, err = packp.NewAdvRefs(), nil
	}
	if err != nil {
		return nil, r.explain(ctx, err)
	}
	return r, nil
}

// head is the commit of a branch.
func (r *remote) head(branch string) (plumbing.Hash, error) {
	h, ok := r.refs.References[plumbing.NewBranchReferenceName(branch).String()]
	if !ok && len(r.refs.References) == 0 {
		return h, fmt.Errorf("%w: %s has no branch %s, it is empty", pipeline.ErrNoBranch, r.repo, branch)
	}
	if !ok {
		return h, fmt.Errorf("%w: %s has no branch %s", pipeline.ErrNoBranch, r.repo, branch)
	}
	return h, nil
}

// serves reports whether the forge may be asked for a commit by its SHA.
func (r *remote) serves(h plumbing.Hash) bool {
	caps := r.refs.Capabilities
	if caps.Supports(capability.AllowReachableSHA1InWant) || caps.Supports(capability.AllowTipSHA1InWant) ||
		caps.Supports("allow-any-sha1-in-want") {
		return true
	}
	for _, tip := range r.refs.References {
		if tip == h {
			return true
		}
	}
	return false
}

// receive brings a commit with all its history into the store.
func (r *remote) receive(ctx context.Context, st *store, want plumbing.Hash) error {
	req := packp.NewUploadPackRequestFromCapabilities(r.refs.Capabilities)
	if r.refs.Capabilities.Supports(capability.NoProgress) {
		if err := req.Capabilities.Set(capability.NoProgress); err != nil {
			return fmt.Errorf("ask for %s: %w", want, err)
		}
	}
	req.Wants = []plumbing.Hash{want}
	req.Haves = st.known(haves)
	res, err := r.sess.UploadPack(ctx, req)
	if err != nil {
		if strings.Contains(err.Error(), "not our ref") {
			return fmt.Errorf("%w: %s does not serve %s of %s, a force push may have removed it",
				pipeline.ErrNoCommit, r.host, want, r.repo)
		}
		return r.explain(ctx, err)
	}
	defer res.Close()
	if err := st.unpack(ctx, demux(req.Capabilities, res), r.limit); err != nil {
		return r.received(ctx, st, err)
	}
	if !st.has(want) {
		return fmt.Errorf("%w: %s answered without %s of %s", pipeline.ErrNoCommit, r.host, want, r.repo)
	}
	return nil
}

// received says whose fault a failed transfer is: the network's, the
// repository's, or that of a store that lacks what we claimed to have.
func (r *remote) received(ctx context.Context, st *store, err error) error {
	switch {
	case ctx.Err() != nil || r.wire.failure() != nil:
		return r.explain(ctx, err)
	case errors.Is(err, ErrTooLarge):
		return fmt.Errorf("read %s: %w", r.repo, err)
	case !st.fresh():
		return damaged("unpack what the forge sent", err)
	case errors.Is(err, packfile.ErrEmptyPackfile):
		return fmt.Errorf("%w, %w: %s broke off", pipeline.ErrUnreachable, errOffline, r.host)
	}
	return fmt.Errorf("unpack %s: %w", r.repo, err)
}

func demux(caps *capability.List, res io.Reader) io.Reader {
	switch {
	case caps.Supports(capability.Sideband64k):
		return sideband.NewDemuxer(sideband.Sideband64k, res)
	case caps.Supports(capability.Sideband):
		return sideband.NewDemuxer(sideband.Sideband, res)
	}
	return res
}
