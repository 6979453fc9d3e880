package stack

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// gather lists the services of the project, those behind a profile too.
func (c *conversion) gather() {
	c.all, c.folded = map[string]*service{}, map[string]string{}
	from := c.project.AllServices()
	for _, name := range slices.Sorted(maps.Keys(from)) {
		if v := c.services[name]; v != nil { // else it is only there to be extended
			s := &service{conversion: c, name: name, from: from[name], view: v}
			if s.active() {
				s.from.Profiles = nil
			}
			c.all[name] = s
		}
	}
	for _, s := range c.sorted() {
		s.shareBuild()
	}
}

// active reports whether COMPOSE_PROFILES names one of the service's profiles.
// Without it the empty one is named, as in Compose.
func (s *service) active() bool {
	named := strings.Split(s.l.vars["COMPOSE_PROFILES"], ",")
	return slices.ContainsFunc(named, func(profile string) bool {
		profile = strings.TrimSpace(profile)
		return profile == "*" || slices.Contains(s.from.Profiles, profile)
	})
}

func (c *conversion) sorted() []*service {
	var out []*service
	for _, name := range slices.Sorted(maps.Keys(c.all)) {
		out = append(out, c.all[name])
	}
	return out
}

// shareBuild gives a service the build of the one that names its image: it runs
// what that one builds.
func (s *service) shareBuild() {
	if s.from.Build != nil || s.from.Image == "" {
		return
	}
	for _, other := range s.sorted() {
		if other.builder == nil && other.from.Build != nil && other.from.Image == s.from.Image {
			s.builder, s.from.Build = other, other.from.Build
			return
		}
	}
}

// assign gives every service its role: what the files say, or a default with
// its reason.
func (c *conversion) assign() {
	for _, s := range c.sorted() {
		s.assignAlone()
	}
	c.assignCertificates()
	for _, s := range c.sorted() {
		for _, d := range s.needs() {
			if on := c.all[d.Service]; on != nil && d.Condition == Completed && on.role == "" {
				on.role, on.once, on.why = Task, true, s.name+" waits for its end"
			}
		}
	}
	c.assignCompanions()
	for _, s := range c.sorted() {
		if s.role == "" {
			s.role, s.why = s.rest()
		}
	}
	for _, s := range c.sorted() {
		s.checkRole()
	}
}

// assignAlone gives the role that does not depend on other services.
func (s *service) assignAlone() {
	said := settings{values: s.from.Extensions["x-swingbridge"]}.text("role", "")
	routed := s.l.named(s.name)
	switch {
	case s.none() && routed:
		s.role = Web
		s.add("a route names the service, so it needs a container: write 1 or more", s.noneAt())
	case s.none():
		s.role, s.why = Task, "the files give it no container"
	case said != "" && role(said) == "":
		s.role, s.said = Role(said), true
	case routed && len(s.from.Profiles) > 0:
		s.role = Web
		s.add("a route names the service, and it is behind a profile: set COMPOSE_PROFILES=%s in the app's environment, or "+undo, []string{"profiles"}, s.from.Profiles[0])
	case routed && len(s.names) > 0:
		s.role = Web // what fold says is the reason
	case routed:
		s.role, s.why = Web, "a route names it"
	case len(s.from.Profiles) > 0:
		s.role, s.why = Task, "it is behind the profile "+strings.Join(s.from.Profiles, ", ")
	case s.publishesWeb():
		s.front = true
		s.role = Task // never started
	}
}

// none reports whether the files ask for no container of the service: so it is
// switched off.
func (s *service) none() bool { return s.noneAt() != nil }

func (s *service) noneAt() []string {
	x := settings{values: s.from.Extensions["x-swingbridge"]}
	switch deployed := s.fromDeploy(); {
	case x.integer("replicas", 0) > 0:
	case deployed != nil && *deployed == 0:
		return []string{"deploy", "replicas"}
	case s.from.Scale != nil && *s.from.Scale == 0:
		return []string{"scale"}
	}
	return nil
}

// publishesWeb reports whether the service wants the host's ports for HTTP,
// which are Swingbridge's.
func (s *service) publishesWeb() bool {
	if s.from.NetworkMode == "host" && slices.Contains([]string{"caddy", "traefik"}, s.origin()) {
		return true
	}
	return slices.ContainsFunc(s.from.Ports, func(p types.ServicePortConfig) bool {
		return (p.Published == "80" || p.Published == "443") && p.Protocol != "udp"
	})
}

// assignCompanions makes web services of those that web services depend on, and
// that are replaced with them.
func (c *conversion) assignCompanions() {
	for changed := true; changed; {
		changed = false
		for _, s := range c.sorted() {
			if s.role != Web {
				continue
			}
			for _, d := range s.needs() {
				if on := c.all[d.Service]; on != nil && on.role == "" && on.companion() {
					on.role, on.why, changed = Web, s.name+" depends on it", true
				}
			}
		}
	}
}

// companion reports whether a service goes with the web service that depends on
// it.
func (s *service) companion() bool {
	if s.web() != nil {
		return true
	}
	return s.from.Build != nil && s.store() == ""
}

// web is a web service that is made from the same as this one.
func (s *service) web() *service {
	for _, other := range s.sorted() {
		if other != s && other.role == Web && s.sameOrigin(other) {
			return other
		}
	}
	return nil
}

func (s *service) sameOrigin(other *service) bool {
	a, b := s.from.Build, other.from.Build
	if a == nil || b == nil {
		return a == nil && b == nil && s.from.Image != "" && s.from.Image == other.from.Image
	}
	return path.Clean(a.Context) == path.Clean(b.Context) && dockerfileOf(a) == dockerfileOf(b) && a.DockerfileInline == b.DockerfileInline
}

func dockerfileOf(b *types.BuildConfig) string {
	if b.Dockerfile == "" {
		return "Dockerfile"
	}
	return path.Clean(b.Dockerfile)
}

// rest is the role of what nothing else decided about.
func (s *service) rest() (Role, string) {
	if web := s.web(); web != nil {
		return Worker, fmt.Sprintf("it is made from the same as %s, and no route names it", web.name)
	}
	if why := s.byHand(); why != "" {
		return Task, why
	}
	if s.from.Build == nil {
		return Keep, "it runs a ready image"
	}
	if why := s.store(); why != "" {
		return Keep, why
	}
	return Worker, "it is built from the repository, and no route names it"
}

// checkRole refuses what contradicts the role.
func (s *service) checkRole() {
	key := []string{"x-swingbridge", "role"}
	if s.l.named(s.name) && s.role != Web {
		s.add("a route names the service, so its role is web", key)
	}
	x := settings{values: s.from.Extensions["x-swingbridge"]}
	for _, name := range []string{"order", "single", "detach"} {
		if _, given := x.get(name); given && s.role != Worker && !s.front {
			s.add("is for workers, and the role of this service is %s (%s): set x-swingbridge.role to worker, or take this key out",
				[]string{"x-swingbridge", name}, s.role, s.reason())
		}
	}
}

// reason is why the service has its role, for people.
func (s *service) reason() string {
	if s.said {
		return "the files say so"
	}
	return s.why
}
