package store

import (
	"context"
	"fmt"
)

// CommandDone reports whether the command of a release of this fingerprint has
// ended well before.
func (s *Store) CommandDone(ctx context.Context, appID, fingerprint string) (bool, error) {
	var n int
	err := s.db.Read.QueryRowContext(ctx, `select count(*) from commands where app_id = $1 and fingerprint = $2`,
		appID, fingerprint).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("read release commands: %w", err)
	}
	return n > 0, nil
}

// SetCommandDone writes that it has. Said twice is well.
func (s *Store) SetCommandDone(ctx context.Context, appID, fingerprint, deployment string) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.ExecContext(ctx, `insert into commands (app_id, fingerprint, deployment_id, ended_at)
			values ($1, $2, $3, $4) on conflict (app_id, fingerprint) do nothing`,
			appID, fingerprint, deployment, micros(s.now()))
		return err
	})
	if err != nil {
		return fmt.Errorf("write the release command: %w", err)
	}
	return nil
}
