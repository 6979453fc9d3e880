package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/swingbridge/swingbridge/pipeline"
)

// ServiceLog streams the output of the service: on the color that was asked
// for, else on the one that visitors are on. The values of the app's variables
// are masked.
func (c *Commands) ServiceLog(ctx context.Context, at pipeline.ServicePlace, o pipeline.LogOrder) (io.ReadCloser, error) {
	a, there, err := c.containers(ctx, at.App)
	if err != nil {
		return nil, err
	}
	there = slices.DeleteFunc(there, func(k pipeline.Container) bool {
		return k.Owner.Service != at.Service || k.Replica != at.Replica || at.Color != "" && k.Owner.Color != at.Color
	})
	if len(there) == 0 {
		return nil, fmt.Errorf("%s: %w", absent(at), pipeline.ErrNotFound)
	}
	from, err := c.serving(ctx, a, there)
	if err != nil {
		return nil, err
	}
	// What is to be masked is known before anything is read.
	secrets, err := c.secrets(ctx, a, from.Owner.Deployment)
	if err != nil {
		return nil, fmt.Errorf("read what has to be masked: %w", err)
	}
	text, err := c.o.Engine.Logs(ctx, from.ID, o)
	if err != nil {
		return nil, fmt.Errorf("read the log of %s: %w", from.Name, err)
	}
	return c.o.Masked(text, secrets), nil
}

func absent(at pipeline.ServicePlace) string {
	text := fmt.Sprintf("service %s of app %s does not run", at.Service, at.App)
	if at.Replica > 0 {
		text = fmt.Sprintf("replica %d of %s", at.Replica, text)
	}
	if at.Color != "" {
		text += " on " + string(at.Color)
	}
	return text
}

// serving is the one of the containers that visitors are on, or else the newest.
func (c *Commands) serving(ctx context.Context, a pipeline.App, there []pipeline.Container) (pipeline.Container, error) {
	on, err := c.visitorsOn(ctx, a)
	if err != nil {
		return pipeline.Container{}, err
	}
	slices.SortStableFunc(there, func(x, y pipeline.Container) int { return cmp.Compare(y.Owner.Deployment, x.Owner.Deployment) })
	i := slices.IndexFunc(there, func(k pipeline.Container) bool { return k.Owner.Deployment == on })
	return there[max(i, 0)], nil
}

// visitorsOn is the deployment that visitors are on, empty if none: the proxy
// knows, and where it cannot tell, the records do.
func (c *Commands) visitorsOn(ctx context.Context, a pipeline.App) (string, error) {
	entry, err := c.o.Proxy.Entry(ctx, a.ID)
	if err == nil {
		return entry.Deployment, nil
	}
	if !errors.Is(err, pipeline.ErrNotFound) && !errors.Is(err, pipeline.ErrUnreachable) {
		return "", fmt.Errorf("ask the proxy: %w", err)
	}
	for _, state := range []pipeline.State{pipeline.Watching, pipeline.Live} {
		list, err := c.o.Deployments.Deployments(ctx, pipeline.DeploymentQuery{AppID: a.ID, States: []pipeline.State{state}})
		if err != nil {
			return "", fmt.Errorf("read what serves: %w", err)
		}
		if len(list) > 0 {
			return list[0].ID, nil
		}
	}
	return "", nil
}

// secrets are the values of the app's variables: as they are now, and as the
// deployment's release has them.
func (c *Commands) secrets(ctx context.Context, a pipeline.App, deployment string) ([]string, error) {
	now, version, err := c.o.Environments.Env(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	held, err := c.o.Environments.FilesAt(ctx, a.ID, version)
	if err != nil {
		return nil, err
	}
	out := slices.AppendSeq(pipeline.HeldSecrets(held), maps.Values(now))
	d, err := c.o.Deployments.Deployment(ctx, deployment)
	if errors.Is(err, pipeline.ErrNotFound) || err == nil && d.ReleaseID == "" {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	rel, err := c.o.Deployments.Release(ctx, d.ReleaseID)
	if errors.Is(err, pipeline.ErrNotFound) || err == nil && rel.EnvVersion == version {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	then, err := c.o.Environments.EnvAt(ctx, a.ID, rel.EnvVersion)
	if err != nil {
		return nil, err
	}
	had, err := c.o.Environments.FilesAt(ctx, a.ID, rel.EnvVersion)
	out = append(out, pipeline.HeldSecrets(had)...)
	return slices.AppendSeq(out, maps.Values(then)), err
}
