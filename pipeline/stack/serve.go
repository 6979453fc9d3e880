package stack

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// serve fills in what the hand-over needs: ports, replicas, probe and drain,
// the order of workers.
func (s *service) serve(out *Service) {
	x := settings{values: s.from.Extensions["x-swingbridge"]}
	for _, r := range s.l.in.Routes {
		if r.Service == s.name && !slices.Contains(out.Ports, r.Port) {
			out.Ports = append(out.Ports, r.Port)
		}
	}
	out.Replicas = s.replicas(x)
	if s.role == Web {
		out.Drain = x.duration("drain", defaultDrain)
	}
	if s.role != Task {
		out.Probe = s.probe(x.under("probe"), within(out.Health))
	}
	if s.role == Worker {
		s.work(out, x)
	}
	if out.Replicas > 1 && (s.role == Keep || out.Single) {
		s.add("one at a time: there is never a second container of it, so it has no replicas", nil)
	}
}

// work is what x-swingbridge says on a worker.
func (s *service) work(out *Service, x settings) {
	out.Before = x.text("order", after) == before
	out.Single = x.text("single", "false") == "true"
	long := out.StopGrace > time.Minute && !out.Single
	out.Detach = x.text("detach", strconv.FormatBool(long)) == "true"
	if out.Detach && out.Single {
		s.add("a single worker ends before the next one begins, so nobody can leave it to itself", []string{"x-swingbridge", "detach"})
	}
}

// probe says how the service is asked. One without a route is not asked: it
// must run, and be healthy where it has a health check.
func (s *service) probe(x settings, within time.Duration) Probe {
	if !s.l.named(s.name) {
		for _, key := range []string{"path", "port", "host", "status", "interval", "timeout", "successes"} {
			if _, given := x.get(key); given {
				s.l.found.note(s.view.at("x-swingbridge", "probe", key), s.name, "x-swingbridge.probe."+key,
					"has no effect: only a service with a route is asked, this one must run, and be healthy where it has a health check")
			}
		}
		return Probe{Interval: 500 * time.Millisecond, Timeout: 5 * time.Second, Successes: 2, Within: x.duration("within", within)}
	}
	p := Probe{
		Path:      x.text("path", "/"),
		Host:      x.text("host", ""),
		StatusMin: 200,
		StatusMax: 399,
		Interval:  x.duration("interval", 500*time.Millisecond),
		Timeout:   x.duration("timeout", 5*time.Second),
		Successes: x.integer("successes", 2),
		Within:    x.duration("within", within),
		Port:      x.integer("port", 0),
	}
	if least, most, ok := parseStatuses(x.text("status", "")); ok {
		p.StatusMin, p.StatusMax = least, most
	}
	for _, r := range s.l.in.Routes {
		if r.Service != s.name {
			continue
		}
		if p.Port == 0 {
			p.Port = r.Port
		}
		if p.Host == "" {
			p.Host = r.Host
		}
	}
	keys := []string{"x-swingbridge", "probe", "within"}
	switch {
	case p.Timeout > p.Within:
		s.add("is shorter than the timeout of one request (%v)", keys, p.Timeout)
	case p.Interval*time.Duration(p.Successes-1) >= p.Within:
		s.add("is too short for %d successes in a row, one every %v", keys, p.Successes, p.Interval)
	}
	return p
}

// within is how long a service may take to be ready, where its files say nothing of
// that: its health check may say that it begins slowly.
func within(h *Health) time.Duration {
	const usual, after = 2 * time.Minute, time.Minute
	if h == nil {
		return usual
	}
	return max(usual, h.StartPeriod+after)
}

// health turns every form of a health check into the engine's.
func (s *service) health() *Health {
	f := s.from.HealthCheck
	if f == nil {
		return nil
	}
	if f.Disable || len(f.Test) > 0 && f.Test[0] == "NONE" {
		return &Health{Disable: true}
	}
	out := &Health{
		Interval:    s.healthDuration("interval", f.Interval),
		Timeout:     s.healthDuration("timeout", f.Timeout),
		StartPeriod: s.healthDuration("start_period", f.StartPeriod),
	}
	if f.StartInterval != nil {
		s.note("healthcheck.start_interval", "has no effect: not every engine knows it, interval counts from the start")
	}
	if f.Retries != nil {
		out.Retries = int(min(*f.Retries, 1000))
	}
	if len(f.Test) == 0 {
		return out // the image's own test at another pace
	}
	out.Test = f.Test
	switch kind := out.Test[0]; {
	case kind != "CMD" && kind != "CMD-SHELL":
		s.add("a list begins with CMD, CMD-SHELL or NONE", []string{"healthcheck", "test"})
	case len(out.Test) == 1 || kind == "CMD-SHELL" && len(out.Test) > 2:
		s.add("CMD takes a program and its arguments, CMD-SHELL one line", []string{"healthcheck", "test"})
	}
	return out
}

func (s *service) healthDuration(key string, d *types.Duration) time.Duration {
	if d == nil {
		return 0
	}
	if *d > 0 && time.Duration(*d) < time.Millisecond {
		s.add("must be at least 1ms", []string{"healthcheck", key})
	}
	return time.Duration(*d)
}

// settings reads values of x-swingbridge, which were checked in check.go.
type settings struct {
	values any
}

func (x settings) get(key string) (string, bool) {
	m, _ := x.values.(map[string]any)
	value, ok := m[key]
	if !ok || value == nil {
		return "", false
	}
	return fmt.Sprint(value), true
}

func (x settings) under(key string) settings {
	m, _ := x.values.(map[string]any)
	return settings{values: m[key]}
}

func (x settings) text(key, otherwise string) string {
	if value, ok := x.get(key); ok {
		return value
	}
	return otherwise
}

func (x settings) duration(key string, otherwise time.Duration) time.Duration {
	value, ok := x.get(key)
	if d, err := parseDuration(value); ok && err == nil {
		return d
	}
	return otherwise
}

func (x settings) integer(key string, otherwise int) int {
	value, ok := x.get(key)
	if n, err := strconv.Atoi(value); ok && err == nil {
		return n
	}
	return otherwise
}
