package source

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// match is what a folder's patterns said, handed down to what is in it.
type match = patternmatcher.MatchInfo

// ignore is a .dockerignore as the builders understand it.
type ignore struct {
	pm   *patternmatcher.PatternMatcher // nil: nothing is ignored
	keep map[string]bool                // paths that the builder needs whatever the file says
}

// ignore reads the ignore file of a build: that of the Dockerfile if it has its
// own (NAME.dockerignore beside it), else .dockerignore of the context.
func (t *Tree) ignore(base, dockerfile string) (*ignore, error) {
	own := dockerfile + ".dockerignore"
	ign := &ignore{keep: map[string]bool{dockerfile: true, own: true, ".dockerignore": true}}
	for _, name := range []string{own, ".dockerignore"} {
		full := path.Join(base, name)
		raw, err := t.ReadFile(full)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		patterns, err := ignorefile.ReadAll(bytes.NewReader(raw))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", full, err)
		}
		if ign.pm, err = patternmatcher.New(patterns); err != nil {
			return nil, refuse(full, "has a pattern that cannot be understood: %v", err)
		}
		return ign, nil
	}
	return ign, nil
}

// match reports whether a path is ignored.
func (i *ignore) match(name string, above match) (bool, match, error) {
	if i.pm == nil {
		return false, above, nil
	}
	ignored, here, err := i.pm.MatchesUsingParentResults(name, above)
	if err != nil {
		return false, here, fmt.Errorf(".dockerignore: %w", err)
	}
	return ignored && !i.keep[name], here, nil
}

// below reports whether something in an ignored folder may be kept.
func (i *ignore) below(folder string) bool {
	folder += "/"
	for name := range i.keep {
		if strings.HasPrefix(name, folder) {
			return true
		}
	}
	for _, p := range i.pm.Patterns() {
		// Of a pattern with wildcards only the part before them is compared.
		text := p.String()
		fixed, wild := text, strings.IndexAny(text, `*?[\`)
		if wild >= 0 {
			fixed = text[:wild]
		}
		if p.Exclusion() && (strings.HasPrefix(text, folder) || wild >= 0 && strings.HasPrefix(folder, fixed)) {
			return true
		}
	}
	return false
}
