package stack

import (
	"context"
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
// cannot be loaded; the problem is then among the findings.
func (l *loading) merge(ctx context.Context, sources []*source, services map[string]*view) (*types.Project, error) {
	details := types.ConfigDetails{WorkingDir: "/", Environment: types.Mapping(maps.Clone(l.vars))}
	for _, s := range sources {
		if len(s.docs) == 0 {
			continue
		}
		content, err := s.encode()
		if err != nil {
			l.found.add(place{s.path, 0}, "", "", "%v", err)
			return nil, nil
		}
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: s.path, Content: content})
	}
	if len(details.ConfigFiles) == 0 {
		return nil, nil // checkRoutes has said that there are no services
	}
	project, err := load(ctx, details, l.options)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		l.explainMerge(err, services)
		return nil, nil
	}
	return project, nil
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
	o.Interpolate.LookupValue = l.vars.lookup
	o.Interpolate.Substitute = func(text string, _ template.Mapping) (string, error) {
		out, _, _ := l.vars.expand(text) // failures were reported with their lines
		return out, nil
	}
}

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

// explainMerge turns compose-go's complaint into a problem with its place,
// unless it only repeats what was found before.
func (l *loading) explainMerge(err error, services map[string]*view) {
	text := l.mask(strings.Join(strings.Fields(err.Error()), " "))
	if l.found.blocking || l.repeats(text) {
		return
	}
	for _, name := range slices.SortedFunc(maps.Keys(services), func(a, b string) int { return len(b) - len(a) }) {
		_, after, ok := strings.Cut(text, "services."+name)
		if !ok || after != "" && !strings.ContainsAny(after[:1], ".[ :") {
			continue
		}
		keys := regexp.MustCompile(`^(\.[a-zA-Z_][a-zA-Z0-9_-]*)*`).FindString(after)
		path := strings.Split(strings.Trim(keys, "."), ".")
		l.found.add(services[name].at(path...), name, strings.Join(path, "."), "%s", text)
		return
	}
	l.found.add(place{}, "", "", "%s", text)
}

// repeats reports whether a complaint names a key that was refused already.
func (l *loading) repeats(text string) bool {
	return slices.ContainsFunc(l.found.problems, func(p Problem) bool {
		last := p.Key[strings.LastIndex(p.Key, ".")+1:]
		return last != "" && (strings.Contains(text, "'"+last+"'") || strings.Contains(text, "."+p.Key))
	})
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
