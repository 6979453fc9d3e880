package source

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/swingbridge/swingbridge/pipeline"
)

// checkRepo accepts owner/name as forges have them. The name becomes a folder
// and a part of a URL.
func checkRepo(repo string) error {
	owner, name, ok := strings.Cut(repo, "/")
	if !ok || !plainName(owner) || !plainName(name) || strings.HasPrefix(owner, ".") {
		return fmt.Errorf("%w repository %q: want owner/name", pipeline.ErrInvalid, repo)
	}
	return nil
}

func plainName(s string) bool {
	if s == "" || len(s) > 100 || s == "." || s == ".." || s[0] == '-' {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
			r == '-' || r == '_' || r == '.')
	}) < 0
}

// checkBranch holds a branch to git's own rules for the names of refs.
func checkBranch(branch string) error {
	bad := branch == "" || len(branch) > 255 || branch == "@" || branch[0] == '-' ||
		!utf8.ValidString(branch) ||
		strings.Contains(branch, "..") || strings.Contains(branch, "@{") ||
		strings.HasSuffix(branch, ".") ||
		strings.ContainsAny(branch, " ~^:?*[\\") ||
		strings.IndexFunc(branch, unicode.IsControl) >= 0
	for _, part := range strings.Split(branch, "/") {
		bad = bad || part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock")
	}
	if bad {
		return fmt.Errorf("%w branch %q: not a name that git accepts", pipeline.ErrInvalid, branch)
	}
	return nil
}

// checkCommit accepts a full SHA-1 in lower case, or nothing.
func checkCommit(sha string) error {
	if sha == "" || len(sha) == 40 && strings.Trim(sha, "0123456789abcdef") == "" {
		return nil
	}
	return fmt.Errorf("%w commit %q: want all 40 digits of its SHA", pipeline.ErrInvalid, sha)
}

// branchRef is where the store remembers a branch. The name is escaped, so
// that a branch "a" does not stand in the way of a later branch "a/b".
func branchRef(branch string) plumbing.ReferenceName {
	return plumbing.ReferenceName("refs/swingbridge/heads/" + url.PathEscape(branch))
}

// commitRef is where the store remembers a commit that no branch had.
func commitRef(h plumbing.Hash) plumbing.ReferenceName {
	return plumbing.ReferenceName("refs/swingbridge/commits/" + h.String())
}

// hostile says why a name must not come out of a tree, or "". git itself
// writes none of these; a tree that has one was made by hand.
func hostile(name string) string {
	switch {
	case name == "" || name == "." || name == "..":
		return "is not a file's name"
	case strings.ContainsAny(name, "/\\\x00"):
		return "has a slash, backslash or NUL in one name"
	case len(name) > 255:
		return "has a name of more than 255 bytes"
	}
	// What file systems of other systems take for .git: case, trailing dots and
	// spaces, streams after a colon, code points that are not seen.
	plain := strings.ToLower(strings.Map(func(r rune) rune {
		if unseen(r) {
			return -1
		}
		return r
	}, name))
	plain, _, _ = strings.Cut(plain, ":")
	switch strings.TrimRight(plain, " .") {
	case ".git", "git~1":
		return "is git's own folder under some spelling"
	}
	return ""
}

// unseen are the code points that HFS+ ignores in names.
func unseen(r rune) bool {
	return r >= 0x200c && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x206a && r <= 0x206f || r == 0xfeff
}
