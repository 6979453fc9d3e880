package pipelinetest

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Reserve implements pipeline.Addresses.
func (l *Ledger) Reserve(ctx context.Context, deployment, service string, replica int) (netip.Addr, error) {
	if err := l.w.call(ctx, "ledger.Reserve"); err != nil {
		return netip.Addr{}, err
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	key := fmt.Sprintf("%s/%s/%d", deployment, service, replica)
	if a, ok := l.addresses[key]; ok {
		return a, nil
	}
	a := l.next
	l.addresses[key], l.next = a, a.Next()
	return a, nil
}

// ReleaseAddresses implements pipeline.Addresses.
func (l *Ledger) ReleaseAddresses(ctx context.Context, deployment string) error {
	if err := l.w.call(ctx, "ledger.ReleaseAddresses"); err != nil {
		return err
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	maps.DeleteFunc(l.addresses, func(key string, _ netip.Addr) bool { return key[:len(deployment)] == deployment })
	return nil
}

// AddressHolders implements pipeline.Addresses.
func (l *Ledger) AddressHolders(ctx context.Context, _ string) ([]string, error) {
	if err := l.w.call(ctx, "ledger.AddressHolders"); err != nil {
		return nil, err
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	var out []string
	for key := range l.addresses {
		id, _, _ := strings.Cut(key, "/")
		out = append(out, id)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// AppSubnet implements pipeline.Addresses.
func (l *Ledger) AppSubnet(ctx context.Context, _, key string, used []netip.Prefix) (netip.Prefix, error) {
	if err := l.w.call(ctx, "ledger.AppSubnet"); err != nil {
		return netip.Prefix{}, err
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if have, ok := l.subnets[key]; ok && !slices.ContainsFunc(used, have.Overlaps) {
		return have, nil
	}
	delete(l.subnets, key)
	taken := slices.AppendSeq(slices.Clone(used), maps.Values(l.subnets))
	free, err := pipeline.FreeSubnet(netip.MustParsePrefix("10.201.64.0/18"), 26, taken)
	if err == nil {
		l.subnets[key] = free
	}
	return free, err
}
