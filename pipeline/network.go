package pipeline

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// EdgeBits is the size of the network on which the proxy reaches containers.
const EdgeBits = 20

// FreeSubnet returns the first subnet of the given size in the pool that
// overlaps with none of those in use.
func FreeSubnet(pool netip.Prefix, bits int, used []netip.Prefix) (netip.Prefix, error) {
	if !pool.Addr().Is4() || bits < pool.Bits() || bits > 30 {
		return netip.Prefix{}, fmt.Errorf("%w pool %s for a /%d", ErrInvalid, pool, bits)
	}
	at := ipv4(pool.Masked().Addr())
	for range 1 << (bits - pool.Bits()) {
		candidate := netip.PrefixFrom(addr4(at), bits)
		if !overlaps(candidate, used) {
			return candidate, nil
		}
		at += 1 << (32 - bits)
	}
	return netip.Prefix{}, fmt.Errorf("no free /%d is left in %s: give SWINGBRIDGE_SUBNETS a larger or another range", bits, pool)
}

// EdgeNetwork is the edge network in the given subnet: the gateway is its first
// address, the engine's own choices come from its last /24, and all between is
// ours to hand out.
func EdgeNetwork(name string, subnet netip.Prefix) Network {
	last := ipv4(subnet.Masked().Addr()) + 1<<(32-subnet.Bits()) - 1
	return Network{
		Name: name, Subnet: subnet, Gateway: subnet.Masked().Addr().Next(),
		Range: netip.PrefixFrom(addr4(last&^0xff), 24), Isolated: true,
	}
}

func overlaps(p netip.Prefix, used []netip.Prefix) bool {
	for _, u := range used {
		if p.Overlaps(u) {
			return true
		}
	}
	return false
}

func ipv4(a netip.Addr) uint32 { b := a.As4(); return binary.BigEndian.Uint32(b[:]) }

func addr4(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}
