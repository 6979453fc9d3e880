package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/compose-spec/compose-go/v2/types"
)

// suffixes by which two services are the two colors of one.
func suffixes() [][2]string { return [][2]string{{"a", "b"}, {"blue", "green"}} }

// fold makes one service of each pair that was written for two colors: here
// every web service has two.
func (c *conversion) fold() {
	for _, s := range c.sorted() {
		for _, words := range suffixes() {
			name, ok := strings.CutSuffix(s.name, "-"+words[0])
			other := c.all[name+"-"+words[1]]
			if ok && name != "" && other != nil && c.all[name] == nil {
				c.foldPair(name, s, other, words[0] == "a")
			}
		}
	}
	c.l.in.Routes = slices.Clone(c.l.in.Routes)
	for i, r := range c.l.in.Routes {
		c.l.in.Routes[i].Service = c.called(r.Service)
	}
}

// called is the name of the service that a service of the files became part of.
func (c *conversion) called(name string) string {
	if folded, ok := c.folded[name]; ok {
		return folded
	}
	return name
}

func (c *conversion) foldPair(name string, first, second *service, letters bool) {
	routes := 0
	for _, n := range []string{name, first.name, second.name} {
		if c.l.named(n) {
			routes++
		}
	}
	built := first.from.Build != nil && second.from.Build != nil
	if first.saysOther() || second.saysOther() {
		if c.l.named(name) {
			c.l.found.add(second.view.at(), "", "", "a route names %s, and x-swingbridge.role says that %s or %s is no color of it: "+
				"name the service itself in the route, or take the role out", name, first.name, second.name)
		}
		return
	}
	if routes == 0 && (letters || !built) {
		return
	}
	if keys := first.differs(second); len(keys) > 0 {
		if routes == 1 || c.l.named(name) {
			// Not said of the service: a route is at stake, even if this one is a task.
			c.l.found.add(second.view.at(), "", "", "service %s looks like the other color of %s, but differs in %s: make the two equal, and they are one web service; "+
				"or say with x-swingbridge.role what this one is", second.name, first.name, strings.Join(keys, ", "))
		}
		return
	}
	base, partner := first, second
	if len(first.from.Profiles) > 0 && len(second.from.Profiles) == 0 {
		base, partner = second, first
	}
	c.merged(name, base, partner, []*service{first, second})
}

// merged puts one service in the place of a pair.
func (c *conversion) merged(name string, base, partner *service, pair []*service) {
	s := &service{conversion: c, name: name, from: base.from, view: base.view, builder: base.builder}
	s.names = []string{pair[0].name, pair[1].name}
	for _, one := range pair {
		for _, n := range []string{one.from.ContainerName, one.from.Hostname} {
			if n != "" && n != name && !slices.Contains(s.names, n) {
				s.names = append(s.names, n)
			}
		}
		delete(c.all, one.name)
		c.folded[one.name] = name
	}
	if x := partner.from.Extensions["x-swingbridge"]; x != nil {
		s.from.Extensions = types.Extensions{"x-swingbridge": x}
	}
	s.why = fmt.Sprintf("%s and %s are the two colors of one service", pair[0].name, pair[1].name)
	s.from.Name, s.from.Profiles, s.from.ContainerName, s.from.Hostname = name, nil, "", ""
	c.all[name], c.services[name] = s, base.view
	for variable, value := range base.from.Environment {
		if !sameText(value, partner.from.Environment[variable]) {
			c.l.found.note(base.view.at("environment", variable), name, "environment."+variable, "differs between the two colors in the files: both have the value of "+base.name)
		}
	}
}

// saysOther reports whether the files give the service a role with which it is
// no color of a web service.
func (s *service) saysOther() bool {
	said := settings{values: s.from.Extensions["x-swingbridge"]}.text("role", string(Web))
	return said != string(Web)
}

// differs lists the keys in which two services are more than two colors of one.
func (s *service) differs(other *service) []string {
	a, b := s.plain(other), other.plain(s)
	var out []string
	for key := range a {
		if !reflect.DeepEqual(a[key], b[key]) {
			out = append(out, key)
		}
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			out = append(out, key)
		}
	}
	x, y := s.from.Extensions["x-swingbridge"], other.from.Extensions["x-swingbridge"]
	if x != nil && y != nil && !reflect.DeepEqual(x, y) {
		out = append(out, "x-swingbridge")
	}
	for _, name := range slices.Sorted(maps.Keys(s.from.Environment)) {
		value, ok := other.from.Environment[name]
		if !ok || !sameText(s.from.Environment[name], value) && !colors(s.from.Environment[name], value) {
			out = append(out, "environment."+name)
		}
	}
	for name := range other.from.Environment {
		if _, ok := s.from.Environment[name]; !ok {
			out = append(out, "environment."+name)
		}
	}
	slices.Sort(out)
	return out
}

// plain is the service without what may differ between two colors.
func (s *service) plain(other *service) map[string]any {
	f := s.from
	f.Name, f.ContainerName, f.Hostname = "", "", ""
	f.Labels, f.Ports, f.Profiles, f.Environment = nil, nil, nil, nil
	if f.Build != nil {
		f.Image = "" // only the tag of what is built
	}
	f.DependsOn = maps.Clone(f.DependsOn)
	delete(f.DependsOn, other.name)
	text, err := json.Marshal(f)
	out := map[string]any{}
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		return map[string]any{"the files' text": s.name} // cannot be compared: not equal
	}
	return out
}

func sameText(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// colors reports whether two values differ only in the names of two colors.
func colors(a, b *string) bool {
	if a == nil || b == nil {
		return false
	}
	split := func(text string) []string {
		return strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	}
	x, y := split(*a), split(*b)
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		pair := slices.ContainsFunc(suffixes(), func(w [2]string) bool {
			return strings.EqualFold(x[i], w[0]) && strings.EqualFold(y[i], w[1])
		})
		if x[i] != y[i] && !pair {
			return false
		}
	}
	return true
}
