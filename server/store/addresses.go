package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/swingbridge/swingbridge/pipeline"
)

// ErrNoAddress is wrapped when a network has no place left.
var ErrNoAddress = errors.New("no address is free")

// SetEdge writes the edge network's subnet, once, and the pool of which the
// apps' networks take theirs. ErrConflict if another edge subnet was chosen
// before: containers are on it.
//
// The subnet's first address is the gateway's, its last /24 is for addresses
// that the engine chooses, Reserve hands out those between.
func (s *Store) SetEdge(ctx context.Context, subnet, pool netip.Prefix) error {
	subnet, pool = subnet.Masked(), pool.Masked()
	if !subnet.Addr().Is4() || subnet.Bits() > 23 || !pool.Addr().Is4() || pool.Bits() > appBits {
		return fmt.Errorf("set edge: %w: edge %s must be IPv4 and at least a /23, the pool %s at least a /26", pipeline.ErrInvalid, subnet, pool)
	}
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		was, err := setting(ctx, t, keyEdge)
		if err != nil {
			return err
		}
		if was != "" && was != subnet.String() {
			return fmt.Errorf("the edge is %s already: %w", was, pipeline.ErrConflict)
		}
		return errors.Join(setSetting(ctx, t, keyEdge, subnet.String()), setSetting(ctx, t, keyPool, pool.String()))
	})
	if err != nil {
		return fmt.Errorf("set edge: %w", err)
	}
	return nil
}

// Edge is the edge network's subnet. ErrNotFound until it was chosen.
func (s *Store) Edge(ctx context.Context) (netip.Prefix, error) {
	return prefixSetting(ctx, s.db.Read, keyEdge)
}

func prefixSetting(ctx context.Context, q querier, key string) (netip.Prefix, error) {
	text, err := setting(ctx, q, key)
	if err != nil {
		return netip.Prefix{}, err
	}
	if text == "" {
		return netip.Prefix{}, fmt.Errorf("setting %s: %w", key, pipeline.ErrNotFound)
	}
	return netip.ParsePrefix(text)
}

// Reserve returns the edge address for a replica of a deployment's service: the
// same one when asked again, never one that another deployment holds. Addresses
// that were never used come first, then the one that has been free the longest.
// An error wraps ErrNoAddress if all are held.
func (s *Store) Reserve(ctx context.Context, deployment, service string, replica int) (address netip.Addr, err error) {
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		edge, err := prefixSetting(ctx, t, keyEdge)
		if err != nil {
			return err
		}
		position, err := reserve(ctx, t, edge, deployment, service, replica)
		if err != nil {
			return err
		}
		address = plus(edge.Addr(), position)
		return nil
	})
	if err != nil {
		return netip.Addr{}, fmt.Errorf("reserve an edge address: %w", err)
	}
	return address, nil
}

func reserve(ctx context.Context, t *tx, edge netip.Prefix, deployment, service string, replica int) (uint32, error) {
	held, err := collect(ctx, t, scanPosition, `select position from addresses
		where deployment_id = $1 and service = $2 and replica = $3`, deployment, service, replica)
	if err != nil {
		return 0, err
	}
	if len(held) > 0 {
		return held[0], nil
	}
	var top uint32
	if err := t.QueryRowContext(ctx, `select coalesce(max(position), 1) from addresses`).Scan(&top); err != nil {
		return 0, err
	}
	end := uint32(1)<<(32-edge.Bits()) - 256 // the engine's own range begins here
	if top+1 < end {
		_, err := t.ExecContext(ctx, `insert into addresses (position, deployment_id, service, replica) values ($1, $2, $3, $4)`,
			top+1, deployment, service, replica)
		return top + 1, err
	}
	again, err := collect(ctx, t, scanPosition, `update addresses set deployment_id = $1, service = $2, replica = $3
		where position = (select position from addresses where deployment_id is null order by freed, position limit 1)
		returning position`, deployment, service, replica)
	if err != nil {
		return 0, err
	}
	if len(again) == 0 {
		return 0, fmt.Errorf("edge network %s: %w", edge, ErrNoAddress)
	}
	return again[0], nil
}

func scanPosition(r scanner) (uint32, error) {
	var p uint32
	err := r.Scan(&p)
	return p, err
}

// ReleaseAddresses frees the addresses of a deployment whose containers are
// gone and which no table names.
func (s *Store) ReleaseAddresses(ctx context.Context, deployment string) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error { return freeAddresses(ctx, t, deployment) })
	if err != nil {
		return fmt.Errorf("release addresses: %w", err)
	}
	return nil
}

// AddressHolders are the app's deployments that hold addresses.
func (s *Store) AddressHolders(ctx context.Context, appID string) ([]string, error) {
	ids, err := collect(ctx, s.db.Read, scanString, `select distinct a.deployment_id from addresses a
		join deployments d on d.id = a.deployment_id where d.app_id = $1 order by a.deployment_id`, appID)
	if err != nil {
		return nil, fmt.Errorf("list who holds addresses: %w", err)
	}
	return ids, nil
}

func freeAddresses(ctx context.Context, t *tx, deployment string) error {
	_, err := t.ExecContext(ctx, `update addresses set deployment_id = null, service = '', replica = 0,
		freed = (select coalesce(max(freed), 0) + 1 from addresses) where deployment_id = $1`, deployment)
	return err
}

// plus is the address n places after a.
func plus(a netip.Addr, n uint32) netip.Addr {
	raw := a.As4()
	binary.BigEndian.PutUint32(raw[:], binary.BigEndian.Uint32(raw[:])+n)
	return netip.AddrFrom4(raw)
}
