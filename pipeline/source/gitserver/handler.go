// Package gitserver serves bare repositories by git's smart HTTP, to fetch
// only, and makes commits in them without a git command. It stands in for a
// forge in the demo and in tests; it has no users and no access control.
package gitserver

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/server"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// maxRequest bounds what a client may ask, bytes.
const maxRequest = 8 << 20

// Handler serves root/owner/name.git under /owner/name.git. Commits reachable
// from a ref may be asked for by their SHA.
func Handler(root string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{owner}/{name}/info/refs", func(w http.ResponseWriter, r *http.Request) {
		if service := r.URL.Query().Get("service"); service != transport.UploadPackServiceName {
			http.Error(w, "only git-upload-pack is served", http.StatusForbidden)
			return
		}
		serve(w, r, root, advertise)
	})
	mux.HandleFunc("POST /{owner}/{name}/git-upload-pack", func(w http.ResponseWriter, r *http.Request) {
		serve(w, r, root, uploadPack)
	})
	return mux
}

// serve opens the repository that a request names.
func serve(w http.ResponseWriter, r *http.Request, root string, f func(http.ResponseWriter, *http.Request, storer.Storer) error) {
	name, ok := strings.CutSuffix(r.PathValue("name"), ".git")
	st, err := open(root, r.PathValue("owner")+"/"+name)
	if !ok || err != nil {
		http.Error(w, "no such repository", http.StatusNotFound)
		return
	}
	defer st.Close()
	w.Header().Set("Cache-Control", "no-cache")
	if err := f(w, r, st); err != nil {
		// Until something is written this is an error page; after that, the
		// answer that breaks off is all a client can be told.
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// dir is where a repository is, an error if the name is none.
func dir(root, repo string) (string, error) {
	if !regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*/[A-Za-z0-9_.-]+$`).MatchString(repo) || strings.HasSuffix(repo, "/..") || strings.HasSuffix(repo, "/.") {
		return "", fmt.Errorf("repository %q: want owner/name", repo)
	}
	return filepath.Join(root, filepath.FromSlash(repo)+".git"), nil
}

func open(root, repo string) (*filesystem.Storage, error) {
	d, err := dir(root, repo)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(d, "HEAD")); err != nil {
		return nil, err
	}
	return storage(d), nil
}

func storage(d string) *filesystem.Storage {
	return filesystem.NewStorage(osfs.New(d, osfs.WithBoundOS()), cache.NewObjectLRU(8<<20))
}

// loader gives the one storage that is already open.
type loader struct{ st storer.Storer }

func (l loader) Load(*transport.Endpoint) (storer.Storer, error) { return l.st, nil }

func session(st storer.Storer) (transport.UploadPackSession, error) {
	return server.NewServer(loader{st}).NewUploadPackSession(&transport.Endpoint{}, nil)
}

func advertise(w http.ResponseWriter, r *http.Request, st storer.Storer) error {
	s, err := session(st)
	if err != nil {
		return err
	}
	refs, err := s.AdvertisedReferencesContext(r.Context())
	if err != nil {
		return err
	}
	refs.Prefix = [][]byte{[]byte("# service=" + transport.UploadPackServiceName), pktline.Flush}
	for _, c := range []capability.Capability{
		capability.AllowTipSHA1InWant, capability.AllowReachableSHA1InWant, capability.MultiACKDetailed,
	} {
		if err := refs.Capabilities.Set(c); err != nil {
			return err
		}
	}
	w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
	return refs.Encode(w)
}

func uploadPack(w http.ResponseWriter, r *http.Request, st storer.Storer) error {
	body, err := plain(r)
	if err != nil {
		return err
	}
	req := packp.NewUploadPackRequest()
	if err := req.Decode(body); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	done, err := readHaves(body, req, st)
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
	if !req.Depth.IsZero() || len(req.Shallows) > 0 {
		return refuse(w, "shallow history is not served")
	}
	for _, want := range req.Wants {
		if !reachable(st, want) {
			return refuse(w, "upload-pack: not our ref "+want.String())
		}
	}
	detailed := req.Capabilities.Supports(capability.MultiACKDetailed)
	req.Capabilities.Delete(capability.MultiACKDetailed) // go-git's server has it not
	if !done {
		// A client that negotiates learns what we share, and asks again.
		return acknowledge(w, req.Haves, detailed, false)
	}
	return send(w, r, st, req, detailed)
}

// send answers with the pack.
func send(w http.ResponseWriter, r *http.Request, st storer.Storer, req *packp.UploadPackRequest, detailed bool) error {
	s, err := session(st)
	if err != nil {
		return err
	}
	pack, err := s.UploadPack(r.Context(), req)
	if errors.Is(err, transport.ErrEmptyUploadPackRequest) {
		return refuse(w, "nothing to send")
	}
	if err != nil {
		return err
	}
	defer pack.Close()
	if err := acknowledge(w, req.Haves, detailed, true); err != nil {
		return err
	}
	_, err = io.Copy(w, pack)
	return err
}

// acknowledge says which commits both sides have: one of them, or in detail all
// and then whether that was all.
func acknowledge(w io.Writer, common []plumbing.Hash, detailed, done bool) error {
	e := pktline.NewEncoder(w)
	if !detailed {
		if len(common) > 0 {
			return e.Encodef("ACK %s\n", common[0])
		}
		return e.Encodef("NAK\n")
	}
	for _, h := range common {
		if err := e.Encodef("ACK %s common\n", h); err != nil {
			return err
		}
	}
	if done && len(common) > 0 {
		return e.Encodef("ACK %s\n", common[len(common)-1])
	}
	return e.Encodef("NAK\n")
}

func refuse(w io.Writer, text string) error {
	return (&pktline.ErrorLine{Text: text}).Encode(w)
}

// plain is the request's body; git compresses long ones.
func plain(r *http.Request) (io.Reader, error) {
	body := io.Reader(http.MaxBytesReader(nil, r.Body, maxRequest))
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, fmt.Errorf("read request: %w", err)
		}
		body = io.LimitReader(z, maxRequest)
	}
	return bufio.NewReader(body), nil
}

// readHaves reads what the client has, as far as we have it too, and whether
// it is done negotiating.
func readHaves(body io.Reader, req *packp.UploadPackRequest, st storer.Storer) (done bool, err error) {
	s := pktline.NewScanner(body)
	for s.Scan() {
		line := strings.TrimSpace(string(s.Bytes()))
		if line == "done" {
			return true, nil
		}
		if sha, ok := strings.CutPrefix(line, "have "); ok {
			if h := plumbing.NewHash(sha); st.HasEncodedObject(h) == nil {
				req.Haves = append(req.Haves, h)
			}
		}
	}
	return false, s.Err()
}

// reachable reports whether a commit is a ref's or in the history of one.
func reachable(st storer.Storer, want plumbing.Hash) bool {
	refs, err := st.IterReferences()
	if err != nil {
		return false
	}
	seen := map[plumbing.Hash]bool{}
	found := false
	err = refs.ForEach(func(r *plumbing.Reference) error {
		if r.Type() != plumbing.HashReference || found {
			return nil
		}
		if r.Hash() == want {
			found = true
			return nil
		}
		tip, err := object.GetCommit(st, r.Hash())
		if err != nil {
			return nil //nolint:nilerr // a ref of something else than a commit
		}
		return object.NewCommitPreorderIter(tip, seen, nil).ForEach(func(c *object.Commit) error {
			seen[c.Hash] = true
			if c.Hash == want {
				found = true
				return storer.ErrStop
			}
			return nil
		})
	})
	return err == nil && found
}
