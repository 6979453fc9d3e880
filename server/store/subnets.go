package store

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
)

// appBits is the size of each network of an app: 64 addresses.
const appBits = 26

// AppSubnet returns the subnet of one of the app's networks: the one it was
// given before, unless that overlaps used, which is what others than this
// network have now. Else it chooses one that no other network of ours has and
// that does not overlap used. An error wraps ErrNoAddress if the pool has none
// left.
func (s *Store) AppSubnet(ctx context.Context, appID, key string, used []netip.Prefix) (subnet netip.Prefix, err error) {
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		subnet, err = appSubnet(ctx, t, appID, key, used)
		return err
	})
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("choose a subnet of the app: %w", err)
	}
	return subnet, nil
}

func appSubnet(ctx context.Context, t *tx, appID, key string, used []netip.Prefix) (netip.Prefix, error) {
	type row struct{ app, key, subnet string }
	rows, err := collect(ctx, t, func(r scanner) (v row, err error) {
		err = r.Scan(&v.app, &v.key, &v.subnet)
		return v, err
	}, `select app_id, key, subnet from subnets`)
	if err != nil {
		return netip.Prefix{}, err
	}
	edge, err := prefixSetting(ctx, t, keyEdge)
	if err != nil {
		return netip.Prefix{}, err
	}
	taken := append([]netip.Prefix{edge}, used...)
	for _, r := range rows {
		subnet, err := netip.ParsePrefix(r.subnet)
		switch {
		case err != nil:
			return subnet, err
		case r.app != appID || r.key != key:
			taken = append(taken, subnet)
		case !overlap(subnet, used):
			return subnet, nil
		}
	}
	pool, err := prefixSetting(ctx, t, keyPool)
	if err != nil {
		return netip.Prefix{}, err
	}
	free, err := firstFree(pool, taken)
	if err != nil {
		return netip.Prefix{}, err
	}
	_, err = t.ExecContext(ctx, `insert into subnets (app_id, key, subnet) values ($1, $2, $3)
		on conflict (app_id, key) do update set subnet = excluded.subnet`, appID, key, free.String())
	return free, err
}

// firstFree is the first subnet of the pool that overlaps none of taken. It
// steps over each of those once, so that many apps do not make it slow.
func firstFree(pool netip.Prefix, taken []netip.Prefix) (netip.Prefix, error) {
	taken = slices.DeleteFunc(slices.Clone(taken), func(p netip.Prefix) bool { return !p.Overlaps(pool) })
	slices.SortFunc(taken, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	size, end := uint32(1)<<(32-appBits), plus(pool.Addr(), 1<<(32-pool.Bits())-1)
	candidate := netip.PrefixFrom(pool.Addr(), appBits)
	for _, p := range taken {
		for candidate.Overlaps(p) {
			next := plus(candidate.Addr(), size)
			if next.Compare(end) > 0 || !next.Is4() {
				return netip.Prefix{}, fmt.Errorf("pool %s: %w", pool, ErrNoAddress)
			}
			candidate = netip.PrefixFrom(next, appBits)
		}
	}
	return candidate, nil
}

func overlap(p netip.Prefix, with []netip.Prefix) bool {
	return slices.ContainsFunc(with, p.Overlaps)
}
