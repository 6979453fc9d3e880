package stack

import (
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// publish are the ports of the host that a kept service has.
func (s *service) publish() []Port {
	var out []Port
	for _, p := range s.from.Ports {
		entry := func(text string, n *yaml.Node) bool { return s.isPort(p, text, n) }
		port, ok := readPort(p)
		if !ok {
			s.l.found.add(s.spot("ports", entry), s.name, "ports", "must be one port of the host and one of the container, as 127.0.0.1:5432:5432; %s", undo)
			continue
		}
		s.need("ports", port.permission(), entry)
		out = append(out, port)
	}
	return out
}

// readPort is a port as Rights has it.
func readPort(p types.ServicePortConfig) (Port, bool) {
	out := Port{Container: int(p.Target), Protocol: strings.ToLower(p.Protocol)}
	if out.Protocol == "" {
		out.Protocol = "tcp"
	}
	if p.Published != "" {
		n, err := strconv.Atoi(p.Published)
		if err != nil {
			return out, false
		}
		out.Host = n
	}
	if p.HostIP != "" {
		address, err := netip.ParseAddr(strings.Trim(p.HostIP, "[]"))
		if err != nil {
			return out, false
		}
		out.Address = address.String()
	}
	return out, p.Target > 0 && p.Target <= math.MaxUint16 && !strings.HasPrefix(string(out.permission()), "!")
}

// isPort reports whether an entry is where a port was read from.
func (s *service) isPort(p types.ServicePortConfig, text string, n *yaml.Node) bool {
	if target, ok := lookup(n, "target"); ok {
		published, _ := lookup(n, "published")
		text, _, _ = s.l.vars.expand(target.value.Value)
		if published.value == nil {
			return p.Published == "" && text == strconv.Itoa(int(p.Target))
		}
		host, _, _ := s.l.vars.expand(published.value.Value)
		return host == p.Published && text == strconv.Itoa(int(p.Target))
	}
	all, err := types.ParsePortConfig(text)
	return err == nil && slices.ContainsFunc(all, func(one types.ServicePortConfig) bool {
		return one.Published == p.Published && one.Target == p.Target && one.HostIP == p.HostIP
	})
}
