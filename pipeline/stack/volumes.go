package stack

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
)

// mounts are the volumes, the binds and the tmpfs of a service.
func (s *service) mounts() ([]Mount, map[string]string) {
	var out []Mount
	tmpfs := map[string]string{}
	targets := map[string]bool{}
	for _, v := range s.from.Volumes {
		at := s.mountPlace(v)
		if complaint := s.complain(v); complaint != "" {
			s.l.found.add(at, s.name, "volumes", "%s", complaint)
			continue
		}
		target := path.Clean(v.Target)
		if targets[target] {
			s.l.found.add(at, s.name, "volumes", "two mounts have the same target")
			continue
		}
		targets[target] = true
		if v.Type == types.VolumeTypeTmpfs {
			tmpfs[target] = tmpfsOptions(v)
			continue
		}
		if v.Type == types.VolumeTypeVolume && v.Bind != nil && v.Bind.SELinux == types.SELinuxPrivate {
			s.l.found.note(at, s.name, "volumes", "Z is z here: the engine labels a volume for all containers that mount it, and two colors of a service do")
		}
		m := Mount{Volume: v.Source, Target: target, ReadOnly: v.ReadOnly, NoCopy: v.Volume != nil && v.Volume.NoCopy}
		switch {
		case v.Type == types.VolumeTypeBind:
			bind, complaint := s.bind(at, v)
			if complaint != "" {
				s.l.found.add(at, s.name, "volumes", "%s", complaint)
				continue
			}
			m.Volume, m.Bind = "", bind
			if bind.Host != "" {
				s.l.need(at, s.name, "volumes", bindPermission(m))
			}
		case v.Source == "" && s.role.Colored():
			s.l.found.note(at, s.name, "volumes", "has no name: it is empty after each deployment. To keep what is in it, name it and declare it under the top-level volumes")
		}
		out = append(out, m)
	}
	for _, entry := range s.from.Tmpfs {
		target, options, _ := strings.Cut(entry, ":")
		if !goodTarget(target) || targets[path.Clean(target)] {
			s.add("must be an absolute path in the container, once", []string{"tmpfs"})
			continue
		}
		if !onlyOptions(strings.Split(options, ","), append(tmpfsVolumeOptions(), "exec")) {
			s.addTo(entry, "a tmpfs has the options "+strings.Join(tmpfsVolumeOptions(), ", ")+" and exec, no others", "tmpfs")
			continue
		}
		targets[path.Clean(target)] = true
		tmpfs[path.Clean(target)] = options
	}
	return out, some(tmpfs)
}

// complain says why a mount is refused.
func (s *service) complain(v types.ServiceVolumeConfig) string {
	switch {
	case v.Type != types.VolumeTypeVolume && v.Type != types.VolumeTypeTmpfs && v.Type != types.VolumeTypeBind:
		return "only volumes, paths and tmpfs are mounted; " + undo
	case !goodTarget(v.Target):
		return "the target must be an absolute path in the container, and not its root"
	case v.Type == types.VolumeTypeTmpfs && v.Source != "":
		return "a tmpfs has no source"
	case v.Type != types.VolumeTypeVolume || v.Source == "":
		return ""
	case v.Bind != nil && v.Bind.Propagation != "":
		return "the options after the second colon are for paths of the host; a named volume has ro, rw, nocopy, z and Z"
	}
	if _, ok := s.project.Volumes[v.Source]; !ok || strings.ContainsAny(v.Source, "/\\") {
		return "the volume is not declared: name it under the top-level volumes"
	}
	return ""
}

func goodTarget(target string) bool {
	return path.IsAbs(target) && path.Clean(target) != "/" && !strings.ContainsFunc(target, unicode.IsControl)
}

func tmpfsOptions(v types.ServiceVolumeConfig) string {
	var options []string
	if v.ReadOnly {
		options = append(options, "ro")
	}
	if v.Tmpfs != nil && v.Tmpfs.Size > 0 {
		options = append(options, fmt.Sprintf("size=%d", v.Tmpfs.Size))
	}
	if v.Tmpfs != nil && v.Tmpfs.Mode > 0 {
		options = append(options, fmt.Sprintf("mode=%o", v.Tmpfs.Mode))
	}
	return strings.Join(options, ",")
}

