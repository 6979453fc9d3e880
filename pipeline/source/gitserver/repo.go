package gitserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Repo is a bare repository that commits are made in. It may be served
// meanwhile. Methods may be called concurrently on one Repo, not on two of the
// same folder.
type Repo struct {
	Name string // owner/name
	Dir  string
	// Now gives commits their time; nil is time.Now.
	Now func() time.Time

	mu sync.Mutex
	st *filesystem.Storage
}

// Create makes an empty repository owner/name under root; one that is there
// already is opened.
func Create(root, name string) (*Repo, error) {
	d, err := dir(root, name)
	if err != nil {
		return nil, err
	}
	r := &Repo{Name: name, Dir: d, st: storage(d)}
	if _, err := os.Stat(filepath.Join(d, "HEAD")); err == nil {
		return r, nil
	}
	if err := r.st.Init(); err != nil {
		return nil, fmt.Errorf("create %s: %w", name, err)
	}
	for file, text := range map[string]string{
		"config": "[core]\n\trepositoryformatversion = 0\n\tbare = true\n[http]\n\treceivepack = true\n" +
			"[uploadpack]\n\tallowReachableSHA1InWant = true\n\tallowTipSHA1InWant = true\n",
		"HEAD": "ref: refs/heads/main\n",
	} {
		if err := os.WriteFile(filepath.Join(d, file), []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("create %s: %w", name, err)
		}
	}
	return r, nil
}

// Head returns the commit of a branch, an error wrapping fs.ErrNotExist if
// there is none.
func (r *Repo) Head(branch string) (string, error) {
	ref, err := r.st.Reference(plumbing.NewBranchReferenceName(branch))
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return "", fmt.Errorf("branch %s: %w", branch, fs.ErrNotExist)
	}
	if err != nil {
		return "", fmt.Errorf("branch %s: %w", branch, err)
	}
	return ref.Hash().String(), nil
}

// Commit puts files (path to content) over what the branch has and returns the
// new commit's SHA. A branch that is absent is made, with these files alone.
func (r *Repo) Commit(ctx context.Context, branch string, files map[string]string, message string) (string, error) {
	return r.change(ctx, branch, message, func(have map[string]File) {
		for path, content := range files {
			have[path] = File{Content: content}
		}
	})
}

// Remove takes files away in a commit.
func (r *Repo) Remove(ctx context.Context, branch, message string, paths ...string) (string, error) {
	return r.change(ctx, branch, message, func(have map[string]File) {
		for _, path := range paths {
			delete(have, path)
		}
	})
}

// Put is Commit with modes: executable files and symbolic links.
func (r *Repo) Put(ctx context.Context, branch string, files map[string]File, message string) (string, error) {
	return r.change(ctx, branch, message, func(have map[string]File) { maps.Copy(have, files) })
}

func (r *Repo) change(ctx context.Context, branch, message string, edit func(map[string]File)) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	files, parents := map[string]File{}, []string(nil)
	if head, err := r.Head(branch); err == nil {
		parents = []string{head}
		if files, err = r.files(head); err != nil {
			return "", err
		}
	}
	edit(files)
	return r.write(ctx, branch, files, parents, message)
}

// ForcePush replaces the branch's last commit by one with exactly these files,
// as amending and pushing by force does.
func (r *Repo) ForcePush(ctx context.Context, branch string, files map[string]string, message string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	head, err := r.Head(branch)
	if err != nil {
		return "", err
	}
	c, err := object.GetCommit(r.st, plumbing.NewHash(head))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", head, err)
	}
	var parents []string
	for _, p := range c.ParentHashes {
		parents = append(parents, p.String())
	}
	all := map[string]File{}
	for path, content := range files {
		all[path] = File{Content: content}
	}
	return r.write(ctx, branch, all, parents, message)
}

func (r *Repo) write(ctx context.Context, branch string, files map[string]File, parents []string, message string) (string, error) {
	tree, err := r.plant(ctx, files)
	if err != nil {
		return "", err
	}
	sha, err := r.CommitTree(tree, parents, message)
	if err != nil {
		return "", err
	}
	return sha, r.SetBranch(branch, sha)
}

// SetBranch points a branch at a commit, whatever it pointed at. The file is
// put in place by a rename: go-git writes into it, and who fetches meanwhile
// would find it empty.
func (r *Repo) SetBranch(branch, sha string) error {
	name := plumbing.NewBranchReferenceName(branch)
	if err := name.Validate(); err != nil {
		return fmt.Errorf("set branch %q: %w", branch, err)
	}
	to := filepath.Join(r.Dir, filepath.FromSlash(name.String()))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return fmt.Errorf("set branch %s: %w", branch, err)
	}
	f, err := os.CreateTemp(r.Dir, "ref-*")
	if err != nil {
		return fmt.Errorf("set branch %s: %w", branch, err)
	}
	_, err = f.WriteString(plumbing.NewHash(sha).String() + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("set branch %s: %w", branch, err)
	}
	if err := os.Rename(f.Name(), to); err != nil {
		return fmt.Errorf("set branch %s: %w", branch, err)
	}
	return nil
}

// DeleteBranch removes a branch; its commits stay.
func (r *Repo) DeleteBranch(branch string) error {
	if err := r.st.RemoveReference(plumbing.NewBranchReferenceName(branch)); err != nil {
		return fmt.Errorf("delete branch %s: %w", branch, err)
	}
	// The empty folder that a/b leaves would be in the way of a branch a.
	heads := filepath.Join(r.Dir, "refs", "heads")
	for d := filepath.Dir(filepath.Join(heads, filepath.FromSlash(branch))); d != heads && os.Remove(d) == nil; {
		d = filepath.Dir(d)
	}
	return nil
}
