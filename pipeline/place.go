package pipeline

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// place puts on the host what the stack's binds name, before any container is
// made, and writes down in the release where that is.
func (x *run) place(ctx context.Context) error {
	return x.eachBind(func(b *stack.Bind) (err error) {
		switch {
		case b.Data != "":
			b.Placed, err = x.Folders.Data(ctx, x.app.ID, b.Data)
		case b.Repo != "":
			b.Placed, err = x.Folders.Place(ctx, x.app.ID, x.tree, b.Repo)
		}
		return err
	})
}

// placedThere makes sure that a rollback's containers find what they had.
func (x *run) placedThere(ctx context.Context) error {
	return x.eachBind(func(b *stack.Bind) error {
		if b.Data != "" {
			_, err := x.Folders.Data(ctx, x.app.ID, b.Data)
			return err
		}
		if b.Repo == "" {
			return nil
		}
		there, err := x.Folders.HasPlaced(ctx, x.app.ID, b.Placed)
		if err == nil && !there {
			err = fmt.Errorf("%s is no longer on the server: deploy commit %s again instead of rolling back", b.Repo, Short(x.rel.Commit))
		}
		return err
	})
}

func (x *run) eachBind(do func(*stack.Bind) error) error {
	for _, svc := range x.rel.Stack.Services {
		for _, m := range svc.Mounts {
			if m.Bind == nil {
				continue
			}
			if err := do(m.Bind); err != nil {
				return fmt.Errorf("service %s: mount at %s: %w", svc.Name, m.Target, err)
			}
		}
	}
	return nil
}

// prunePlaced removes files of commits that neither a kept release names nor any
// container of the app has: one that is kept may be older than all of them.
func (x *run) prunePlaced(ctx context.Context, kept []Release) (int, error) {
	there, err := x.Engine.List(ctx, Filter{AppID: x.app.ID})
	if err != nil {
		return 0, fmt.Errorf("list containers: %w", err)
	}
	var keep []string
	for _, c := range there {
		keep = append(keep, c.Binds...)
	}
	for _, rel := range kept {
		for _, svc := range rel.Stack.Services {
			for _, m := range svc.Mounts {
				if m.Bind != nil {
					keep = append(keep, m.Bind.Placed)
				}
			}
		}
	}
	return x.Folders.PrunePlaced(ctx, x.app.ID, keep)
}

// find says to stack.Load what the tree has at a path.
func find(ctx context.Context, tree Tree) func(string) (stack.Found, error) {
	return func(at string) (found stack.Found, err error) {
		err = tree.Walk(ctx, at, func(e TreeEntry) error {
			if e.Path == "." && e.Mode.IsDir() {
				found = stack.Found{Folder: true, Empty: true}
			}
			if !e.Mode.IsDir() && !slices.Contains([]string{".gitkeep", ".keep", ".gitignore"}, path.Base(e.Path)) {
				found.Empty = false
				return fs.SkipAll
			}
			return nil
		})
		return found, err
	}
}
