package gitserver_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/source"
	"github.com/swingbridge/swingbridge/pipeline/source/gitserver"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

const name = "octo/app"

type bench struct {
	*testing.T
	repo *gitserver.Repo
	url  string
	src  *source.Source
}

func setup(t *testing.T) *bench {
	t.Helper()
	t.Parallel()
	root := t.TempDir()
	repo, err := gitserver.Create(root, name)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(gitserver.Handler(root))
	t.Cleanup(srv.Close)
	src := source.New(source.Options{Dir: t.TempDir(), CloneURL: srv.URL})
	t.Cleanup(src.Close)
	return &bench{T: t, repo: repo, url: srv.URL, src: src}
}

func (b *bench) commit(files map[string]string) string {
	b.Helper()
	sha, err := b.repo.Commit(b.Context(), "main", files, "change")
	if err != nil {
		b.Fatal(err)
	}
	return sha
}

// git runs git in a folder and returns what it says.
func (b *bench) git(dir string, args ...string) string {
	b.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "GIT_CONFIG_NOSYSTEM=1", "HOME="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestServer_SourceFetchesIncrementallyAndBySHA(t *testing.T) {
	b := setup(t)
	if _, err := b.src.Head(t.Context(), name, "main"); !errors.Is(err, pipeline.ErrNoBranch) {
		t.Errorf("Head of an empty repository: %v", err)
	}
	var shas []string
	for _, content := range []string{"1", "2", "3"} {
		sha := b.commit(map[string]string{"a": content, "dir/b": "kept"})
		shas = append(shas, sha)
		tree, err := b.src.Fetch(t.Context(), name, "main", sha)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tree.ReadFile("a"); err != nil || string(got) != content {
			t.Errorf("a = %q, %v", got, err)
		}
	}
	if is, err := b.src.Ancestor(t.Context(), name, shas[0], shas[2]); err != nil || !is {
		t.Errorf("Ancestor = %v, %v", is, err)
	}
	amended, err := b.repo.ForcePush(t.Context(), "main", map[string]string{"a": "amended"}, "x")
	if err != nil {
		t.Fatal(err)
	}
	fresh := source.New(source.Options{Dir: t.TempDir(), CloneURL: b.url})
	t.Cleanup(fresh.Close)
	if _, err := fresh.Fetch(t.Context(), name, "main", shas[1]); err != nil {
		t.Errorf("Fetch of an older commit: %v", err)
	}
	if _, err := fresh.Fetch(t.Context(), name, "main", shas[2]); !errors.Is(err, pipeline.ErrNoCommit) {
		t.Errorf("Fetch of a commit that was pushed away: %v", err)
	}
	if got, err := b.src.Head(t.Context(), name, "main"); err != nil || got != amended {
		t.Errorf("Head = %s, %v", got, err)
	}
	if _, err := b.src.Fetch(t.Context(), name, "main", amended); err != nil {
		t.Errorf("Fetch after the force push: %v", err)
	}
	if err := b.repo.SetBranch("other", shas[2]); err != nil {
		t.Fatal(err)
	}
	if _, err := fresh.Fetch(t.Context(), name, "main", shas[2]); err != nil {
		t.Errorf("Fetch of another branch's commit: %v", err)
	}
	if _, err := b.src.Fetch(t.Context(), "octo/none", "main", amended); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("Fetch of an absent repository: %v", err)
	}
}

func TestServer_GitClonesAndFetchesFromIt(t *testing.T) {
	b := setup(t)
	for range 40 { // git compresses and negotiates only from some size on
		b.commit(map[string]string{"a": time.Now().String()})
	}
	dir := t.TempDir()
	b.git(dir, "-c", "protocol.version=0", "clone", "-q", "-b", "main", b.url+"/"+name+".git", "clone")
	clone := filepath.Join(dir, "clone")
	for range 2 {
		want := b.commit(map[string]string{"a": "next " + time.Now().String()})
		b.git(clone, "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-q", "--allow-empty", "-m", "only here")
		b.git(clone, "fetch", "-q", "origin")
		if got := b.git(clone, "rev-parse", "origin/main"); got != want {
			t.Errorf("fetched %s, want %s", got, want)
		}
	}
	b.git(clone, "fsck", "--full", "--strict")
}

