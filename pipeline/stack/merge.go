package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
)

// merge lets compose-go merge and type the files. It is nil where the files
// cannot be loaded; the problem is then among the findings. compose-go stops at
// the first problem, and not always at the same one, so what it complains about
// is taken out and it is asked again.
func (l *loading) merge(ctx context.Context, sources []*source, views map[string]*view) (*types.Project, error) {
	for range 50 {
		details, err := l.details(sources)
		if err != nil {
			l.found.add(place{}, "", "", "%v", err)
			return nil, nil
		}
		if len(details.ConfigFiles) == 0 {
			return nil, nil // checkRoutes has said that there are no services
		}
		project, err := load(ctx, details, l.options)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil {
			return project, nil
		}
		if l.found.blocking || !l.explain(err, views) {
			return nil, nil
		}
		l.prune(sources)
	}
	return nil, nil
}

func (l *loading) details(sources []*source) (types.ConfigDetails, error) {
	details := types.ConfigDetails{WorkingDir: "/", Environment: types.Mapping(maps.Clone(l.vars))}
	for _, s := range sources {
		if len(s.docs) == 0 {
			continue
		}
		content, err := s.encode()
		if err != nil {
			return details, err
		}
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: s.path, Content: content})
	}
	return details, nil
}

// options keep compose-go from the disk: paths stay as they are, env files and
// labels are ours to read, include and extends have been resolved.
func (l *loading) options(o *loader.Options) {
	o.SetProjectName("app", true)
	o.ResolvePaths = false
	o.SkipInclude = true
	o.SkipNormalization = true
	o.SkipConsistencyCheck = true
	o.SkipResolveEnvironment = true
	o.SkipResolveLabels = true
	o.ResourceLoaders = []loader.ResourceLoader{nowhere{}}
	o.Interpolate.LookupValue = l.vars.lookup
	o.Interpolate.Substitute = func(text string, _ template.Mapping) (string, error) {
		out, _, _ := l.vars.expand(text) // failures were reported with their lines
		return out, nil
	}
}

// nowhere is where compose-go finds files that others name: flatten has brought
// in all that are the commit's, so what is left of such names is none of ours.
type nowhere struct{}

// Accept implements loader.ResourceLoader.
func (nowhere) Accept(string) bool { return true }

// Load implements loader.ResourceLoader.
func (nowhere) Load(context.Context, string) (string, error) {
	return "", errors.New("a file of the repository is named where none can be")
}

// Dir implements loader.ResourceLoader.
func (nowhere) Dir(string) string { return "" }

// load calls compose-go. The files come from strangers; a panic in it must end
// neither the server nor the other apps' deployments.
func load(ctx context.Context, details types.ConfigDetails, options func(*loader.Options)) (p *types.Project, err error) {
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, fmt.Errorf("the files cannot be merged: %v", r)
		}
	}()
	return loader.LoadWithContext(ctx, details, options)
}

// explain turns compose-go's complaint into a problem with its place. It
// reports whether what it is about was found, and so can be taken out.
func (l *loading) explain(err error, views map[string]*view) bool {
	text := l.mask(strings.Join(strings.Fields(err.Error()), " "))
	// The longest name first: a.b is not the key b of a.
	for _, name := range slices.SortedFunc(maps.Keys(views), func(a, b string) int {
		return cmp.Or(len(b)-len(a), strings.Compare(a, b))
	}) {
		_, after, ok := strings.Cut(text, name)
		if !ok || name == "" || after != "" && !strings.ContainsAny(after[:1], ".[ :'") {
			continue
		}
		path := regexp.MustCompile(`^(\.[a-zA-Z_][a-zA-Z0-9_-]*)*`).FindString(after)
		keys := strings.Split(strings.TrimPrefix(path, "."), ".")
		if rest := strings.TrimLeft(strings.TrimPrefix(after, path), ": "); rest != "" && len(rest) < len(after)-len(path) {
			text = strings.Replace(rest, "must be a array", "must be a list", 1)
		}
		service, isService := strings.CutPrefix(name, "services.")
		if path == "" {
			keys = nil
		}
		if !isService {
			service, keys = "", append(strings.Split(name, "."), keys...)
		}
		l.found.add(views[name].at(keys...), service, strings.Join(keys, "."), "%s", text)
		return l.takeOut(views[name], keys)
	}
	l.found.add(place{}, "", "", "%s", text)
	return false
}

// takeOut marks a key, or the deepest one above it that is there.
func (l *loading) takeOut(v *view, keys []string) (found bool) {
	for ; len(keys) > 0 && !found; keys = keys[:len(keys)-1] {
		for i := range v.parts {
			n, ok := v.descend(i, keys[:len(keys)-1])
			if !ok {
				continue
			}
			if p, ok := lookup(n, keys[len(keys)-1]); ok && !l.found.refused[p.key] {
				l.found.refused[p.key], found = true, true
			}
		}
	}
	return found
}

// mask keeps the values of variables out of a message that is not ours.
func (l *loading) mask(text string) string {
	for _, name := range slices.Sorted(maps.Keys(l.in.Env)) {
		if value := l.in.Env[name]; len(value) >= 4 {
			text = strings.ReplaceAll(text, value, "${"+name+"}")
		}
	}
	return text
}
