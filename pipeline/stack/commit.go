package stack

import (
	"errors"
	"io/fs"
	"path"
	"strings"
)

// remote reports whether a build context or a file is meant to come from
// elsewhere than the repository.
func remote(text string) bool {
	return strings.Contains(text, "://") || strings.HasPrefix(text, "git@") || strings.HasPrefix(text, "github.com/")
}

// openFrom opens a file that is named relative to a folder.
func (l *loading) openFrom(at place, key, dir, name string) (*source, bool) {
	if path.IsAbs(name) || remote(name) {
		l.found.block(at, key, "must be a file of the repository")
		return nil, false
	}
	return l.open(at, key, path.Join(dir, name))
}

// open reads and parses another file of the commit, once.
func (l *loading) open(at place, key, file string) (*source, bool) {
	if s, ok := l.opened[file]; ok {
		return s, s != nil
	}
	l.opened[file] = nil
	content, err := l.read(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.found.block(at, key, "%s", l.lacking(file))
		return nil, false
	case err != nil:
		l.found.block(at, key, "%s cannot be read: %v", file, err)
		return nil, false
	}
	l.found.files = append(l.found.files, file)
	s, ok := l.parse(file, content)
	if !ok {
		return nil, false
	}
	l.opened[file] = s
	return s, true
}

// read is Input.Read for paths inside the repository only.
func (l *loading) read(file string) ([]byte, error) {
	for _, f := range l.in.Files {
		if path.Clean(f.Path) == file {
			return f.Content, nil
		}
	}
	if !inside(file) {
		return nil, errors.New("it is outside of the repository")
	}
	if l.in.Read == nil {
		return nil, fs.ErrNotExist
	}
	return l.in.Read(file)
}

// inside reports whether a clean path stays in the repository.
func inside(file string) bool {
	return !path.IsAbs(file) && file != ".." && !strings.HasPrefix(file, "../")
}
