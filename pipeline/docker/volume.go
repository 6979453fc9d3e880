package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/volume"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// ensureVolumes makes the volumes that the service mounts, as far as they are
// not there. External ones must be there.
func (e *Engine) ensureVolumes(ctx context.Context, o pipeline.ContainerOrder) error {
	for _, m := range o.Service.Mounts {
		if m.Volume == "" {
			continue
		}
		v, err := findVolume(o, m)
		if err != nil {
			return err
		}
		if err := e.ensureVolume(ctx, o, v); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) ensureVolume(ctx context.Context, o pipeline.ContainerOrder, v stack.Volume) error {
	owner := o.Owner
	name := v.External
	if name == "" {
		name = e.volumeName(owner.App, v.Name)
	}
	there, err := e.api.VolumeInspect(ctx, name)
	switch {
	case err == nil && v.External == "":
		return errors.Join(e.mayMount(there, owner), mayHave(there, o))
	case err == nil:
		return e.mayMount(there, owner)
	case !cerrdefs.IsNotFound(err):
		return said(err, "look at volume %s", name)
	case v.External != "":
		return said(err, "volume %s is external and must be made before it is used", name)
	}
	labels := maps.Clone(v.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, e.ours())
	labels[labelApp], labels[labelAppID] = owner.App, owner.AppID
	made, err := e.api.VolumeCreate(ctx, volume.CreateOptions{
		Name: name, Driver: v.Driver, DriverOpts: v.Options, Labels: labels,
	})
	if err != nil {
		return said(err, "make volume %s", name)
	}
	return errors.Join(e.mayMount(made, owner), mayHave(made, o)) // somebody may have been faster
}

// mayMount keeps apps out of each other's data: a volume that carries our labels
// is mounted by its own app only, also if it is called external.
func (e *Engine) mayMount(v volume.Volume, owner pipeline.Owner) error {
	installation, made := v.Labels[labelInstallation]
	if !made {
		return nil // not made by any Swingbridge
	}
	if installation != e.installation || v.Labels[labelApp] != owner.App {
		return conflict(fmt.Errorf("it belongs to app %q of installation %q", v.Labels[labelApp], installation),
			"mount volume %s in app %q", v.Name, owner.App)
	}
	return nil
}

// mayHave refuses a volume of the app that was made with options which are not
// allowed any more: the engine keeps those that it was made with.
func mayHave(there volume.Volume, o pipeline.ContainerOrder) error {
	made := stack.Volume{Name: there.Name, Driver: there.Driver, Options: there.Options}
	if missing := stack.Missing(o.Allowed, made.Permissions()); len(missing) > 0 {
		return refused("volume %s was made with options that the app is not allowed: %s", there.Name, stack.Allow(o.Owner.App, missing))
	}
	return nil
}
