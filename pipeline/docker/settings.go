package docker

import (
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"github.com/docker/docker/api/types/container"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// resources are the limits in the engine's terms.
func resources(l stack.Limits) container.Resources {
	out := container.Resources{
		Memory:            l.Memory,
		MemoryReservation: l.MemoryReservation,
		MemorySwap:        l.MemorySwap,
		MemorySwappiness:  l.Swappiness,
		NanoCPUs:          int64(l.CPUs * 1e9),
		CPUShares:         l.CPUShares,
		CPUQuota:          l.CPUQuota,
		CPUPeriod:         l.CPUPeriod,
		CpusetCpus:        l.CPUSet,
		BlkioWeight:       l.IOWeight,
	}
	if l.Pids > 0 {
		out.PidsLimit = &l.Pids
	}
	return out
}

// set gives the container the settings that need no permission.
func set(host *container.HostConfig, s stack.Settings) {
	host.ExtraHosts = s.ExtraHosts
	host.DNS = s.DNS
	host.DNSSearch = s.DNSSearch
	host.DNSOptions = s.DNSOptions
	host.Sysctls = s.Sysctls
	host.ShmSize = s.ShmSize
	host.ReadonlyRootfs = s.ReadOnly
	host.CapDrop = s.CapDrop
	host.GroupAdd = s.GroupAdd
	for _, u := range s.Ulimits {
		host.Ulimits = append(host.Ulimits, &container.Ulimit{Name: u.Name, Soft: u.Soft, Hard: u.Hard})
	}
}

// checkLimits refuses limits that no host has.
func checkLimits(name string, l stack.Limits) error {
	switch {
	case l.Memory < 0, l.MemoryReservation < 0, l.MemorySwap < -1, l.Pids < 0, !(l.CPUs >= 0 && l.CPUs < 1e6),
		l.Swappiness != nil && (*l.Swappiness < 0 || *l.Swappiness > 100),
		l.CPUShares < 0, l.CPUQuota < 0, l.CPUPeriod < 0, l.IOWeight > 1000,
		strings.Trim(l.CPUSet, "0123456789,-") != "":
		return refused("service %s: limits %+v", name, l)
	}
	return nil
}

// checkSettings refuses settings that would reach beyond the container, or that
// would say another thing to the engine than they look like.
func checkSettings(svc stack.Service) error {
	s := svc.Settings
	for key := range s.Sysctls {
		space := "ipc" // whose namespace has it
		if strings.HasPrefix(key, "net.") {
			space = "network"
		}
		if !ownSysctl(key) || slices.Contains(svc.Rights.Host, space) {
			return refused("service %s: sysctl %q is the whole host's", svc.Name, key)
		}
	}
	for label := range s.Annotations {
		if strings.HasPrefix(strings.ToLower(label), labelPrefix) {
			return refused("service %s: labels that begin with %s are ours, not %q", svc.Name, labelPrefix, label)
		}
	}
	for _, entry := range s.ExtraHosts {
		name, address, ok := strings.Cut(entry, ":")
		_, err := netip.ParseAddr(address)
		if !ok || name == "" || address != "host-gateway" && err != nil {
			return refused("service %s: extra host %q", svc.Name, entry)
		}
	}
	for _, address := range s.DNS {
		if _, err := netip.ParseAddr(address); err != nil {
			return refused("service %s: name server %q is not an address", svc.Name, address)
		}
	}
	for _, text := range slices.Concat(s.DNSSearch, s.DNSOptions, s.CapDrop, s.GroupAdd, []string{s.Hostname, s.Domainname}) {
		if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > unicode.MaxASCII }) {
			return refused("service %s: setting %q", svc.Name, text)
		}
	}
	if s.ShmSize < 0 {
		return refused("service %s: %d bytes of shared memory", svc.Name, s.ShmSize)
	}
	return nil
}

// ownSysctl reports whether the kernel keeps the setting for each container.
func ownSysctl(key string) bool {
	switch key {
	case "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
		"kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced":
		return true
	}
	return (strings.HasPrefix(key, "net.") || strings.HasPrefix(key, "fs.mqueue.")) && !strings.ContainsAny(key, "/ \\")
}
