package stack

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// check walks what the files say against the lists in keys.go.
func (l *loading) check(project *view, services map[string]*view) {
	top := topRules()
	for i := range project.parts {
		l.checkMapping(project, i, "", "", project.parts[i].node, top)
	}
	for section, rules := range map[string]map[string]rule{
		"volumes": volumeRules(), "networks": networkRules(), "secrets": secretRules(), "configs": configRules(),
	} {
		for i := range project.parts {
			n, ok := project.descend(i, []string{section})
			if !ok {
				continue
			}
			for _, entry := range pairs(n) {
				if !project.counts(i, section+"."+entry.key.Value, entry.value) {
					continue
				}
				l.checkMapping(project, i, "", section+"."+entry.key.Value, entry.value, rules)
			}
		}
	}
	rules := serviceRules()
	for _, name := range slices.Sorted(maps.Keys(services)) {
		v := services[name]
		for i := range v.parts {
			l.checkMapping(v, i, name, "", v.parts[i].node, rules)
		}
		l.checkService(name, v)
	}
}

// undo is what can be done about a key that is refused.
const undo = "remove it or reset it in the overlay (`!reset null`)"

func (l *loading) checkMapping(v *view, i int, service, at string, n *yaml.Node, rules map[string]rule) {
	if n.Kind == yaml.SequenceNode {
		for _, c := range n.Content {
			if c = deref(c); c.Kind == yaml.MappingNode {
				l.checkMapping(v, i, service, at, c, rules)
			}
		}
		return
	}
	for _, c := range pairs(n) {
		key := dotted(at, c.key.Value)
		r, known := rules[c.key.Value]
		if !known && strings.HasPrefix(c.key.Value, "x-") || !v.counts(i, key, c.value) {
			continue
		}
		where := place{l.fileOf(c.key, v.parts[i].file), c.key.Line}
		if !known || r.refuse != "" {
			l.found.refused[c.key] = true
		}
		switch {
		case known && r.refuse == "":
			l.checkValue(v, i, service, key, c, r)
		case empty(c.value) && !strings.HasPrefix(key, "x-swingbridge"):
		case strings.HasPrefix(key, "x-swingbridge") && !known:
			l.found.add(where, service, key, "no such key: there are %s", strings.Join(slices.Sorted(maps.Keys(rules)), ", "))
		case known:
			l.found.add(where, service, key, "%s; %s", r.refuse, undo)
		default:
			l.found.add(where, service, key, "%s; %s", notHandled, undo)
		}
	}
}

func (l *loading) checkValue(v *view, i int, service, key string, c pair, r rule) {
	if r.keys != nil {
		single := c.value.Kind == yaml.ScalarNode && r.value != nil
		if strings.HasPrefix(key, "x-swingbridge") && c.value.Kind != yaml.MappingNode && !isNull(c.value) && !single {
			l.found.add(place{l.fileOf(c.key, v.parts[i].file), c.key.Line}, service, key, "must be a mapping")
			l.found.refused[c.key] = true
			return
		}
		if !single {
			l.checkMapping(v, i, service, key, c.value, r.keys)
			return
		}
	}
	if r.value == nil || isNull(c.value) {
		return
	}
	at := place{l.fileOf(c.value, v.parts[i].file), c.value.Line}
	if c.value.Kind != yaml.ScalarNode {
		l.found.add(at, service, key, "must be a single value")
		l.found.refused[c.key] = true
		return
	}
	value, _, _ := l.vars.expand(c.value.Value)
	if complaint := r.value(value); complaint != "" {
		l.found.add(at, service, key, "%s", complaint)
		l.found.refused[c.key] = true
	}
}

// checkService looks at what depends on more than one key.
func (l *loading) checkService(name string, v *view) {
	l.checkJoins(name, v)
	l.checkPorts(name, v)
	l.checkVolumes(name, v)
	for _, keys := range [][]string{{"labels"}, {"annotations"}, {"build", "labels"}} {
		for _, it := range v.items(keys...) {
			label, _, _ := strings.Cut(it.key+it.node.Value, "=")
			if ownLabel(label) {
				l.found.add(it.place, name, strings.Join(keys, "."), "labels that begin with dev.swingbridge. are Swingbridge's own")
			}
		}
	}
	// compose-go takes keys that begin with x- for extensions even there.
	for _, keys := range [][]string{{"labels"}, {"annotations"}, {"environment"}, {"build", "args"}, {"build", "labels"}, {"logging", "options"}} {
		for _, it := range v.items(keys...) {
			if strings.HasPrefix(it.key, "x-") {
				l.found.add(it.place, name, strings.Join(keys, "."), "a name that begins with x- would be lost: write it in the list form, as - %q", it.key+"=…")
			}
		}
	}
}

// ownLabel reports whether only we may set a label.
func ownLabel(label string) bool {
	return strings.HasPrefix(strings.ToLower(label), "dev.swingbridge.")
}

func (l *loading) named(service string) bool {
	return slices.ContainsFunc(l.in.Routes, func(r Route) bool { return r.Service == service })
}

// checkPorts refuses ports in the short form that are none: what compose-go says
// of them names no place.
func (l *loading) checkPorts(name string, v *view) {
	for i, p := range v.parts {
		ports, ok := lookup(p.node, "ports")
		if !ok {
			continue
		}
		for _, n := range ports.value.Content {
			text, _, _ := l.vars.expand(deref(n).Value)
			if _, err := types.ParsePortConfig(text); deref(n).Kind == yaml.ScalarNode && err != nil && v.counts(i, "ports", ports.value) {
				l.found.add(place{l.fileOf(n, p.file), n.Line}, name, "ports", "not a port: write it as \"8000\", \"8000:80\" or \"127.0.0.1:8000:80\"")
				l.found.refused[ports.key] = true
			}
		}
	}
}

// checkVolumes refuses mounts whose source a variable without a value leaves
// empty: what compose-go says of them names no place.
func (l *loading) checkVolumes(name string, v *view) {
	for _, it := range v.items("volumes") {
		n := it.node
		if source, ok := lookup(n, "source"); ok {
			n = source.value
		}
		text, unset, _ := l.vars.expand(n.Value)
		source, _, _ := strings.Cut(text, ":")
		if source == "" && len(unset) > 0 {
			l.found.add(place{it.file, n.Line}, name, "volumes", "%s", noValue(unset))
			l.found.refused[it.node] = true
		}
	}
}

// noValue says which variables leave something empty that must not be.
func noValue(unset []string) string {
	return fmt.Sprintf("the variable %s has no value: set it in the app's environment", strings.Join(unset, ", "))
}

// checkRoutes looks for the services that the routes name. A route may name a
// pair of two colors as one service, see fold.
func (l *loading) checkRoutes(services map[string]*view) {
	if len(l.in.Routes) == 0 {
		l.found.add(place{}, "", "", "the app has no route: add one with a host, a service and its port, so that visitors can reach it")
		return
	}
	for _, r := range l.in.Routes {
		route := fmt.Sprintf("the route %s → %s:%d", r.Host, r.Service, r.Port)
		pair := slices.ContainsFunc(suffixes(), func(words [2]string) bool {
			return services[r.Service+"-"+words[0]] != nil && services[r.Service+"-"+words[1]] != nil
		})
		switch {
		case len(services) == 0:
			l.found.add(place{}, "", "", "%s names the service %s, and the files have no services", route, r.Service)
		case services[r.Service] == nil && !pair:
			l.found.add(place{}, "", "", "%s names the service %s, and the files have only %s", route, r.Service,
				strings.Join(slices.Sorted(maps.Keys(services)), ", "))
		}
	}
}
