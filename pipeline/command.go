package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// onceLimit is how long a task may take that runs once per release. The release
// command has a limit of its own.
const onceLimit = 10 * time.Minute

// errand is a container that runs to its end, once per release.
type errand struct {
	service stack.Service
	purpose string
	limit   time.Duration
}

// errandsOf are what a release does before visitors see anything of it: its tasks
// in the order of their dependencies, then the release command.
func errandsOf(rel Release, fingerprint string) []errand {
	var out []errand
	for _, svc := range inOrder(rel.Stack.Services) {
		if svc.Role == stack.Task && svc.Once {
			out = append(out, errand{svc, "once-" + fingerprint[:12], onceLimit})
		}
	}
	if c := rel.Stack.Command; c != nil {
		svc, _ := rel.Stack.Service(c.Service)
		svc.Command = c.Args
		out = append(out, errand{svc, "release-" + fingerprint[:12], c.Timeout})
	}
	return out
}

// noErrand says why nothing runs once for this release.
func (x *run) noErrand() string {
	once := func(svc stack.Service) bool { return svc.Role == stack.Task && svc.Once }
	switch {
	case x.dep.Trigger == Rollback:
		return "a rollback runs no release command"
	case x.rel.Stack.Command == nil && !slices.ContainsFunc(x.rel.Stack.Services, once):
		return "the release has no command"
	}
	return ""
}

// runErrands runs the release command in the new image. Once it has ended well it
// never runs again for the same release, and never on a rollback.
func (x *run) runErrands(ctx context.Context) (string, error) {
	fingerprint, err := x.rel.Fingerprint()
	if err != nil {
		return "", err
	}
	todo := errandsOf(x.rel, fingerprint)
	done, err := x.Ledger.CommandDone(ctx, x.app.ID, fingerprint)
	if err != nil {
		return "", err
	}
	if done {
		if err := x.endErrands(ctx); err != nil {
			return "", err
		}
		return "", Skip("it ran for this release before")
	}
	if err := x.awaitForeign(ctx, todo); err != nil {
		return "", err
	}
	begun := x.Now()
	for _, e := range todo {
		if err := x.runErrand(ctx, e); err != nil {
			return "", fmt.Errorf("service %s: %w", e.service.Name, err)
		}
	}
	if err := x.Ledger.SetCommandDone(ctx, x.app.ID, fingerprint, x.dep.ID); err != nil {
		return "", err
	}
	// Only now: a container that is there tells an interrupted run how it ended.
	return fmt.Sprintf("%d command(s) in %s", len(todo), x.Now().Sub(begun).Round(time.Millisecond)), x.endErrands(ctx)
}

// Fingerprint identifies the release by what it is: equal ones are the same
// release, whatever their IDs.
func (r Release) Fingerprint() (string, error) {
	raw, err := json.Marshal(struct {
		Commit string
		Images map[string]string
		Stack  stack.Stack
		Env    int64
	}{r.Commit, r.Images, r.Stack, r.EnvVersion})
	if err != nil {
		return "", fmt.Errorf("identify the release: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), nil
}

// runErrand runs one container to its end, or takes up the one that an
// interrupted attempt started.
func (x *run) runErrand(ctx context.Context, e errand) error {
	limited, cancel := context.WithTimeoutCause(ctx, e.limit, fmt.Errorf("not done within %s", e.limit))
	defer cancel()
	c, err := x.create(limited, x.errandOrder(e))
	if err != nil {
		return err
	}
	if c.Status == "created" {
		if err := x.Engine.Start(limited, c.ID); err != nil {
			return fmt.Errorf("start container: %w", err)
		}
	} else {
		x.say("  %s was started by an interrupted attempt", c.Name)
	}
	x.copyLog(limited, c)
	ended, err := x.Engine.Wait(limited, c.ID)
	switch {
	case err != nil && ctx.Err() == nil && limited.Err() != nil:
		return fmt.Errorf("%w%s", context.Cause(limited), x.lastOf(ctx, c))
	case err != nil && limited.Err() != nil:
		return context.Cause(limited)
	case err != nil:
		return fmt.Errorf("wait for it: %w", err)
	case ended.ExitCode != 0 || ended.OOM || ended.Error != "":
		return fmt.Errorf("%q %s%s", strings.Join(e.service.Command, " "), ending(ended), x.lastOf(ctx, c))
	}
	return nil
}

// errandOrder is the service's container, but that nobody calls it and nobody
// reaches it.
func (x *run) errandOrder(e errand) ContainerOrder {
	svc := e.service
	svc.Role, svc.Rights.Ports = stack.Task, nil
	svc.Health = &stack.Health{Disable: true}
	owner := x.owner(svc.Name)
	owner.Role = stack.Task
	return ContainerOrder{
		Owner: owner, Image: x.rel.Images[svc.Name], Service: svc, Volumes: x.rel.Stack.Volumes,
		Links: x.links(svc), Purpose: e.purpose, Allowed: x.app.Allow,
	}
}

// copyLog writes what the container prints into the deployment's log until it
// ends.
func (x *run) copyLog(ctx context.Context, c Container) {
	out, err := x.Engine.Logs(ctx, c.ID, LogOrder{Tail: -1, Follow: true})
	if err != nil {
		x.say("  the container's output cannot be read: %v", err)
		return
	}
	defer func() { _ = out.Close() }() // only read
	if _, err := io.Copy(x.log, out); err != nil && ctx.Err() == nil {
		x.say("  the container's output cannot be read: %v", err)
	}
}

// errandContainers are those of one deployment, or of all for an empty ID.
func (x *run) errandContainers(ctx context.Context, deployment string) ([]Container, error) {
	there, err := x.Engine.List(ctx, Filter{AppID: x.app.ID, Deployment: deployment})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	return slices.DeleteFunc(there, func(c Container) bool { return c.Purpose == "" }), nil
}

// undoErrands is endErrands for a run that fails or is ended: it may not have come
// to write down what ended well.
func (x *run) undoErrands(ctx context.Context) error {
	there, err := x.errandContainers(ctx, x.dep.ID)
	if err != nil {
		return err
	}
	for _, c := range there {
		if err := x.noteDone(ctx, c); err != nil {
			return err
		}
	}
	return x.endErrands(ctx)
}

// endErrands takes away the containers of commands that ended, were canceled or
// took too long; a command's effects stay.
func (x *run) endErrands(ctx context.Context) error {
	there, err := x.errandContainers(ctx, x.dep.ID)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range there {
		if c.Running {
			x.say("stopping %s; what it did so far stays", c.Name)
			if err := x.stopWithin(ctx, c, undoBudget/4); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		errs = append(errs, x.Engine.Remove(ctx, c.ID))
	}
	return errors.Join(errs...)
}
