package docker

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/mount"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// mounts translates the service's mounts. binds are those that the engine takes
// in the older form only, because it is to label them for SELinux.
func (e *Engine) mounts(o pipeline.ContainerOrder) (out []mount.Mount, binds []string, err error) {
	carry := maps.Clone(o.Carry)
	for _, m := range o.Service.Mounts {
		if !strings.HasPrefix(m.Target, "/") {
			return nil, nil, refused("service %s: mount target %q is not an absolute path", o.Service.Name, m.Target)
		}
		var one mount.Mount
		switch {
		case m.Bind != nil:
			one, err = e.bind(o, m)
		case m.Volume != "":
			one, err = e.namedVolume(o, m)
		default:
			one, err = carried(o, m.Target, carry[m.Target])
			one.ReadOnly = m.ReadOnly
			delete(carry, m.Target)
		}
		if err != nil {
			return nil, nil, err
		}
		if m.Bind != nil && m.Bind.SELinux != "" {
			text, err := labeled(o, one, m.Bind.SELinux)
			if err != nil {
				return nil, nil, err
			}
			binds = append(binds, text)
			continue
		}
		out = append(out, one)
	}
	for _, target := range slices.Sorted(maps.Keys(carry)) { // of volumes that the image asks for
		one, err := carried(o, target, carry[target])
		if err != nil {
			return nil, nil, err
		}
		out = append(out, one)
	}
	return out, binds, nil
}

func (e *Engine) namedVolume(o pipeline.ContainerOrder, m stack.Mount) (mount.Mount, error) {
	volume, err := findVolume(o, m)
	if err != nil {
		return mount.Mount{}, err
	}
	source := volume.External
	if source == "" {
		source = e.volumeName(o.Owner.App, volume.Name)
	}
	if !isName(source) {
		return mount.Mount{}, refused("service %s: %q is not the name of a volume", o.Service.Name, source)
	}
	return mount.Mount{
		Type: mount.TypeVolume, Source: source, Target: m.Target, ReadOnly: m.ReadOnly,
		VolumeOptions: &mount.VolumeOptions{NoCopy: m.NoCopy},
	}, nil
}

// carried is an anonymous volume: a new one, or that of the container before.
func carried(o pipeline.ContainerOrder, target, name string) (mount.Mount, error) {
	if name != "" && !isAnonymous(name) || !strings.HasPrefix(target, "/") {
		return mount.Mount{}, refused("service %s: %q at %q is not an anonymous volume", o.Service.Name, name, target)
	}
	return mount.Mount{Type: mount.TypeVolume, Source: name, Target: target, VolumeOptions: &mount.VolumeOptions{}}, nil
}

// bind mounts what was placed for the app, or a path of the host that the
// operator allowed, see checkAllowed.
func (e *Engine) bind(o pipeline.ContainerOrder, m stack.Mount) (mount.Mount, error) {
	b := m.Bind
	source := b.Host
	switch {
	case source != "" && b.Placed+b.Data+b.Repo != "":
		return mount.Mount{}, refused("service %s: %q at %q is both the host's and the app's own", o.Service.Name, source, m.Target)
	case source == "" && !e.placedFor(o.Owner.AppID, b.Placed):
		return mount.Mount{}, refused("service %s: %q at %q is not of the app's own folders", o.Service.Name, b.Placed, m.Target)
	case source == "":
		source = b.Placed
	}
	out := mount.Mount{Type: mount.TypeBind, Source: source, Target: m.Target, ReadOnly: m.ReadOnly}
	if b.Propagation != "" {
		out.BindOptions = &mount.BindOptions{Propagation: mount.Propagation(b.Propagation)}
		if !slices.Contains(mount.Propagations, out.BindOptions.Propagation) {
			return mount.Mount{}, refused("service %s: propagation %q", o.Service.Name, b.Propagation)
		}
	}
	return out, nil
}

// placedFor reports whether a path lies in the folders that are the app's: its
// data, and what was placed of its commits.
func (e *Engine) placedFor(appID, placed string) bool {
	if e.folders == "" || !isKey(appID) || path.Clean(placed) != placed {
		return false
	}
	for _, own := range []string{"data", "files"} {
		if below, ok := strings.CutPrefix(placed, path.Join(e.folders, appID, own)+"/"); ok && below != "" {
			return true
		}
	}
	return false
}

// labeled writes a bind in the form source:target:options.
func labeled(o pipeline.ContainerOrder, m mount.Mount, label string) (string, error) {
	options := []string{label}
	if m.ReadOnly {
		options = append(options, "ro")
	}
	if m.BindOptions != nil {
		options = append(options, string(m.BindOptions.Propagation))
	}
	if label != "z" && label != "Z" || strings.Contains(m.Source+m.Target, ":") {
		return "", refused("service %s: %q at %q cannot be labeled %q for SELinux", o.Service.Name, m.Source, m.Target, label)
	}
	return m.Source + ":" + m.Target + ":" + strings.Join(options, ","), nil
}
