package web

import (
	"net/http"

	"github.com/swingbridge/swingbridge/pipeline"
)

type settingsPage struct {
	frame
	Settings  []Setting
	Tokens    []pipeline.Token
	Made      *madeToken // right after it was made, and never again
	TokenName string     // typed and refused
	TokenRole pipeline.Role
	Problem   string
}

type madeToken struct {
	pipeline.Token
	Secret string
}

// Settings is GET /settings.
func (s *Web) Settings(w http.ResponseWriter, r *http.Request) {
	s.settings(w, r, http.StatusOK, func(*settingsPage) {})
}

func (s *Web) settings(w http.ResponseWriter, r *http.Request, status int, with func(*settingsPage)) {
	tokens, err := s.o.Store.Tokens(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page := settingsPage{
		frame: s.frame(r, "settings", "Settings · Swingbridge"), Settings: s.o.Settings, Tokens: tokens, TokenRole: pipeline.Deployer,
	}
	with(&page)
	s.render(w, r, status, "settings", page)
}

// CreateToken is POST /settings/tokens. The answer is the only page that ever
// shows the token.
func (s *Web) CreateToken(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	name, role := r.PostForm.Get("name"), pipeline.Role(r.PostForm.Get("role"))
	token, secret, err := s.o.Commands.CreateToken(r.Context(), s.by(r), name, role)
	switch {
	case typedWrong(err):
		status, _ := statusOf(err)
		s.settings(w, r, status, func(p *settingsPage) { p.TokenName, p.TokenRole, p.Problem = name, role, sentence(err.Error()) })
	case err != nil:
		s.fail(w, r, err)
	default:
		w.Header().Set("Cache-Control", "no-store")
		s.settings(w, r, http.StatusCreated, func(p *settingsPage) { p.Made = &madeToken{token, secret} })
	}
}

// RevokeToken is POST /settings/tokens/{token}/revoke.
func (s *Web) RevokeToken(w http.ResponseWriter, r *http.Request) {
	if err := s.o.Commands.RevokeToken(r.Context(), s.by(r), r.PathValue("token")); err != nil {
		s.fail(w, r, err)
		return
	}
	goTo(w, r, "/settings?done=revoked#tokens-title")
}
