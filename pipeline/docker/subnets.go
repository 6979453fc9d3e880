package docker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/network"
)

// Subnets lists what is in use now: by network name what networks on the engine
// have, and under "host:" and the interface's name what this machine reaches
// otherwise, a VPN for example. A new network must overlap with none of it.
func (e *Engine) Subnets(ctx context.Context) (map[string][]netip.Prefix, error) {
	list, err := e.api.NetworkList(ctx, network.ListOptions{})
	if err != nil {
		return nil, said(err, "list networks")
	}
	used := map[string][]netip.Prefix{}
	known := map[netip.Prefix]bool{}
	for _, n := range list {
		for _, prefix := range prefixes(n) {
			used[n.Name] = append(used[n.Name], prefix)
			known[prefix] = true
		}
	}
	host, err := hostSubnets()
	if err != nil {
		return nil, err
	}
	for name, found := range host {
		for _, prefix := range found {
			if !known[prefix] { // a network's own bridge is not a second user
				used["host:"+name] = append(used["host:"+name], prefix)
			}
		}
	}
	return used, nil
}

func prefixes(n network.Inspect) []netip.Prefix {
	var out []netip.Prefix
	for _, pool := range n.IPAM.Config {
		if prefix, err := netip.ParsePrefix(pool.Subnet); err == nil {
			out = append(out, prefix.Masked())
		}
	}
	return out
}

// hostSubnets lists the subnets of this machine's interfaces and IPv4 routes,
// without loopback, link-local and the default route.
func hostSubnets() (map[string][]netip.Prefix, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	out := map[string][]netip.Prefix{}
	add := func(name string, prefix netip.Prefix) {
		address := prefix.Addr()
		if prefix.Bits() > 0 && !address.IsLoopback() && !address.IsLinkLocalUnicast() && !slices.Contains(out[name], prefix) {
			out[name] = append(out[name], prefix)
		}
	}
	for _, i := range interfaces {
		addresses, err := i.Addrs()
		if err != nil {
			continue // the interface went away since it was listed
		}
		for _, a := range addresses {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil {
				add(i.Name, prefix.Masked())
			}
		}
	}
	// Not on Linux, or hidden: then the interfaces must do.
	table, _ := os.ReadFile("/proc/net/route")
	for _, r := range routes(table) {
		add(r.via, r.to)
	}
	return out, nil
}

type route struct {
	via string
	to  netip.Prefix
}

// routes reads /proc/net/route: interface, destination, …, mask as eighth field,
// words in the machine's byte order.
func routes(table []byte) []route {
	var out []route
	lines := bufio.NewScanner(bytes.NewReader(table))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 8 {
			continue
		}
		to, err1 := hex.DecodeString(fields[1])
		mask, err2 := hex.DecodeString(fields[7])
		if err1 != nil || err2 != nil || len(to) != 4 || len(mask) != 4 {
			continue // the heading
		}
		binary.BigEndian.PutUint32(to, binary.NativeEndian.Uint32(to))
		address, _ := netip.AddrFromSlice(to)
		ones := bits.OnesCount32(binary.NativeEndian.Uint32(mask))
		out = append(out, route{via: fields[0], to: netip.PrefixFrom(address, ones).Masked()})
	}
	return out
}
