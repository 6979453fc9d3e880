package stack

import (
	"fmt"
	"strings"
)

// frontSentences say what becomes of a service that wants the host's ports for
// HTTP.
func (s *service) frontSentences() []string {
	var ports []string
	for _, p := range s.from.Ports {
		if p.Published != "" {
			ports = append(ports, p.Published)
		}
	}
	return []string{fmt.Sprintf("%s is not started: it publishes %s, where Swingbridge's own proxy answers. "+
		"To deploy it behind that proxy, add a route to it", s.name, strings.Join(ports, ", "))}
}
