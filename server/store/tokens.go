package store

import (
	"context"
	"fmt"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// usedEvery is how exactly a token's last use is kept: a write per request
// would cost more than it tells.
const usedEvery = time.Minute

const tokenColumns = `id, name, role, hash, created_at, revoked_at, used_at`

func scanToken(r scanner) (pipeline.Token, error) {
	var t pipeline.Token
	err := r.Scan(&t.ID, &t.Name, &t.Role, &t.Hash, timeColumn{&t.CreatedAt}, timeColumn{&t.RevokedAt}, timeColumn{&t.UsedAt})
	return t, err
}

// CreateToken stores a token's hash. ErrExists if a token that is not revoked
// has its name.
func (s *Store) CreateToken(ctx context.Context, token pipeline.Token) (pipeline.Token, error) {
	if token.Name == "" || len(token.Hash) == 0 || !token.Role.Includes(pipeline.Viewer) {
		return pipeline.Token{}, fmt.Errorf("%w token: it needs a name, a role and a hash", pipeline.ErrInvalid)
	}
	token.CreatedAt, token.RevokedAt, token.UsedAt = s.now(), time.Time{}, time.Time{}
	err := s.write(ctx, func(ctx context.Context, t *tx) (err error) {
		if token.ID, err = s.newID(ctx, t, "tokens"); err != nil {
			return err
		}
		_, err = t.ExecContext(ctx, `insert into tokens (id, name, role, hash, created_at) values ($1, $2, $3, $4, $5)`,
			token.ID, token.Name, string(token.Role), token.Hash, micros(token.CreatedAt))
		if isUnique(err) {
			return fmt.Errorf("a token named %s: %w", token.Name, pipeline.ErrExists)
		}
		return err
	})
	if err != nil {
		return pipeline.Token{}, fmt.Errorf("create token: %w", err)
	}
	return token, nil
}

// TokenByHash finds a token that was not revoked, and notes its use to the
// minute.
func (s *Store) TokenByHash(ctx context.Context, hash []byte) (pipeline.Token, error) {
	token, err := scanToken(s.db.Read.QueryRowContext(ctx,
		`select `+tokenColumns+` from tokens where hash = $1 and revoked_at = 0`, hash))
	if err != nil {
		return pipeline.Token{}, found(err, "token")
	}
	if now := s.now(); now.Sub(token.UsedAt) >= usedEvery {
		token.UsedAt = now
		err = s.updateOne(ctx, "token", `update tokens set used_at = $1 where id = $2`, micros(now), token.ID)
	}
	return token, err
}

// RevokeToken ends a token, by id or name, and the sessions opened with it.
// ErrNotFound if there is none that was not revoked.
func (s *Store) RevokeToken(ctx context.Context, idOrName string) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		ids, err := collect(ctx, t, scanString, `update tokens set revoked_at = $1
			where revoked_at = 0 and (id = $2 or name = $2) returning id`, micros(s.now()), idOrName)
		if err == nil && len(ids) == 0 {
			err = pipeline.ErrNotFound
		}
		for _, id := range ids {
			if _, err := t.ExecContext(ctx, `delete from sessions where token_id = $1`, id); err != nil {
				return fmt.Errorf("end sessions: %w", err)
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("revoke token %s: %w", idOrName, err)
	}
	return nil
}

// Tokens lists all tokens, revoked ones too, newest first.
func (s *Store) Tokens(ctx context.Context) ([]pipeline.Token, error) {
	list, err := collect(ctx, s.db.Read, scanToken, `select `+tokenColumns+` from tokens order by id desc`)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return list, nil
}

// CreateSession stores a session's hash, and forgets those that have ended.
func (s *Store) CreateSession(ctx context.Context, n pipeline.Session) error {
	if n.CreatedAt.IsZero() {
		n.CreatedAt = s.now()
	}
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.ExecContext(ctx, `delete from sessions where expires_at <= $1`, micros(s.now())); err != nil {
			return fmt.Errorf("forget ended sessions: %w", err)
		}
		_, err := t.ExecContext(ctx, `insert into sessions (hash, token_id, name, role, created_at, expires_at) values (`+places(1, 6)+`)`,
			n.Hash, n.TokenID, n.Name, string(n.Role), micros(n.CreatedAt), micros(n.ExpiresAt))
		return err
	})
	if err != nil {
		return fmt.Errorf("create session: %w", err)
	}
	return nil
}

// SessionByHash finds a session that has not ended.
func (s *Store) SessionByHash(ctx context.Context, hash []byte) (pipeline.Session, error) {
	var n pipeline.Session
	err := s.db.Read.QueryRowContext(ctx, `select hash, token_id, name, role, created_at, expires_at from sessions
		where hash = $1 and expires_at > $2`, hash, micros(s.now())).
		Scan(&n.Hash, &n.TokenID, &n.Name, &n.Role, timeColumn{&n.CreatedAt}, timeColumn{&n.ExpiresAt})
	return n, found(err, "session")
}

// DeleteSession ends a session. Gone is well.
func (s *Store) DeleteSession(ctx context.Context, hash []byte) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.ExecContext(ctx, `delete from sessions where hash = $1`, hash)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete session: %w", err)
	}
	return nil
}
