package stack

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

const (
	resetTag    = "!reset"    // takes away what earlier files say
	overrideTag = "!override" // replaces it
)

// view is what several files, the last one strongest, say about one thing: the
// whole project or one service. It knows where everything stands, which the
// merged model does not.
type view struct {
	l     *loading
	parts []part
}

type part struct {
	file   string
	line   int
	node   *yaml.Node
	scalar map[string]bool // dotted paths that are given as a single value
	gone   map[string]bool // dotted paths under which nothing earlier counts
}

func (v *view) append(file string, line int, n *yaml.Node) {
	p := part{file: file, line: line, node: n, scalar: map[string]bool{}, gone: map[string]bool{}}
	p.learn("", n)
	v.parts = append(v.parts, p)
}

func (p *part) learn(at string, n *yaml.Node) {
	if n.Tag == resetTag || n.Tag == overrideTag {
		p.gone[at] = true
	}
	if n.Kind == yaml.ScalarNode && !isNull(n) {
		p.scalar[at] = true
	}
	for _, c := range pairs(n) {
		p.learn(dotted(at, c.key.Value), c.value)
	}
}

func dotted(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}

// counts reports whether what part i says at a path is not taken away, and not
// replaced, by a later part.
func (v *view) counts(i int, at string, n *yaml.Node) bool {
	if n.Tag == resetTag {
		return false
	}
	for _, later := range v.parts[i+1:] {
		if later.gone[at] || n.Kind == yaml.ScalarNode && later.scalar[at] {
			return false
		}
	}
	return true
}

// item is one value with its place.
type item struct {
	place
	key  string
	node *yaml.Node
}

// items lists the values that count under a path: those of a mapping, or of a
// list, or a single one, the earlier files first.
func (v *view) items(keys ...string) []item {
	var out []item
	for i, p := range v.parts {
		n, ok := v.descend(i, keys)
		if !ok {
			continue
		}
		switch n.Kind {
		case yaml.MappingNode:
			for _, c := range pairs(n) {
				if v.counts(i, dotted(strings.Join(keys, "."), c.key.Value), c.value) {
					out = append(out, item{place{v.l.fileOf(c.key, p.file), c.key.Line}, c.key.Value, c.value})
				}
			}
		case yaml.SequenceNode:
			for _, c := range n.Content {
				c = deref(c)
				out = append(out, item{place{v.l.fileOf(c, p.file), c.Line}, "", c})
			}
		default:
			if !isNull(n) {
				out = append(out, item{place{v.l.fileOf(n, p.file), n.Line}, "", n})
			}
		}
	}
	return out
}

func (v *view) descend(i int, keys []string) (*yaml.Node, bool) {
	n := v.parts[i].node
	for depth, key := range keys {
		p, ok := lookup(n, key)
		if !ok || !v.counts(i, strings.Join(keys[:depth+1], "."), p.value) {
			return nil, false
		}
		n = p.value
	}
	return n, true
}

// at is the place of the deepest of the keys that is there, in the last file
// that has it.
func (v *view) at(keys ...string) place {
	for ; len(keys) > 0; keys = keys[:len(keys)-1] {
		parent := v.items(keys[:len(keys)-1]...)
		for _, it := range slices.Backward(parent) {
			if it.key == keys[len(keys)-1] {
				return it.place
			}
		}
	}
	if len(v.parts) == 0 {
		return place{}
	}
	last := v.parts[len(v.parts)-1]
	return place{last.file, last.line}
}

// has reports whether a key is there with anything in it.
func (v *view) has(key string) bool {
	for i := range v.parts {
		if n, ok := v.descend(i, []string{key}); ok && !empty(n) {
			return true
		}
	}
	return false
}

// empty values ask for nothing, so any key may have one.
func empty(n *yaml.Node) bool {
	switch n.Kind {
	case yaml.ScalarNode:
		return isNull(n) || n.Value == "" || n.ShortTag() == "!!bool" && n.Value == "false"
	case yaml.AliasNode:
		return empty(deref(n))
	}
	return len(n.Content) == 0
}

// views makes the view of the project and of each of its services.
func (l *loading) views(sources []*source) (project *view, services map[string]*view) {
	project, services = &view{l: l}, map[string]*view{}
	for _, s := range sources {
		for _, doc := range s.docs {
			project.append(s.path, doc.Line, doc)
			all, ok := lookup(doc, "services")
			if !ok {
				continue
			}
			if all.value.Tag == resetTag || all.value.Tag == overrideTag {
				clear(services)
			}
			for _, svc := range pairs(all.value) {
				l.addService(services, s.path, all.value, svc)
			}
		}
	}
	for name := range l.injected {
		delete(services, name)
	}
	return project, services
}

// viewsByPath names the views as compose-go does in its messages.
func viewsByPath(project *view, services map[string]*view) map[string]*view {
	all := map[string]*view{}
	for _, section := range []string{"volumes", "networks", "secrets", "configs"} {
		all[section] = project
	}
	for name, v := range services {
		all["services."+name] = v
	}
	return all
}

func (l *loading) addService(services map[string]*view, file string, all *yaml.Node, svc pair) {
	name := svc.key.Value
	if svc.value.Tag == resetTag || svc.value.Tag == overrideTag {
		delete(services, name)
	}
	if svc.value.Tag == resetTag {
		return
	}
	if services[name] == nil {
		services[name] = &view{l: l}
	}
	// What a service extends comes before what it says itself.
	chain := []pair{svc}
	for len(chain) < maxDepth {
		ext, ok := lookup(chain[0].value, "extends")
		if !ok {
			break
		}
		base := ext.value
		if b, ok := lookup(base, "service"); ok {
			base = b.value
		}
		next, ok := lookup(all, base.Value)
		if !ok || slices.ContainsFunc(chain, func(p pair) bool { return p.value == next.value }) {
			break
		}
		chain = slices.Insert(chain, 0, next)
	}
	for _, p := range chain {
		services[name].append(l.fileOf(p.key, file), p.key.Line, p.value)
	}
}