// mountPlace finds where a merged mount stands, by its target. Options that
// compose-go drops without a word are found here too.
func (s *service) mountPlace(v types.ServiceVolumeConfig) place {
	at := s.view.at("volumes")
	for _, it := range s.view.items("volumes") {
		var target string
		if p, ok := lookup(it.node, "target"); ok {
			target, _, _ = s.l.vars.expand(p.value.Value)
		} else {
			text, _, _ := s.l.vars.expand(it.node.Value)
			parsed, err := format.ParseVolume(text)
			if err != nil {
				continue
			}
			target = parsed.Target
			s.checkOptions(it, text, parsed)
		}
		if path.Clean(target) == path.Clean(v.Target) {
			at = it.place
		}
	}
	return at
}

func (s *service) checkOptions(it item, text string, parsed types.ServiceVolumeConfig) {
	_, options, ok := strings.Cut(text, parsed.Source+":"+parsed.Target+":")
	known, complaint := []string{"ro", "rw", "nocopy", "z", "Z"}, "a named volume has the options ro, rw, nocopy, z and Z, no others"
	if parsed.Type == types.VolumeTypeBind {
		known = bindOptions()
		complaint = "a path has the options " + strings.Join(known, ", ") + ", no others"
	}
	if !ok || parsed.Type == types.VolumeTypeVolume && parsed.Bind != nil && parsed.Bind.Propagation != "" {
		return // see complain
	}
	for _, option := range strings.Split(options, ",") {
		if !slices.Contains(known, option) {
			s.l.found.add(it.place, s.name, "volumes", "%s", complaint)
		}
	}
}

// volumes are those that services mount, in their order.
func (c *conversion) volumes(services []Service) []Volume {
	used := map[string]bool{}
	for _, s := range services {
		for _, m := range s.Mounts {
			if m.Volume != "" {
				used[m.Volume] = true
			}
		}
	}
	var out []Volume
	for _, name := range slices.Sorted(maps.Keys(used)) {
		out = append(out, c.volume(name))
	}
	return out
}

// volume is one that the files declare.
func (c *conversion) volume(name string) Volume {
	from := c.project.Volumes[name]
	out := Volume{Name: name, Driver: from.Driver, Options: some(from.DriverOpts), Labels: some(from.Labels)}
	add := func(key, message string) {
		c.l.found.add(c.top.at("volumes", name, key), "", "volumes."+name+"."+key, "%s", message)
	}
	switch {
	case bool(from.External):
		out = Volume{Name: name, External: name}
		if from.Name != "" {
			out.External = from.Name
		}
		if !goodVolumeName(out.External) {
			add("name", "is no name of a volume: letters, digits, dots, dashes and underscores")
			return out
		}
	case from.Name != "":
		if other := c.sameName(name, from.Name); other != "" {
			add("name", "is the name of the volume "+other+" too: declare one volume, and name it in both services")
		}
		c.l.found.note(c.top.at("volumes", name, "name"), "", "volumes."+name+".name",
			"has no effect: volumes are named after the app. One of this name that is there already is not mounted; it would be with external: true")
	}
	for _, p := range out.Permissions() {
		key := "driver_opts"
		switch {
		case out.External != "":
			key = "external"
		case strings.HasPrefix(string(p), "volume-driver:"):
			key = "driver"
		}
		c.l.need(c.top.at("volumes", name, key), "", "volumes."+name+"."+key, p)
	}
	for label := range out.Labels {
		if ownLabel(label) {
			add("labels", "labels that begin with dev.swingbridge. are Swingbridge's own")
		}
	}
	return out
}

// sameName is a volume before this one that the files give the same name, and
// so the same content.
func (c *conversion) sameName(name, same string) string {
	for _, other := range slices.Sorted(maps.Keys(c.project.Volumes)) {
		if other < name && c.project.Volumes[other].Name == same {
			return other
		}
	}
	return ""
}

func goodVolumeName(name string) bool {
	return name != "" && !strings.HasPrefix(name, ".") && !strings.ContainsFunc(name, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-", r)
	})
}
