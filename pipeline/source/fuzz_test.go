package source

import (
	"errors"
	"path"
	"strings"
	"testing"
)

// Whatever a tree object says, its entries are refused or have names that stay
// where they are.
func FuzzTree(f *testing.F) {
	hash := strings.Repeat("\x01", 20)
	for _, seed := range []string{"100644 a\x00" + hash, "40000 ..\x00" + hash, "100644 .GIT. \x00" + hash, "x", "1 \x00", "100644 a/b\x00" + hash} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		entries, err := parseTree(raw, ".")
		var refusal *Refusal
		if err != nil {
			if !errors.As(err, &refusal) {
				t.Fatalf("%v", err)
			}
			return
		}
		for _, e := range entries {
			if hostile(e.name) != "" {
				continue
			}
			if got := path.Join("at", e.name); got != "at/"+e.name || strings.EqualFold(e.name, ".git") {
				t.Errorf("%q is not refused and becomes %q", e.name, got)
			}
		}
	})
}

func FuzzNames(f *testing.F) {
	for _, seed := range []string{"octo/app", "../..", "-a/b", "a/b/c", "feature/x", "x.lock", "@{"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if checkRepo(s) == nil && (path.Join("dir", s) != "dir/"+s || strings.Count(s, "/") != 1) {
			t.Errorf("repository %q leaves its folder", s)
		}
		if checkBranch(s) == nil {
			ref := branchRef(s).String()
			if path.Clean(ref) != ref || strings.Count(ref, "/") != 3 {
				t.Errorf("branch %q becomes %q", s, ref)
			}
			if err := branchRef(s).Validate(); err != nil {
				t.Errorf("branch %q becomes %q: %v", s, ref, err)
			}
		}
	})
}
