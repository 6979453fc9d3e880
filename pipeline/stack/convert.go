package stack

import (
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// Defaults of what the files may say.
const (
	defaultStopGrace = 10 * time.Second
	defaultDrain     = 30 * time.Second
	defaultGuard     = 15 * time.Second
	defaultKeep      = 5
)

// conversion turns the merged project into a Stack. What it finds wrong it
// places by the views.
type conversion struct {
	l        *loading
	project  *types.Project
	top      *view
	services map[string]*view
	all      map[string]*service // after folding
	folded   map[string]string   // services of the files that are another one now
	data     dataPaths
}

func (c *conversion) stack() Stack {
	c.data = dataPaths{}
	out := c.wishes()
	c.gather()
	c.fold()
	c.assign()
	c.linkAliases()
	c.checkCycles()
	for _, s := range c.sorted() {
		switch {
		case s.front:
			s.replaceFront(&out)
			c.l.found.forget(s.name)
		case s.role == Task && !s.once:
			out = c.task(out, s)
		default:
			out.Services = append(out.Services, s.convert())
		}
	}
	slices.SortFunc(out.Services, func(a, b Service) int { return strings.Compare(a.Name, b.Name) })
	out.Volumes = c.volumes(out.Services)
	out.Networks = c.networks(out.Services)
	out.Command = c.command()
	out.Routes = c.l.in.Routes
	if c.top.has("name") {
		c.l.found.note(c.top.at("name"), "", "name", "has no effect: the app's own name counts")
	}
	return out
}

// task takes a task into the stack. No deployment starts it, so what is wrong
// with it stops none: it is left out then.
func (c *conversion) task(out Stack, s *service) Stack {
	converted := s.convert()
	problems := c.l.found.forget(s.name)
	if len(problems) == 0 {
		out.Aside = append(out.Aside, fmt.Sprintf("%s is a task, which no deployment starts: %s", s.name, s.reason()))
		out.Services = append(out.Services, converted)
		return out
	}
	for _, p := range problems {
		out.Aside = append(out.Aside, fmt.Sprintf("%s is a task, which no deployment starts, and it could not be started: %s", s.name, p))
	}
	return out
}

// service is the conversion of one service.
type service struct {
	*conversion
	name    string
	from    types.ServiceConfig
	view    *view
	builder *service // the service whose build it shares by the name of its image
	role    Role
	said    bool     // by the files
	why     string   // it has this role
	names   []string // further ones
	once    bool
	front   bool // it stands where Swingbridge's own proxy does

	forFront bool // it is not that, but serves nothing else
}

func (s *service) add(format string, keys []string, args ...any) {
	s.l.found.add(s.view.at(keys...), s.name, strings.Join(keys, "."), format, args...)
}

func (s *service) convert() Service {
	f := s.from
	out := Service{
		Name:       s.name,
		Role:       s.role,
		Names:      s.names,
		DependsOn:  s.dependsOn(),
		Once:       s.once,
		Networks:   s.joins(),
		Image:      f.Image,
		Command:    f.Command,
		Entrypoint: f.Entrypoint,
		User:       f.User,
		WorkingDir: f.WorkingDir,
		Health:     s.health(),
		StopSignal: f.StopSignal,
		StopGrace:  defaultStopGrace,
		Init:       f.Init,
		Expose:     s.expose(),
	}
	if f.StopGracePeriod != nil {
		out.StopGrace = max(time.Duration(*f.StopGracePeriod), time.Second) // zero would stand for the default
	}
	if !s.said {
		out.Why = s.why
	}
	s.image(&out)
	out.Env = s.env()
	out.Log = s.logging()
	out.Mounts, out.Tmpfs = s.mounts()
	out.Rights = s.rights()
	if m, ok := s.socket(out.Mounts); ok {
		out.Mounts = append(out.Mounts, m)
	}
	out.Limits = s.limits()
	s.limitMore(&out.Limits)
	s.configure(&out)
	out.Files = s.files(&out)
	s.serve(&out)
	return out
}

// image decides between a build and an image that is used as it is.
func (s *service) image(out *Service) {
	switch {
	case s.builder != nil:
		out.Image, out.Build = "", s.builder.build()
	case s.from.Build != nil:
		if out.Image != "" {
			s.l.found.note(s.view.at("image"), s.name, "image", "has no effect: the image built from the repository is named by its content")
		}
		out.Image, out.Build = "", s.build()
	case s.emptyPart(out.Image):
	case out.Image == "":
		s.add("neither build nor image: say what the container is made from, or name the file that says it among the app's compose files, before this one", nil)
	case strings.ContainsFunc(out.Image, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		s.add("an image reference has no spaces", []string{"image"})
	}
}

// emptyPart says which variables without a value leave a part of the image's
// reference empty.
func (s *service) emptyPart(ref string) bool {
	part, tag, tagged := strings.Cut(ref[strings.LastIndexByte(ref, '/')+1:], ":")
	if part != "" && (!tagged || tag != "") && !strings.HasPrefix(ref, "/") && !strings.Contains(ref, "//") {
		return false
	}
	for _, it := range s.view.items("image") {
		if _, unset, _ := s.l.vars.expand(it.node.Value); len(unset) > 0 {
			s.l.found.add(it.place, s.name, "image", "%s", noValue(unset))
			return true
		}
	}
	return false
}

// ports are those of the host that lead to the service. Of a service that each
// deployment makes anew there are none.
func (s *service) ports() []Port {
	var why string
	switch {
	case s.l.named(s.name):
		s.noteRouted()
		return nil
	case s.role.Colored():
		why = "two colors of the service could not share the port; other services reach it by its name"
	case s.from.NetworkMode != "":
		why = "the service is on no network of the app, see network_mode"
	default:
		return s.publish()
	}
	for _, it := range s.view.items("ports") {
		s.l.found.note(it.place, s.name, "ports", "not published on the host: "+why)
	}
	return nil
}

// noteRouted says of the ports of a service with a route what becomes of them.
func (s *service) noteRouted() {
	for _, it := range s.view.items("ports") {
		text, _, _ := s.l.vars.expand(it.node.Value)
		routed := slices.ContainsFunc(s.from.Ports, func(p types.ServicePortConfig) bool {
			return p.Protocol != "udp" && s.isPort(p, text, it.node) && slices.ContainsFunc(s.l.in.Routes, func(r Route) bool {
				return r.Service == s.name && r.Port == int(p.Target)
			})
		})
		why := "no route leads to it, and two colors of the service could not share the port"
		if routed {
			why = "visitors come through the proxy"
		}
		s.l.found.note(it.place, s.name, "ports", "not published on the host: "+why)
	}
}

// expose reads ports and ranges of ports; they are TCP.
func (s *service) expose() []int {
	var out []int
	for _, entry := range s.from.Expose {
		ports, proto, _ := strings.Cut(entry, "/")
		from, to, ranged := strings.Cut(ports, "-")
		first, err := strconv.Atoi(from)
		last := first
		if ranged && err == nil {
			last, err = strconv.Atoi(to)
		}
		switch {
		case err != nil || first < 1 || last < first || last > math.MaxUint16:
			s.add("must be a port or a range of ports between 1 and 65535", []string{"expose"})
			return nil
		case proto != "" && proto != "tcp":
			s.add("only TCP ports are reached through the proxy", []string{"expose"})
			return nil
		}
		for port := first; port <= last; port++ {
			out = append(out, port)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// limits merges the two ways in which Compose writes them.
func (s *service) limits() Limits {
	f := s.from
	out := Limits{
		Memory: int64(f.MemLimit), MemoryReservation: int64(f.MemReservation),
		CPUs: round(f.CPUS), Pids: max(f.PidsLimit, 0),
	}
	if f.Deploy == nil {
		return out
	}
	if most := f.Deploy.Resources.Limits; most != nil {
		s.either(&out.Memory, int64(most.MemoryBytes), "mem_limit", "deploy", "resources", "limits", "memory")
		s.either(&out.Pids, max(most.Pids, 0), "pids_limit", "deploy", "resources", "limits", "pids")
		if n := round(float32(most.NanoCPUs)); n != 0 {
			if out.CPUs != 0 && out.CPUs != n {
				s.add("differs from cpus: say it once", []string{"deploy", "resources", "limits", "cpus"})
			}
			out.CPUs = n
		}
	}
	if least := f.Deploy.Resources.Reservations; least != nil {
		s.either(&out.MemoryReservation, int64(least.MemoryBytes), "mem_reservation", "deploy", "resources", "reservations", "memory")
		if least.NanoCPUs != 0 {
			keys := []string{"deploy", "resources", "reservations", "cpus"}
			s.l.found.note(s.view.at(keys...), s.name, strings.Join(keys, "."), "has no effect: an engine reserves no processors")
		}
	}
	if out.Memory > 0 && out.MemoryReservation > out.Memory {
		s.add("reserves more memory than the limit allows", []string{"mem_reservation"})
	}
	return out
}

func (s *service) either(have *int64, also int64, other string, keys ...string) {
	if also == 0 {
		return
	}
	if *have != 0 && *have != also {
		s.add("differs from %s: say it once", keys, other)
	}
	*have = also
}

// round takes the noise out of compose-go's 32-bit numbers.
func round(cpus float32) float64 { return math.Round(float64(cpus)*1000) / 1000 }

// some is nil for an empty map, so that a stored Stack comes back as it was.
func some[M ~map[string]string](m M) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(map[string]string(m))
}

// cleanJoin is a path below the project's folder, seen from the root.
func (c *conversion) cleanJoin(file string) string { return path.Join(c.l.dir, file) }
