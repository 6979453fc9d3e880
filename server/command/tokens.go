package command

import (
	"context"
	"fmt"

	"github.com/swingbridge/swingbridge/pipeline"
)

// CreateToken makes an API token. It is returned here and never told again.
func (c *Commands) CreateToken(ctx context.Context, by pipeline.Actor, name string, role pipeline.Role) (pipeline.Token, string, error) {
	now := c.o.Now().UTC()
	plain, hash := c.o.NewToken()
	t := pipeline.Token{ID: pipeline.NewID(now), Name: name, Role: role, Hash: hash, CreatedAt: now}
	if err := t.Validate(); err != nil {
		return pipeline.Token{}, "", err
	}
	t, err := c.o.Tokens.CreateToken(ctx, t)
	if err != nil {
		return pipeline.Token{}, "", fmt.Errorf("create token %s: %w", name, err)
	}
	return t, plain, c.audit(ctx, by, pipeline.AuditEntry{Action: "token.create", Target: t.Name, Detail: "role " + string(t.Role)})
}

// RevokeToken revokes an API token, by id or name.
func (c *Commands) RevokeToken(ctx context.Context, by pipeline.Actor, idOrName string) error {
	if err := c.o.Tokens.RevokeToken(ctx, idOrName); err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	return c.audit(ctx, by, pipeline.AuditEntry{Action: "token.revoke", Target: idOrName})
}