func TestServer_ServesOnlyRepositoriesAndOnlyToRead(t *testing.T) {
	b := setup(t)
	b.commit(map[string]string{"a": "1"})
	for path, want := range map[string]int{
		"/octo/app.git/info/refs?service=git-upload-pack":      200,
		"/octo/app.git/info/refs?service=git-receive-pack":     403,
		"/octo/app.git/info/refs":                              403,
		"/octo/app.git/HEAD":                                   404,
		"/octo/app.git/config":                                 404,
		"/octo/app/info/refs?service=git-upload-pack":          404,
		"/octo/none.git/info/refs?service=git-upload-pack":     404,
		"/octo/..%2Fapp.git/info/refs?service=git-upload-pack": 404,
		"/../app.git/info/refs?service=git-upload-pack":        404,
	} {
		res, err := http.Get(b.url + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, res.StatusCode, want)
		}
	}
}

func TestServer_MalformedRequestsAreAnswered(t *testing.T) {
	b := setup(t)
	b.commit(map[string]string{"a": "1"})
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte("0032want " + strings.Repeat("1", 40) + "\n00000009done\n"))
	_ = z.Close()
	for name, c := range map[string]struct{ body, encoding, says string }{
		"nothing":          {"", "", "read request"},
		"no packet":        {"zzzz", "", "read request"},
		"absent commit":    {"0032want " + strings.Repeat("1", 40) + "\n00000009done\n", "", "not our ref"},
		"compressed":       {zipped.String(), "gzip", "not our ref"},
		"badly compressed": {"x", "gzip", "read request"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/octo/app.git/git-upload-pack", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Encoding", c.encoding)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if !strings.Contains(string(got), c.says) {
			t.Errorf("%s: %d %q", name, res.StatusCode, got)
		}
	}
}

func TestRepo_CommitsAreWhatGitExpects(t *testing.T) {
	b := setup(t)
	b.repo.Now = func() time.Time { return time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC) }
	if _, err := b.repo.Head("main"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Head of nothing: %v", err)
	}
	b.commit(map[string]string{"a": "1", "a.b": "2", "a-b/c": "3", "dir/sub/x": "4"})
	_, err := b.repo.Put(t.Context(), "main", map[string]gitserver.File{"run": {Content: "#!", Executable: true}, "link": {Content: "run", Link: true}}, "more")
	if err != nil {
		t.Fatal(err)
	}
	sha, err := b.repo.Remove(t.Context(), "main", "less", "dir/sub/x")
	if err != nil {
		t.Fatal(err)
	}
	got := b.git(b.repo.Dir, "ls-tree", "-r", "--format=%(objectmode) %(path)", sha)
	want := "100644 a\n100644 a-b/c\n100644 a.b\n120000 link\n100755 run"
	if got != want {
		t.Errorf("ls-tree:\n%s\nwant:\n%s", got, want)
	}
	if n := b.git(b.repo.Dir, "rev-list", "--count", sha); n != "3" {
		t.Errorf("%s commits", n)
	}
	b.git(b.repo.Dir, "fsck", "--full", "--strict")
	again, err := gitserver.Create(filepath.Dir(filepath.Dir(b.repo.Dir)), name)
	if err != nil {
		t.Fatal(err)
	}
	if head, err := again.Head("main"); err != nil || head != sha {
		t.Errorf("opened again: %s, %v", head, err)
	}
	for _, bad := range []string{"", "app", "../app", "octo/..", "a/b/c", "octo/a b"} {
		if _, err := gitserver.Create(t.TempDir(), bad); err == nil {
			t.Errorf("repository %q was made", bad)
		}
	}
	for _, bad := range []map[string]string{{"": "x"}, {"a/": "x"}, {"/a": "x"}, {"z": "x", "z/y": "x"}} {
		if _, err := b.repo.Commit(t.Context(), "main", bad, "x"); err == nil {
			t.Errorf("files %v were committed", bad)
		}
	}
}

func TestRepo_IsServedWhileItIsCommittedTo(t *testing.T) {
	b := setup(t)
	b.commit(map[string]string{"Dockerfile": "FROM scratch"})
	done := make(chan error, 1)
	go func() {
		for range 20 {
			if _, err := b.repo.Commit(t.Context(), "main", map[string]string{"a": time.Now().String()}, "x"); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for range 10 {
		tree, err := b.src.Fetch(t.Context(), name, "main", "")
		if err != nil {
			t.Fatal(err)
		}
		r, err := tree.Context(t.Context(), stack.Build{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Error(err)
		}
		r.Close()
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
