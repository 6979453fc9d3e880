package source_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
)

func TestSource_BranchNamesDoNotStandInEachOthersWay(t *testing.T) {
	b := setup(t)
	for _, branch := range []string{"a", "b/c"} {
		sha := b.forge.Push(b.repo, branch, map[string]string{"f": branch}, "x")
		if _, err := b.src.Fetch(t.Context(), repo, branch, sha); err != nil {
			t.Fatal(err)
		}
		if err := b.repo.DeleteBranch(branch); err != nil {
			t.Fatal(err)
		}
	}
	for _, branch := range []string{"a/b", "b", "é/ß-1"} {
		sha := b.forge.Push(b.repo, branch, map[string]string{"f": branch}, "x")
		if _, err := b.src.Fetch(t.Context(), repo, branch, sha); err != nil {
			t.Error(err)
		}
	}
}

func TestSource_NamesFromStrangersAreRefusedBeforeAnythingIsDone(t *testing.T) {
	b := setup(t)
	sha := b.push(map[string]string{"a": "1"})
	before := b.forge.Requests()
	for _, bad := range []string{
		"", "app", "octo/app/more", "../app", "octo/..", "./app", "octo/.", "/app", "octo/", "-x/app", "octo/-x", ".git/app",
		"octo/a;id", "octo/$(id)", "octo/a\nb", "octo/a\x00b", "octo/a b", "octo/a%2e", "octo/\u202eapp", "o@evil/app", `octo\app`, "octo/a?b", "octo/a#b",
		"octo/" + strings.Repeat("a", 101),
	} {
		if _, err := b.src.Head(t.Context(), bad, "main"); !errors.Is(err, pipeline.ErrInvalid) {
			t.Errorf("repository %q: %v", bad, err)
		}
	}
	for _, bad := range []string{
		"", "-x", "--upload-pack=x", "-oProxyCommand=x", "a..b", "a b", "a\nb", "a\x00b", "/a", "a/", "a//b", ".a", "a/.b", "a.", "a.lock", "a.lock/b",
		"a~1", "a^", "a:b", "a?", "a*", "a[", `a\b`, "@", "a@{1}", "\x7f", strings.Repeat("a", 256), "a\xff",
	} {
		if _, err := b.src.Fetch(t.Context(), repo, bad, sha); !errors.Is(err, pipeline.ErrInvalid) {
			t.Errorf("branch %q: %v", bad, err)
		}
	}
	for _, bad := range []string{"main", sha[:39], sha + "0", strings.ToUpper(sha), "refs/heads/main", strings.Repeat("g", 40)} {
		if _, err := b.src.Fetch(t.Context(), repo, "main", bad); !errors.Is(err, pipeline.ErrInvalid) {
			t.Errorf("commit %q: %v", bad, err)
		}
	}
	if n := b.forge.Requests() - before; n != 0 {
		t.Errorf("%d requests were made", n)
	}
	if left, _ := os.ReadDir(b.dir); len(left) != 0 {
		t.Errorf("files were made: %v", left)
	}
}
