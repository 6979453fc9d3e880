package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// setupLife is how long a setup link is good.
const setupLife = 24 * time.Hour

// setupKey is the setting that says that the first admin was made.
const setupKey = "setup"

// SetupStore remembers that the first admin was made, and makes it. An absent
// setting is an empty one or an error that wraps pipeline.ErrNotFound.
type SetupStore interface {
	Setting(ctx context.Context, key string) (string, error)
	SetSetting(ctx context.Context, key, value string) error
	CreateToken(ctx context.Context, t pipeline.Token) (pipeline.Token, error)
}

// SetupToken returns a new one-time token for /setup?token=…, to be printed
// where only the operator sees it; it is good for a day or until the next one
// is made. It is empty if setup is closed: the first admin was made, or the
// settings have an admin token.
func (a *Auth) SetupToken(ctx context.Context) (string, error) {
	if a.admin != nil {
		return "", nil
	}
	done, err := a.Setup.Setting(ctx, setupKey)
	if err != nil && !errors.Is(err, pipeline.ErrNotFound) {
		return "", fmt.Errorf("look up setup: %w", err)
	}
	if done != "" {
		return "", nil
	}
	token := NewToken()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.setup, a.setupUntil = HashToken(token), a.Now().Add(setupLife)
	return token, nil
}

// CheckSetup reports whether the setup link is good, without using it up.
// ErrSetupClosed is to be answered like a page that does not exist.
func (a *Auth) CheckSetup(token, from string) error {
	if !a.limiter.take(from, a.Now()) {
		return ErrLimited
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.setupOpens(token) {
		return ErrSetupClosed
	}
	a.limiter.giveBack(from)
	return nil
}

// FirstToken uses the setup link up: it makes the first API token, of role
// admin, and returns it. Setup is closed for good after it.
func (a *Auth) FirstToken(ctx context.Context, token, name, from string) (string, error) {
	if err := a.CheckSetup(token, from); err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.setupOpens(token) {
		return "", ErrSetupClosed // someone was quicker
	}
	secret := NewToken()
	now := a.Now()
	t := pipeline.Token{ID: pipeline.NewID(now), Name: name, Role: pipeline.Admin, Hash: HashToken(secret), CreatedAt: now}
	if _, err := a.Setup.CreateToken(ctx, t); err != nil {
		return "", fmt.Errorf("make the first token: %w", err)
	}
	// The token first: a crash in between leaves a token that nobody was told
	// and a setup that can be done again, not a server without a door.
	if err := a.Setup.SetSetting(ctx, setupKey, now.UTC().Format("2006-01-02T15:04:05Z07:00")); err != nil {
		return "", fmt.Errorf("close setup: %w", err)
	}
	a.setup = nil
	return secret, nil
}

// setupOpens needs the lock.
func (a *Auth) setupOpens(token string) bool {
	return same(token, a.setup) && a.Now().Before(a.setupUntil)
}
