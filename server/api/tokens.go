package api

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"

	"github.com/swingbridge/swingbridge/pipeline"
)

// ListTokens is GET /tokens: what is known of them, never a token.
func (a *API) ListTokens(w http.ResponseWriter, r *http.Request) {
	tokens, err := a.store.Tokens(r.Context())
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.write(w, r, http.StatusOK, List[Token]{Items: mapped(tokens, tokenJSON)})
}

// CreateToken is POST /tokens. Its answer is the only place where the token is
// ever told.
func (a *API) CreateToken(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Name string        `json:"name"`
		Role pipeline.Role `json:"role"`
	}
	if err := decode(w, r, &body); err != nil {
		a.fail(w, r, err)
		return
	}
	if !tokenName().MatchString(body.Name) {
		a.fail(w, r, invalid("name", "name must be 1 to 64 letters, digits, dots, dashes and underscores"))
		return
	}
	if !slices.Contains([]pipeline.Role{pipeline.Viewer, pipeline.Deployer, pipeline.Admin}, body.Role) {
		a.fail(w, r, invalid("role", "role must be viewer, deployer or admin"))
		return
	}
	now := a.now().UTC()
	plain, hash := a.newToken()
	token, err := a.store.CreateToken(r.Context(), pipeline.Token{
		ID: pipeline.NewID(now), Name: body.Name, Role: body.Role, Hash: hash, CreatedAt: now,
	})
	if err == nil {
		err = a.audit(r, "token.create", token.Name, "role "+string(token.Role))
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	out := tokenJSON(token)
	out.Token = plain
	a.write(w, r, http.StatusCreated, out)
}

// RevokeToken is DELETE /tokens/{token}, by id or name.
func (a *API) RevokeToken(w http.ResponseWriter, r *http.Request) {
	token := r.PathValue("token")
	err := a.store.RevokeToken(r.Context(), token)
	if err == nil {
		err = a.audit(r, "token.revoke", token, "")
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func tokenName() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`) }

// audit writes down what was done without a command.
func (a *API) audit(r *http.Request, action, target, detail string) error {
	by, now := ActorFrom(r.Context()), a.now().UTC()
	err := a.store.AddAudit(r.Context(), pipeline.AuditEntry{
		ID: pipeline.NewID(now), At: now, Actor: by.Name, From: by.From, Action: action, Target: target, Detail: detail,
	})
	if err != nil {
		return fmt.Errorf("write %s into the audit log: %w", action, err)
	}
	return nil
}
