package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// spec is an order in the engine's terms. It is a pure function of the order, so
// that the hash of it tells whether a container is the same order's.
type spec struct {
	Name   string
	Config *container.Config
	Host   *container.HostConfig
	First  link            // given at creation, for API 1.41 takes one network there
	Rest   []link          // connected before the start
	Files  []stack.Content // put into it before the start
}

// link is a container's place on a network.
type link struct {
	Network string
	Address string
	Aliases []string
}

// newSpec checks the order and translates it. inherited is the image's own
// entrypoint, needed only where the order clears the command and keeps the
// entrypoint.
func (e *Engine) newSpec(o pipeline.ContainerOrder, inherited []string) (spec, error) {
	if err := e.checkOrder(o); err != nil {
		return spec{}, err
	}
	mounts, binds, err := e.mounts(o)
	if err != nil {
		return spec{}, err
	}
	config, err := e.config(o, inherited)
	if err != nil {
		return spec{}, err
	}
	s := spec{Name: e.containerName(o), Config: config, Files: o.Service.Files}
	if o.Edge.Network != "" {
		edge := link{Network: o.Edge.Network}
		if o.Edge.Address.IsValid() {
			edge.Address = o.Edge.Address.String()
		}
		s.Rest = append(s.Rest, edge)
	}
	for _, l := range o.Links {
		s.Rest = append(s.Rest, link{Network: l.Network, Aliases: l.Aliases})
	}
	if len(s.Rest) > 0 {
		s.First, s.Rest = s.Rest[0], s.Rest[1:]
	}
	s.Host = hostConfig(o.Service, mounts, s.First.Network)
	s.Host.Binds = binds
	if err := grant(s.Config, s.Host, o.Service); err != nil {
		return spec{}, err
	}
	hash, err := s.hash()
	if err != nil {
		return spec{}, err
	}
	s.Config.Labels[labelSpec] = hash
	return s, nil
}

// hostConfig is the allowlist: a container gets these settings of its host and
// no others, but for what the operator allowed, see grant. There is deliberately
// no way to a device, a capability or a namespace of the host from here, and to no
// path but what mounts.go lets through.
func hostConfig(svc stack.Service, mounts []mount.Mount, net string) *container.HostConfig {
	host := &container.HostConfig{
		NetworkMode:   container.NetworkMode(net),
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
		SecurityOpt:   []string{noNewPrivileges + ":true"},
		LogConfig:     logConfig(svc.Log),
		Mounts:        mounts,
		Tmpfs:         svc.Tmpfs,
		Init:          svc.Init,
		Resources:     resources(svc.Limits),
	}
	if net == "" {
		host.NetworkMode = "none"
	}
	set(host, svc.Settings)
	return host
}

// logConfig limits what a container's own log takes of the disk, unless the
// stack chose another way of logging.
func logConfig(log *stack.Log) container.LogConfig {
	out := container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "10m", "max-file": "3"}}
	if log == nil {
		return out
	}
	if log.Driver != "" && log.Driver != out.Type {
		return container.LogConfig{Type: log.Driver, Config: maps.Clone(log.Options)}
	}
	maps.Copy(out.Config, log.Options)
	return out
}

func (e *Engine) config(o pipeline.ContainerOrder, inherited []string) (*container.Config, error) {
	svc := o.Service
	ports, err := exposed(svc)
	if err != nil {
		return nil, err
	}
	grace := 10
	if svc.StopGrace > 0 {
		grace = int((svc.StopGrace + time.Second - 1) / time.Second)
	}
	config := &container.Config{
		Hostname:     ownHostname(o),
		Domainname:   svc.Settings.Domainname,
		Tty:          svc.Settings.TTY,
		OpenStdin:    svc.Settings.StdinOpen,
		Image:        o.Image,
		Entrypoint:   svc.Entrypoint,
		Cmd:          svc.Command,
		User:         svc.User,
		WorkingDir:   svc.WorkingDir,
		Healthcheck:  health(svc.Health),
		StopSignal:   svc.StopSignal,
		StopTimeout:  &grace,
		ExposedPorts: ports,
		Labels:       maps.Clone(svc.Labels),
	}
	// An empty command alone would bring back the image's; naming the image's
	// entrypoint as our own is what keeps it away.
	if svc.Command != nil && len(svc.Command) == 0 && svc.Entrypoint == nil {
		config.Entrypoint = inherited
	}
	for _, name := range slices.Sorted(maps.Keys(svc.Env)) {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return nil, refused("service %s: %q is not the name of a variable", svc.Name, name)
		}
		config.Env = append(config.Env, name+"="+svc.Env[name])
	}
	if config.Labels == nil {
		config.Labels = map[string]string{}
	}
	maps.Copy(config.Labels, svc.Settings.Annotations)
	maps.Copy(config.Labels, e.ownerLabels(o))
	return config, nil
}

// ownHostname is what the container calls itself. The engine answers to it on
// each of the container's networks, so only a kept one and a task have any: on the edge the
// containers of all apps would be led by it.
func ownHostname(o pipeline.ContainerOrder) string {
	if o.Edge.Network != "" || o.Fingerprint == "" && o.Owner.Role != stack.Task {
		return ""
	}
	return o.Service.Settings.Hostname
}

func exposed(svc stack.Service) (nat.PortSet, error) {
	ports := nat.PortSet{}
	for _, port := range slices.Concat(svc.Expose, svc.Ports) {
		if port < 1 || port > 65535 {
			return nil, refused("service %s: port %d is not between 1 and 65535", svc.Name, port)
		}
		ports[nat.Port(strconv.Itoa(port)+"/tcp")] = struct{}{}
	}
	return ports, nil
}

func health(h *stack.Health) *container.HealthConfig {
	switch {
	case h == nil:
		return nil
	case h.Disable:
		return &container.HealthConfig{Test: []string{"NONE"}}
	}
	return &container.HealthConfig{
		Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries,
	}
}

func (l link) endpoint() *network.EndpointSettings {
	settings := &network.EndpointSettings{Aliases: l.Aliases}
	if l.Address != "" {
		settings.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: l.Address}
	}
	return settings
}

// hash identifies all of the spec. Maps are sorted by encoding/json.
func (s spec) hash() (string, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("hash the order of %s: %w", s.Name, err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), nil
}
