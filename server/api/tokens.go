package api

import (
	"net/http"

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
	if (pipeline.Token{Name: body.Name, Role: pipeline.Viewer}).Validate() != nil {
		a.fail(w, r, invalid("name", "name must be 1 to 64 letters, digits, dots, dashes and underscores"))
		return
	}
	if !body.Role.Includes(pipeline.Viewer) {
		a.fail(w, r, invalid("role", "role must be viewer, deployer or admin"))
		return
	}
	token, plain, err := a.commands.CreateToken(r.Context(), ActorFrom(r.Context()), body.Name, body.Role)
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
	if err := a.commands.RevokeToken(r.Context(), ActorFrom(r.Context()), r.PathValue("token")); err != nil {
		a.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
