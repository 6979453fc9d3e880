package docker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// tcpListen is the state LISTEN in /proc/net/tcp (include/net/tcp_states.h).
const tcpListen = "0A"

// Listeners returns where the container's processes accept connections, by
// reading what the kernel says of its network. It is nil where that cannot be
// known: the engine is on another machine or sees other process ids than we do.
func (e *Engine) Listeners(ctx context.Context, id string) ([]netip.AddrPort, error) {
	c, err := e.mine(ctx, id)
	if err != nil {
		return nil, err
	}
	if !e.local || c.State.Pid <= 0 {
		return nil, nil
	}
	proc := filepath.Join("/proc", strconv.Itoa(c.State.Pid))
	if !isContainer(proc, c.ID) {
		return nil, nil
	}
	found := []netip.AddrPort{}
	for _, file := range []string{"tcp", "tcp6"} {
		raw, err := os.ReadFile(filepath.Join(proc, "net", file))
		if err != nil && file == "tcp" {
			return nil, nil
		}
		found = append(found, listening(raw)...) // no tcp6: a kernel without IPv6
	}
	if !isContainer(proc, c.ID) {
		return nil, nil // it ended meanwhile and another process has its number
	}
	slices.SortFunc(found, netip.AddrPort.Compare)
	return slices.Compact(found), nil
}

// isContainer reports whether the process belongs to the container, by the name
// of its control group. It protects against reading a stranger where the engine
// counts its processes in another namespace.
func isContainer(proc, id string) bool {
	raw, err := os.ReadFile(filepath.Join(proc, "cgroup"))
	return err == nil && bytes.Contains(raw, []byte(id))
}

// listening reads a table of /proc/net/tcp. The engine's own name server, which
// listens inside every container at 127.0.0.11, is left out.
func listening(table []byte) []netip.AddrPort {
	var out []netip.AddrPort
	dns := netip.AddrFrom4([4]byte{127, 0, 0, 11})
	lines := bufio.NewScanner(bytes.NewReader(table))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || fields[3] != tcpListen {
			continue
		}
		if at, err := hexAddrPort(fields[1]); err == nil && at.Addr() != dns {
			out = append(out, at)
		}
	}
	return out
}

// hexAddrPort reads "0100007F:1F90": words in the machine's byte order (little
// endian on every machine that Docker for Linux is common on), then the port.
func hexAddrPort(text string) (netip.AddrPort, error) {
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	if err != nil || len(raw) != 4 && len(raw) != 16 {
		return netip.AddrPort{}, fmt.Errorf("address %q", text)
	}
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("port of %q: %w", text, err)
	}
	for word := 0; word < len(raw); word += 4 {
		binary.BigEndian.PutUint32(raw[word:], binary.NativeEndian.Uint32(raw[word:]))
	}
	address, _ := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(address.Unmap(), uint16(number)), nil
}

// Dial connects to an address of a container. The host reaches them directly.
func (e *Engine) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err // names the operation and the address itself
	}
	return conn, nil
}
