package stack

// ByRole lists the services of a role, sorted by name.
func (s Stack) ByRole(r Role) []Service {
	var out []Service
	for _, svc := range s.Services {
		if svc.Role == r {
			out = append(out, svc)
		}
	}
	return out
}

// Colored lists the services of which each deployment makes containers of its
// own.
func (s Stack) Colored() []Service {
	var out []Service
	for _, svc := range s.Services {
		if svc.Role.Colored() {
			out = append(out, svc)
		}
	}
	return out
}

// Once lists the tasks that run to their end before the new color starts.
func (s Stack) Once() []Service {
	var out []Service
	for _, svc := range s.Services {
		if svc.Once {
			out = append(out, svc)
		}
	}
	return out
}

// Routed reports whether visitors reach the service.
func (s Service) Routed() bool { return len(s.Ports) > 0 }

// Levels puts services into the order in which they start: each waits only for
// services of levels before its own. What is not among them counts as started;
// services that wait for each other, which Load refuses, share the last level.
func Levels(services []Service) [][]Service {
	waiting := map[string]bool{}
	for _, svc := range services {
		waiting[svc.Name] = true
	}
	var out [][]Service
	for len(services) > 0 {
		var level, rest []Service
		for _, svc := range services {
			if svc.waits(waiting) {
				rest = append(rest, svc)
			} else {
				level = append(level, svc)
			}
		}
		if len(level) == 0 {
			return append(out, rest)
		}
		for _, svc := range level {
			delete(waiting, svc.Name)
		}
		out, services = append(out, level), rest
	}
	return out
}

func (s Service) waits(names map[string]bool) bool {
	for _, d := range s.DependsOn {
		if names[d.Service] {
			return true
		}
	}
	return false
}
