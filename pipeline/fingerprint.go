package pipeline

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// made is what a kept service's container is made of, as far as it cannot be
// changed while the container is there.
type made struct {
	Service stack.Service `json:"service"`
	Image   string        `json:"image"`
	Volumes []string      `json:"volumes,omitempty"` // that it mounts, by key and the engine's own name
	Links   []Link        `json:"links"`
}

// fingerprintOf identifies what the container of an order is made of. What only
// a deployment does with the service is left out, and so is what can be changed
// while it runs: its restart policy, and the networks of the live color.
func fingerprintOf(o ContainerOrder) (string, error) {
	m := made{Service: ofContainer(o.Service), Image: o.Image}
	for _, v := range o.Volumes {
		if slices.ContainsFunc(o.Service.Mounts, func(m stack.Mount) bool { return m.Volume == v.Name && m.Bind == nil }) {
			m.Volumes = append(m.Volumes, v.Name+"="+v.External)
		}
	}
	slices.Sort(m.Volumes)
	for _, l := range o.Links {
		if l.nameless() {
			continue
		}
		l.Aliases = slices.Sorted(slices.Values(l.Aliases))
		m.Links = append(m.Links, l)
	}
	slices.SortFunc(m.Links, func(a, b Link) int { return cmp.Compare(a.Network, b.Network) })
	raw, err := canonical(m)
	if err != nil {
		return "", fmt.Errorf("identify what %s is made of: %w", o.Service.Name, err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:12]), nil
}

// ofContainer leaves of a service what its container has of it.
func ofContainer(svc stack.Service) stack.Service {
	svc.Role, svc.Why, svc.Names, svc.Networks = "", "", nil, nil
	svc.Build, svc.Image, svc.Settings.PullPolicy, svc.Settings.Platform = nil, "", "", "" // the image's ID says it
	svc.DependsOn, svc.Before, svc.Single, svc.Detach, svc.Once = nil, false, false, false, false
	svc.Restart, svc.Replicas, svc.Ports, svc.Probe, svc.Drain = "", 0, nil, stack.Probe{}, 0
	return svc
}

// canonical is JSON with sorted keys: the order of fields in the source is no
// part of it, and neither are fields that came later and are not used.
func canonical(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var plain any
	if err := json.Unmarshal(raw, &plain); err != nil {
		return nil, err
	}
	return json.Marshal(plain)
}
