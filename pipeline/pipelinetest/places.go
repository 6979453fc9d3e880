package pipelinetest

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"

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

// CommandDone implements pipeline.Commands.
func (l *Ledger) CommandDone(ctx context.Context, appID, fingerprint string) (bool, error) {
	if err := l.w.call(ctx, "ledger.CommandDone"); err != nil {
		return false, err
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.commands[appID+" "+fingerprint], nil
}

// SetCommandDone implements pipeline.Commands.
func (l *Ledger) SetCommandDone(ctx context.Context, appID, fingerprint, _ string) error {
	if err := l.w.call(ctx, "ledger.SetCommandDone"); err != nil {
		return err
	}
	l.w.mu.Lock()
	l.commands[appID+" "+fingerprint] = true
	l.w.mu.Unlock()
	return l.w.ask("ledger.SetCommandDone", true)
}

// Apps, SeenHead and SetSeenHead implement pipeline.HeadMemory.
func (l *Ledger) Apps(ctx context.Context) ([]pipeline.App, error) {
	return []pipeline.App{l.app}, l.w.call(ctx, "ledger.Apps")
}

// SeenHead implements pipeline.HeadMemory.
func (l *Ledger) SeenHead(ctx context.Context, _ string) (string, error) {
	return l.seenHead, l.w.call(ctx, "ledger.SeenHead")
}

// SetSeenHead implements pipeline.HeadMemory.
func (l *Ledger) SetSeenHead(ctx context.Context, _, was, sha string) error {
	if l.seenHead == was {
		l.seenHead = sha
	}
	return l.w.call(ctx, "ledger.SetSeenHead")
}
