package pipeline

import (
	"fmt"
	"slices"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// writesOf is what a service may write to and others may have too, in the words
// of Container.Writes. What a bind has of a commit is a copy.
func writesOf(s stack.Stack, svc stack.Service) []string {
	var out []string
	for _, m := range svc.Mounts {
		switch {
		case m.ReadOnly:
		case m.Bind != nil && m.Bind.Data != "":
			out = append(out, m.Bind.Placed)
		case m.Bind != nil && m.Bind.Host != "":
			out = append(out, m.Bind.Host)
		case m.Bind == nil && m.Volume != "":
			name := m.Volume
			for _, v := range s.Volumes {
				if v.Name == m.Volume && v.External != "" {
					name = v.External
				}
			}
			out = append(out, name)
		}
	}
	return out
}

// onlyWriter refuses a release in which one service takes over from another one
// what that writes to, where one of the two is kept: both would run for a while,
// and a database does not survive a second one on its data. What two services of
// one release share is their files' own decision.
func (x *run) onlyWriter(next stack.Stack, there []Container) error {
	for _, c := range there {
		if !c.up() || c.Purpose != "" || stays(next, c) {
			continue
		}
		for _, svc := range next.Services {
			if svc.Role == stack.Task || svc.Role != stack.Keep && c.Owner.Role != stack.Keep || x.isLive(svc) {
				continue
			}
			for _, at := range writesOf(next, svc) {
				if slices.Contains(c.Writes, at) {
					return fmt.Errorf("%w release: service %s would write to %s while %s still does, which breaks what a database keeps there: %s",
						ErrInvalid, svc.Name, at, c.Owner.Service, insteadOf(svc, c))
				}
			}
		}
	}
	return nil
}

// stays reports whether the release has the container's service in the same way.
func stays(next stack.Stack, c Container) bool {
	svc, ok := next.Service(c.Owner.Service)
	return ok && (svc.Role == stack.Keep) == (c.Owner.Role == stack.Keep)
}

// isLive reports whether the live release has the service in the same way.
func (x *run) isLive(svc stack.Service) bool {
	was, ok := x.liveRel.Stack.Service(svc.Name)
	return x.live.ID != "" && ok && (was.Role == stack.Keep) == (svc.Role == stack.Keep)
}

func insteadOf(svc stack.Service, c Container) string {
	if svc.Name == c.Owner.Service {
		return fmt.Sprintf("leave its role as it is, or take %s out of the files by a deployment of its own first", svc.Name)
	}
	return fmt.Sprintf("keep the name %s and give it the alias %s on its networks, or take %s out of the files by a deployment of its own first",
		c.Owner.Service, svc.Name, c.Owner.Service)
}
