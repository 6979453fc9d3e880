package stack

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// Found is what the commit has at a path.
type Found struct {
	Folder bool
	// Empty says that the folder is there for its own sake: nothing but files
	// that keep it in git are in it, .gitkeep and the like.
	Empty bool
}

// bind says what the source of a bind stands for. An absolute path is the
// host's. A relative one is a file or folder of the commit where it has one, else
// a folder of the app's data. complaint is why it is refused.
func (s *service) bind(at place, v types.ServiceVolumeConfig) (out *Bind, complaint string) {
	source, file := v.Source, s.cleanJoin(v.Source)
	switch {
	case strings.HasPrefix(source, "~"):
		return nil, "a home folder is refused: nobody's is meant on the server. Use a named volume, or a path below the repository; " + undo
	case source == "" || strings.ContainsFunc(source, func(r rune) bool { return r == '\\' || unicode.IsControl(r) }):
		return nil, "the source must be a path below the repository, with slashes"
	case v.Bind != nil && v.Bind.Propagation != "" && !slices.Contains(format.Propagations, v.Bind.Propagation):
		return nil, "propagation is one of " + strings.Join(format.Propagations, ", ")
	case path.IsAbs(source):
		file = ""
	case !inside(file):
		return nil, "the path leads out of the repository. Use one below it; " + undo
	}
	out = &Bind{}
	if v.Bind != nil {
		out.Propagation, out.SELinux = v.Bind.Propagation, v.Bind.SELinux
	}
	if file == "" {
		out.Host = path.Clean(source)
		return out, ""
	}
	found, err := s.find(file)
	switch {
	case err == nil && !found.Empty:
		out.Repo = file
		if !v.ReadOnly {
			s.l.found.note(at, s.name, "volumes", s.l.mask(source)+" is of the commit: what the service writes there is gone once the commit changes it. Write :ro, or keep data where the commit has nothing")
		}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, "it cannot be mounted: " + s.l.mask(err.Error())
	case err != nil && v.Bind != nil && !bool(v.Bind.CreateHostPath):
		return nil, "the commit does not have it, and create_host_path is false: commit it, put it on the server (`swingbridge file set APP PATH`), or leave create_host_path out"
	default:
		out.Data = file
		s.l.found.note(at, s.name, "volumes", s.l.mask(source)+" is not in the commit: a folder of the app's data is mounted, which no deployment replaces")
		if other := s.data.overlap(file); other != "" {
			return nil, "one data folder lies in the other, " + s.l.mask(other) + ": mount the outer one alone and use what is in it, or give one a path elsewhere"
		}
	}
	return out, ""
}

// find is Input.Find for paths inside of the repository.
func (s *service) find(file string) (Found, error) {
	if s.l.in.Find == nil {
		return Found{}, fs.ErrNotExist
	}
	return s.l.in.Find(file)
}

// dataPaths are the data folders of all services so far.
type dataPaths map[string]bool

// overlap takes a path in, unless another one lies in it or it in the other.
func (d dataPaths) overlap(file string) string {
	for _, other := range slices.Sorted(maps.Keys(d)) {
		if strings.HasPrefix(file, other+"/") || strings.HasPrefix(other, file+"/") {
			return other
		}
	}
	d[file] = true
	return ""
}

// bindOptions are what may follow the second colon of a path. The last three are
// for developers' machines and have no effect on any other.
func bindOptions() []string {
	return slices.Concat([]string{"ro", "rw", "z", "Z"}, format.Propagations, []string{"consistent", "cached", "delegated"})
}

// rebaseMount makes the relative source of a mount relative to the project's
// folder.
func (l *loading) rebaseMount(entry *yaml.Node, rel string) {
	to := func(n *yaml.Node, source, rest string) {
		// Without ./ in front it would be the name of a volume.
		n.Value = strings.ReplaceAll("./"+path.Join(rel, source)+rest, "$", "$$")
	}
	if src, ok := lookup(entry, "source"); ok {
		kind, _ := lookup(entry, "type")
		text, _, _ := l.vars.expand(src.value.Value)
		if kind.value != nil && kind.value.Value == types.VolumeTypeBind && !path.IsAbs(text) && !strings.HasPrefix(text, "~") {
			to(src.value, text, "")
		}
		return
	}
	if entry.Kind != yaml.ScalarNode {
		return
	}
	text, _, _ := l.vars.expand(entry.Value)
	if source, rest, ok := strings.Cut(text, ":"); ok && strings.HasPrefix(source, ".") {
		to(entry, source, ":"+rest)
	}
}
