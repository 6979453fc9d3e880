package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// How long and how often a forge is asked again whose replicas may lag.
const (
	headPatience = time.Minute
	headPause    = 2 * time.Second
)

// fetch brings the exact commit. An automatic deployment ends here where the
// branch head no longer wants it.
func (x *run) fetch(ctx context.Context) (string, error) {
	if x.dep.Trigger == Rollback {
		return "", Skip("the release of this rollback is stored")
	}
	if !x.dep.Trigger.Automatic() {
		return x.fetched(ctx)
	}
	for until := x.Now().Add(headPatience); ; {
		seen, again, err := x.fetchHead(ctx)
		if !again {
			return seen, err
		}
		if x.Now().After(until) {
			return "", x.byHead(ctx)
		}
		newer, err := x.Ledger.NewerQueued(ctx, x.dep.ID)
		if err != nil {
			return "", fmt.Errorf("look for newer pushes: %w", err)
		}
		if newer {
			return "", superseded{"a newer push to the branch is waiting"}
		}
		if err := sleep(ctx, headPause); err != nil {
			return "", err
		}
	}
}

// fetchHead compares the commit with the branch head. again means that the
// forge may only be lagging.
func (x *run) fetchHead(ctx context.Context) (seen string, again bool, err error) {
	head, err := x.Source.Head(ctx, x.app.Repo, x.app.Branch)
	if errors.Is(err, ErrNoBranch) || errors.Is(err, ErrUnreachable) {
		return "", true, err
	}
	if err != nil {
		return "", false, fmt.Errorf("read the head of %s: %w", x.app.Branch, err)
	}
	if head == x.dep.Commit {
		seen, err = x.fetched(ctx)
		return seen, errors.Is(err, ErrNoCommit) || errors.Is(err, ErrUnreachable), err
	}
	if _, err := x.Source.Fetch(ctx, x.app.Repo, x.app.Branch, head); err != nil {
		return "", errors.Is(err, ErrNoCommit) || errors.Is(err, ErrUnreachable), fmt.Errorf("fetch the head of %s: %w", x.app.Branch, err)
	}
	old, err := x.Source.Ancestor(ctx, x.app.Repo, x.dep.Commit, head)
	switch {
	case errors.Is(err, ErrNoCommit):
		return "", true, nil
	case err != nil:
		return "", false, fmt.Errorf("compare with the head of %s: %w", x.app.Branch, err)
	case old:
		return "", false, x.supersede(ctx, head)
	}
	return "", true, nil // the head is older, or the branch was forced elsewhere
}

// byHead ends the wait: whatever the branch points at now decides.
func (x *run) byHead(ctx context.Context) error {
	head, err := x.Source.Head(ctx, x.app.Repo, x.app.Branch)
	if err != nil {
		return fmt.Errorf("read the head of %s: %w", x.app.Branch, err)
	}
	if head == x.dep.Commit {
		return fmt.Errorf("fetch %s: %w", Short(head), ErrNoCommit)
	}
	return x.supersede(ctx, head)
}

func (x *run) supersede(ctx context.Context, head string) error {
	queued, err := x.Ledger.QueueHead(ctx, Head{
		AppID: x.app.ID, Commit: head, Instead: x.dep.ID,
		Because: fmt.Sprintf("head of %s when %s was fetched", x.app.Branch, Short(x.dep.Commit)),
	})
	if err != nil {
		return fmt.Errorf("queue the head of %s: %w", x.app.Branch, err)
	}
	reason := fmt.Sprintf("%s points at %s now", x.app.Branch, Short(head))
	if queued {
		reason += ", which was queued"
	}
	return superseded{reason}
}

// fetched brings the commit itself.
func (x *run) fetched(ctx context.Context) (string, error) {
	tree, err := x.Source.Fetch(ctx, x.app.Repo, x.app.Branch, x.dep.Commit)
	if err != nil {
		return "", fmt.Errorf("fetch %s of %s: %w", Short(x.dep.Commit), x.app.Repo, err)
	}
	if x.tree, err = WithHeld(ctx, tree, x.files); err != nil {
		return "", err
	}
	c := tree.Commit()
	x.found.Subject = c.Subject
	return fmt.Sprintf("%s %q by %s", Short(c.SHA), c.Subject, c.Author), nil
}
