package stack

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode"

	"github.com/compose-spec/compose-go/v2/types"
)

// defaultFileMode lets everybody in the container read a config or a secret, as
// Compose has it.
const defaultFileMode = 0o444

// fileKind is what configs and secrets differ in.
type fileKind struct {
	key      string // in a service and at the top level
	folder   string // where files go whose target is no absolute path
	refs     []types.FileReferenceConfig
	declared map[string]types.FileObjectConfig
}

func (s *service) fileKinds() []fileKind {
	configs := fileKind{key: "configs", folder: "/", declared: map[string]types.FileObjectConfig{}}
	secrets := fileKind{key: "secrets", folder: "/run/secrets", declared: map[string]types.FileObjectConfig{}}
	for _, ref := range s.from.Configs {
		configs.refs = append(configs.refs, types.FileReferenceConfig(ref))
	}
	for _, ref := range s.from.Secrets {
		secrets.refs = append(secrets.refs, types.FileReferenceConfig(ref))
	}
	for name, declared := range s.project.Configs {
		configs.declared[name] = types.FileObjectConfig(declared)
	}
	for name, declared := range s.project.Secrets {
		secrets.declared[name] = types.FileObjectConfig(declared)
	}
	return []fileKind{configs, secrets}
}

// files are the configs and secrets of a service whose mounts are known.
func (s *service) files(out *Service) []Content {
	var files []Content
	targets := map[string]bool{}
	for _, kind := range s.fileKinds() {
		for _, ref := range kind.refs {
			f, complaint := s.file(kind, ref)
			if _, ok := kind.declared[ref.Source]; !ok {
				complaint = "it is not declared under the top-level " + kind.key
			}
			if complaint == "" {
				complaint = s.hidden(out, f.Target)
			}
			if complaint == "" && targets[f.Target] {
				complaint = "two files have the same target"
			}
			if complaint != "" {
				s.l.found.add(s.fileAt(ref, kind.key), s.name, kind.key, "%s", complaint)
				continue
			}
			targets[f.Target] = true
			data, ok := s.fileData(kind, ref.Source)
			if ok {
				f.Data = data
				files = append(files, f)
			}
		}
	}
	if s.from.ReadOnly && len(files) > 0 {
		s.add("the engine puts no configs and secrets into a container whose file system is read-only: give them as environment variables, or take read_only out", []string{"read_only"})
	}
	return files
}

// fileAt is where a service names a config or a secret, below the keys.
func (s *service) fileAt(ref types.FileReferenceConfig, keys ...string) place {
	at := s.view.at(keys...)
	for _, it := range s.view.items(keys...) {
		text := func(key, otherwise string) string {
			if p, ok := lookup(it.node, key); ok {
				otherwise = p.value.Value
			}
			value, _, _ := s.l.vars.expand(otherwise)
			return value
		}
		if text("source", it.node.Value) == ref.Source && text("target", "") == ref.Target {
			at = it.place
		}
	}
	return at
}

// file reads all but the content.
func (s *service) file(kind fileKind, ref types.FileReferenceConfig) (Content, string) {
	out := Content{Target: ref.Target, Mode: defaultFileMode}
	if out.Target == "" {
		out.Target = ref.Source
	}
	if !path.IsAbs(out.Target) {
		out.Target = path.Join(kind.folder, "./"+out.Target)
	}
	if out.Target = path.Clean(out.Target); out.Target == "/" || strings.ContainsFunc(out.Target, unicode.IsControl) {
		return out, "the target must be a file in the container"
	}
	if ref.Mode != nil {
		if *ref.Mode < 0 || *ref.Mode > 0o7777 {
			return out, "the mode must be octal permission bits, like 0440"
		}
		out.Mode = uint32(*ref.Mode)
	}
	var uid, gid string
	out.UID, uid = fileOwner(ref.UID)
	out.GID, gid = fileOwner(ref.GID)
	if uid != "" {
		return out, uid
	}
	return out, gid
}

// hidden says why a file would not be seen at its target, or would be seen by
// others than this container.
func (s *service) hidden(out *Service, target string) string {
	below := func(folder string) bool { return target == folder || strings.HasPrefix(target, folder+"/") }
	for folder := range out.Tmpfs {
		if below(folder) {
			return "the tmpfs at " + folder + " would hide it: give one of them another target"
		}
	}
	for _, m := range out.Mounts {
		if below(m.Target) {
			return "the mount at " + m.Target + " would keep it beyond the container: give one of them another target"
		}
	}
	return ""
}

// fileData is what a declared config or secret holds.
func (c *conversion) fileData(kind fileKind, name string) ([]byte, bool) {
	declared := kind.declared[name]
	key := kind.key + "." + name
	add := func(under, format string, args ...any) {
		c.l.found.add(c.top.at(kind.key, name, under), "", key+"."+under, format, args...)
	}
	switch {
	case bool(declared.External):
		add("external", "%s", noStore)
	case declared.Environment != "":
		value, ok := c.l.vars.lookup(declared.Environment)
		if !ok {
			add("environment", "the app's environment has no %s: set it there", c.l.mask(declared.Environment))
		}
		return []byte(value), ok
	case declared.File != "":
		return c.repositoryFile(c.top.at(kind.key, name, "file"), "", key+".file", declared.File)
	default:
		return []byte(declared.Content), true
	}
	return nil, false
}

// lacking says how to bring a file that the commit does not have, and need not.
func (l *loading) lacking(file string) string {
	file = l.mask(file)
	return fmt.Sprintf("the commit has no file %s: put it on the server with `swingbridge file set %s %s FILE`", file, l.in.App, quoted(file))
}

// repositoryFile reads a file that the compose files name, relative to the
// project's folder.
func (c *conversion) repositoryFile(at place, service, key, name string) ([]byte, bool) {
	if path.IsAbs(name) || strings.HasPrefix(name, "~") || remote(name) {
		c.l.found.add(at, service, key, "must be a file of the repository")
		return nil, false
	}
	file := c.cleanJoin(name)
	content, err := c.l.read(file)
	switch {
	case err == nil:
		return content, true
	case errors.Is(err, fs.ErrNotExist):
		c.l.found.add(at, service, key, "%s", c.l.lacking(file))
	default:
		c.l.found.add(at, service, key, "%s cannot be read: %v", c.l.mask(file), err)
	}
	return nil, false
}
