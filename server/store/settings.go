package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Keys of the settings that the store keeps for itself.
const (
	keyInstallation = "installation"
	keyEdge         = "edge.subnet"
	keyPool         = "edge.pool"
)

// Installation is the installation's short id, six lower-case letters and
// digits, made when it is first asked for.
func (s *Store) Installation(ctx context.Context) (id string, err error) {
	if id, err = s.Setting(ctx, keyInstallation); err != nil || id != "" {
		return id, err
	}
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		made := strings.ToLower(rand.Text()[:6])
		_, err := t.ExecContext(ctx, `insert into settings (key, value) values ($1, $2) on conflict (key) do nothing`, keyInstallation, made)
		if err != nil {
			return err
		}
		id, err = setting(ctx, t, keyInstallation)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("make installation id: %w", err)
	}
	return id, nil
}

// Setting reads a setting, empty if it was never set.
func (s *Store) Setting(ctx context.Context, key string) (string, error) {
	return setting(ctx, s.db.Read, key)
}

func setting(ctx context.Context, q querier, key string) (string, error) {
	values, err := collect(ctx, q, scanString, `select value from settings where key = $1`, key)
	if err != nil {
		return "", fmt.Errorf("read setting %s: %w", key, err)
	}
	if len(values) == 0 {
		return "", nil
	}
	return values[0], nil
}

// SetSetting writes a setting. What must stay secret does not belong here.
func (s *Store) SetSetting(ctx context.Context, key, value string) error {
	if key == keyInstallation {
		return fmt.Errorf("%w: the installation's id never changes", pipeline.ErrInvalid)
	}
	err := s.write(ctx, func(ctx context.Context, t *tx) error { return setSetting(ctx, t, key, value) })
	if err != nil {
		return fmt.Errorf("write setting %s: %w", key, err)
	}
	return nil
}

func setSetting(ctx context.Context, t *tx, key, value string) error {
	_, err := t.ExecContext(ctx, `insert into settings (key, value) values ($1, $2)
		on conflict (key) do update set value = excluded.value`, key, value)
	return err
}
