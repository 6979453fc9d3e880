package stack

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// check walks what the files say against the lists in keys.go.
func (l *loading) check(project *view, services map[string]*view) {
	top := topRules()
	for i := range project.parts {
		l.checkMapping(project, i, "", "", project.parts[i].node, top)
	}
	for section, rules := range map[string]map[string]rule{
		"volumes": volumeRules(), "networks": networkRules(), "secrets": secretRules(),
	} {
		for i, p := range project.parts {
			n, ok := project.descend(i, []string{section})
			if !ok {
				continue
			}
			for _, entry := range pairs(n) {
				if !project.counts(i, section+"."+entry.key.Value, entry.value) {
					continue
				}
				at := place{l.fileOf(entry.key, p.file), entry.key.Line}
				if section == "networks" && entry.key.Value != "default" {
					l.found.add(at, "", "networks."+entry.key.Value, "all containers of an app share its one network; %s", undo)
					continue
				}
				l.checkMapping(project, i, "", section+"."+entry.key.Value, entry.value, rules)
			}
		}
	}
	rules := serviceRules()
	for _, name := range slices.Sorted(maps.Keys(services)) {
		v := services[name]
		if v.has("profiles") {
			continue // nothing activates a profile: it is left out
		}
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
		if !known || r.refuse != "" || service != "" && key == "ports" {
			l.found.refused[c.key] = true // nothing comes of ports: see checkService
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
	routed := name == l.routed
	if !routed && !l.named(name) && l.exists {
		l.found.add(v.at(), name, "", "no route names it, and this version deploys only the service that a route names "+
			"(stacks of several services come later): leave it out, give it a profile, or reset it in the overlay (`!reset null`)")
	}
	for _, it := range v.items("ports") {
		if routed {
			l.found.note(it.place, name, "ports", "not published on the host: visitors come through the proxy")
		} else {
			l.found.add(it.place, name, "ports", "publishing a port of the host would let visitors past the proxy; %s", undo)
		}
	}
	for _, it := range v.items("networks") {
		net := it.key
		if net == "" {
			net = it.node.Value
		}
		if net != "default" || it.key != "" && !empty(it.node) {
			l.found.add(it.place, name, "networks", "all containers of an app share its one network; %s", undo)
		}
	}
	for _, it := range v.items("labels") {
		label, _, _ := strings.Cut(it.key+it.node.Value, "=")
		if strings.HasPrefix(label, "dev.swingbridge.") {
			l.found.add(it.place, name, "labels", "labels that begin with dev.swingbridge. are Swingbridge's own")
		}
	}
	// compose-go takes keys that begin with x- for extensions even there.
	for _, keys := range [][]string{{"labels"}, {"environment"}, {"build", "args"}, {"logging", "options"}} {
		for _, it := range v.items(keys...) {
			if strings.HasPrefix(it.key, "x-") {
				l.found.add(it.place, name, strings.Join(keys, "."), "a name that begins with x- would be lost: write it in the list form, as - %q", it.key+"=…")
			}
		}
	}
}

func (l *loading) named(service string) bool {
	return slices.ContainsFunc(l.in.Routes, func(r Route) bool { return r.Service == service })
}

// checkRoutes decides which service is deployed.
func (l *loading) checkRoutes(services map[string]*view) {
	if len(l.in.Routes) == 0 {
		l.found.add(place{}, "", "", "the app has no route: add one with a host, a service and its port, so that visitors can reach it")
		return
	}
	_, l.exists = services[l.routed]
	for _, r := range l.in.Routes {
		route := fmt.Sprintf("the route %s → %s:%d", r.Host, r.Service, r.Port)
		v, ok := services[r.Service]
		switch {
		case !ok && len(services) == 0:
			l.found.add(place{}, "", "", "%s names the service %s, and the files have no services", route, r.Service)
		case !ok:
			l.found.add(place{}, "", "", "%s names the service %s, and the files have only %s", route, r.Service,
				strings.Join(slices.Sorted(maps.Keys(services)), ", "))
		case v.has("profiles"):
			l.found.add(v.at("profiles"), r.Service, "profiles", "%s names it, so it must not be behind a profile; %s", route, undo)
		case r.Service != l.routed:
			l.found.add(v.at(), r.Service, "", "%s names a second service, and this version deploys only one (%s): stacks of several services come later", route, l.routed)
		}
	}
}
