package stack

import (
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// wishes is what x-swingbridge says on the project.
func (c *conversion) wishes() Stack {
	x := settings{values: c.project.Extensions["x-swingbridge"]}
	guard := x.under("guard")
	return Stack{
		Guard:       guard.duration("for", x.duration("guard", defaultGuard)),
		GuardLimits: guard.limits(),
		Keep:        x.integer("keep", defaultKeep),
		Front:       x.under("front").front(),
		Preview:     c.preview(x),
	}
}

func (x settings) limits() GuardLimits {
	out := GuardLimits{Least: x.integer("least", 0)}
	if n, ok := parseShare(x.text("errors", "")); ok {
		out.Errors = n
	}
	if text := x.text("slower", ""); text == off {
		out.Slower = -1
	} else if n, err := strconv.ParseFloat(text, 64); err == nil {
		out.Slower = n
	}
	return out
}

func (x settings) front() Front {
	out := Front{
		NoHSTS:        x.text("hsts", on) == off,
		NoCompression: x.text("compression", on) == off,
		HSTS:          x.duration("hsts", 0),
	}
	var n types.UnitBytes
	if value, ok := x.get("max_body"); ok && n.DecodeMapstructure(value) == nil {
		out.MaxBody = int64(n)
	}
	return out
}

// preview is a host, or a mapping with a host, a token, or both.
func (c *conversion) preview(x settings) *Preview {
	value, given := x.get("preview")
	if !given {
		return nil
	}
	out := &Preview{Host: value}
	if _, ok := x.values.(map[string]any)["preview"].(map[string]any); ok {
		under := x.under("preview")
		out = &Preview{Host: under.text("host", ""), Token: under.text("token", "")}
	}
	out.Host = strings.ToLower(out.Host)
	keys := []string{"x-swingbridge", "preview"}
	refused := slices.ContainsFunc(c.l.found.problems, func(p Problem) bool { return strings.HasPrefix(p.Key, "x-swingbridge.preview.") })
	switch {
	case refused: // what is missing was there
	case out.Host == "" && out.Token == "":
		c.l.found.add(c.top.at(keys...), "", strings.Join(keys, "."), "name a host, a token, or both: nobody could see the idle color")
	case slices.ContainsFunc(c.l.in.Routes, func(r Route) bool { return strings.ToLower(r.Host) == out.Host }):
		c.l.found.add(c.top.at(keys...), "", strings.Join(keys, "."), "a route of the app has this host: the preview needs one of its own")
	}
	return out
}

// replicas is the number of containers per color; Compose has two words for it
// besides ours.
func (s *service) replicas(x settings) int {
	n := x.integer("replicas", 0)
	for _, other := range []struct {
		value *int
		keys  []string
	}{
		{s.from.Scale, []string{"scale"}}, {s.fromDeploy(), []string{"deploy", "replicas"}},
	} {
		switch {
		case other.value == nil:
		case n != 0 && n != *other.value:
			s.add("differs from x-swingbridge.replicas or scale: say it once", other.keys)
		default:
			n = *other.value
		}
	}
	if n == 1 {
		return 0 // as if nothing were said
	}
	return n
}

func (s *service) fromDeploy() *int {
	if s.from.Deploy == nil {
		return nil
	}
	return s.from.Deploy.Replicas
}
