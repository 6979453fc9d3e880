package command_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/command"
)

// ring keeps tokens as the store does.
type ring struct{ tokens []pipeline.Token }

func (r *ring) CreateToken(_ context.Context, t pipeline.Token) (pipeline.Token, error) {
	r.tokens = append(r.tokens, t)
	return t, nil
}

func (r *ring) RevokeToken(_ context.Context, idOrName string) error {
	for i, t := range r.tokens {
		if t.Name == idOrName {
			r.tokens[i].RevokedAt = time.Now()
			return nil
		}
	}
	return pipeline.ErrNotFound
}

func TestTokens_AreToldOnceKeptAsHashAndWrittenDown(t *testing.T) {
	t.Parallel()
	d, _ := setup()
	r := &ring{}
	c := command.New(command.Options{
		Tokens: r, Auditor: d, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		NewToken: func() (string, []byte) { return "the-secret", []byte("the-hash") },
	})
	made, plain, err := c.CreateToken(t.Context(), ada(), "phone", pipeline.Viewer)
	if err != nil || plain != "the-secret" || made.Name != "phone" {
		t.Fatalf("%+v, %q, %v", made, plain, err)
	}
	if len(r.tokens) != 1 || string(r.tokens[0].Hash) != "the-hash" || strings.Contains(fmt.Sprint(d.audit), "the-secret") {
		t.Errorf("kept %+v, audit %+v", r.tokens, d.audit)
	}
	if err := c.RevokeToken(t.Context(), ada(), "phone"); err != nil || r.tokens[0].RevokedAt.IsZero() {
		t.Errorf("revoking: %v", err)
	}
	if err := c.RevokeToken(t.Context(), ada(), "nobody"); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("revoking nobody's: %v", err)
	}
	var said []string
	for _, e := range d.audit {
		said = append(said, e.Actor+" "+e.Action+" "+e.Target+" "+e.Detail)
	}
	if got := strings.Join(said, "; "); got != "ada token.create phone role viewer; ada token.revoke phone " {
		t.Errorf("audit says %s", got)
	}
	for name, role := range map[string]pipeline.Role{"": pipeline.Viewer, "a b": pipeline.Viewer, "-x": pipeline.Viewer, "tablet": "owner"} {
		if _, plain, err := c.CreateToken(t.Context(), ada(), name, role); !errors.Is(err, pipeline.ErrInvalid) || plain != "" {
			t.Errorf("%q as %s: %q, %v", name, role, plain, err)
		}
	}
}
