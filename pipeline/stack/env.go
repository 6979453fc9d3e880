package stack

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

// notUTF8 is why a text of the repository cannot be kept with a release.
const notUTF8 = "is not in UTF-8: save it in that encoding"

// env is the environment of a service, see Load for what wins.
func (s *service) env() map[string]string {
	out := map[string]string{}
	if s.from.Build != nil && s.role != Keep {
		maps.Copy(out, s.l.in.Env)
	}
	for _, f := range s.from.EnvFiles {
		maps.Copy(out, s.envFile(f.Path, bool(f.Required)))
	}
	for name, value := range s.from.Environment {
		if name == "" || strings.ContainsRune(name, 0) {
			s.add("a variable needs a name", []string{"environment"})
			continue
		}
		if value == nil {
			filled, ok := s.l.vars.lookup(name)
			if !ok {
				s.l.found.note(s.view.at("environment", name), s.name, "environment."+name, "has no value here nor in the app's environment: it is left to the image")
				delete(out, name)
				continue
			}
			value = &filled
		}
		out[name] = *value
	}
	return some(out)
}

// envFile reads one env_file of the commit.
func (s *service) envFile(name string, required bool) map[string]string {
	keys := []string{"env_file"}
	at := s.view.at(keys...)
	for _, it := range s.view.items(keys...) {
		text := it.node.Value
		if p, ok := lookup(it.node, "path"); ok {
			text = p.value.Value
		}
		if text, _, _ = s.l.vars.expand(text); path.Clean(text) == path.Clean(name) {
			at = it.place
		}
	}
	if path.IsAbs(name) {
		s.l.found.add(at, s.name, "env_file", "must be a file of the repository")
		return nil
	}
	file := s.cleanJoin(name)
	content, err := s.l.read(file)
	switch {
	case err == nil:
		return s.l.parseEnvFile(at, s.name, "env_file", content)
	case errors.Is(err, fs.ErrNotExist) && path.Base(file) == ".env":
		return s.l.in.Env
	case errors.Is(err, fs.ErrNotExist) && !required:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		s.l.found.add(at, s.name, "env_file", "%s, or set its variables in the app's environment and write `required: false`", s.l.lacking(file))
	default:
		s.l.found.add(at, s.name, "env_file", "%s cannot be read: %v", s.l.mask(file), err)
	}
	return nil
}

// parseEnvFile reads NAME=value lines. The parser's own message is not passed
// on, it quotes what follows in the file.
func (l *loading) parseEnvFile(at place, service, key string, content []byte) (out map[string]string) {
	defer func() {
		if r := recover(); r != nil { // the file comes from strangers
			l.found.add(at, service, key, "not readable as NAME=value lines")
			out = nil
		}
	}()
	if !utf8.Valid(content) {
		l.found.add(at, service, key, "the file %s", notUTF8)
		return nil
	}
	values, err := dotenv.UnmarshalBytesWithLookup(content, l.vars.lookup)
	if err == nil {
		return values
	}
	if m := regexp.MustCompile(`^line (\d+)`).FindStringSubmatch(err.Error()); m != nil {
		if line, err := strconv.Atoi(m[1]); err == nil {
			l.found.add(at, service, key, "line %d of the file is not readable as NAME=value", line)
			return nil
		}
	}
	l.found.add(at, service, key, "not readable as NAME=value lines")
	return nil
}
