package gitserver

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// File is a file's content and kind.
type File struct {
	Content    string // of a link: its target
	Executable bool
	Link       bool

	sha string // of a file that is there already
}

func (f File) mode() string {
	switch {
	case f.Link:
		return "120000"
	case f.Executable:
		return "100755"
	}
	return "100644"
}

// Entry is a line of a tree object, written as it is: tests make trees that
// git would not.
type Entry struct {
	Mode string // octal, as in the object
	Name string
	SHA  string
}

// Blob stores a file's content.
func (r *Repo) Blob(content string) (string, error) {
	return r.object(plumbing.BlobObject, []byte(content))
}

// Tree stores a tree object with these entries in this order.
func (r *Repo) Tree(entries ...Entry) (string, error) {
	var b bytes.Buffer
	for _, e := range entries {
		sha, err := hex.DecodeString(e.SHA)
		if err != nil {
			return "", fmt.Errorf("entry %q: %w", e.Name, err)
		}
		fmt.Fprintf(&b, "%s %s\x00%s", e.Mode, e.Name, sha)
	}
	return r.object(plumbing.TreeObject, b.Bytes())
}

// CommitTree stores a commit of a tree. No branch is moved.
func (r *Repo) CommitTree(tree string, parents []string, message string) (string, error) {
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	who := object.Signature{Name: "Swingbridge Demo", Email: "demo@swingbridge.dev", When: now()}
	c := &object.Commit{Author: who, Committer: who, Message: message, TreeHash: plumbing.NewHash(tree)}
	for _, p := range parents {
		c.ParentHashes = append(c.ParentHashes, plumbing.NewHash(p))
	}
	o := r.st.NewEncodedObject()
	if err := c.Encode(o); err != nil {
		return "", fmt.Errorf("write commit: %w", err)
	}
	h, err := r.st.SetEncodedObject(o)
	if err != nil {
		return "", fmt.Errorf("write commit: %w", err)
	}
	return h.String(), nil
}

func (r *Repo) object(t plumbing.ObjectType, content []byte) (string, error) {
	o := r.st.NewEncodedObject()
	o.SetType(t)
	w, err := o.Writer()
	if err != nil {
		return "", fmt.Errorf("write %s: %w", t, err)
	}
	if _, err := w.Write(content); err != nil {
		return "", fmt.Errorf("write %s: %w", t, err)
	}
	if err := w.Close(); err != nil {
		return "", fmt.Errorf("write %s: %w", t, err)
	}
	if r.st.HasEncodedObject(o.Hash()) == nil {
		return o.Hash().String(), nil
	}
	h, err := r.st.SetEncodedObject(o)
	if err != nil {
		return "", fmt.Errorf("write %s: %w", t, err)
	}
	return h.String(), nil
}

// plant stores files as nested trees and returns the root's.
func (r *Repo) plant(ctx context.Context, files map[string]File) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	here, folders, err := level(files)
	if err != nil {
		return "", err
	}
	var entries []Entry
	for name, f := range here {
		if f.sha == "" {
			if f.sha, err = r.Blob(f.Content); err != nil {
				return "", err
			}
		}
		entries = append(entries, Entry{f.mode(), name, f.sha})
	}
	for name, in := range folders {
		sha, err := r.plant(ctx, in)
		if err != nil {
			return "", err
		}
		entries = append(entries, Entry{"40000", name, sha})
	}
	// Git sorts a folder as if its name ended in a slash.
	key := func(e Entry) string {
		if e.Mode == "40000" {
			return e.Name + "/"
		}
		return e.Name
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(key(a), key(b)) })
	return r.Tree(entries...)
}

// level parts files into those right here and those in each folder.
func level(files map[string]File) (map[string]File, map[string]map[string]File, error) {
	here, folders := map[string]File{}, map[string]map[string]File{}
	for path, f := range files {
		name, rest, nested := strings.Cut(path, "/")
		if name == "" || nested && rest == "" {
			return nil, nil, fmt.Errorf("path %q: empty name", path)
		}
		if !nested {
			here[name] = f
			continue
		}
		if folders[name] == nil {
			folders[name] = map[string]File{}
		}
		folders[name][rest] = f
	}
	for name := range folders {
		if _, both := here[name]; both {
			return nil, nil, fmt.Errorf("path %q: both a file and a folder", name)
		}
	}
	return here, folders, nil
}

// files lists what a commit has.
func (r *Repo) files(sha string) (map[string]File, error) {
	c, err := object.GetCommit(r.st, plumbing.NewHash(sha))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", sha, err)
	}
	tree, err := c.Tree()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", sha, err)
	}
	out := map[string]File{}
	walk := object.NewTreeWalker(tree, true, nil)
	defer walk.Close()
	for {
		name, e, err := walk.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", sha, err)
		}
		if e.Mode != filemode.Dir {
			out[name] = File{Executable: e.Mode == filemode.Executable, Link: e.Mode == filemode.Symlink, sha: e.Hash.String()}
		}
	}
}
