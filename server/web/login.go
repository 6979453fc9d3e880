package web

import (
	"errors"
	"net/http"
	"strings"
)

type loginPage struct {
	frame
	Next    string
	Problem string
}

// Login is GET /login.
func (s *Web) Login(w http.ResponseWriter, r *http.Request) {
	s.loginForm(w, r, http.StatusOK, localPath(r.URL.Query().Get("next")), "")
}

func (s *Web) loginForm(w http.ResponseWriter, r *http.Request, status int, next, problem string) {
	s.render(w, r, status, "login", loginPage{frame: s.frame(r, "", "Sign in · Swingbridge"), Next: next, Problem: problem})
}

// DoLogin is POST /login.
func (s *Web) DoLogin(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	next := localPath(r.PostForm.Get("next"))
	cookie, err := s.o.Auth.Login(r.Context(), r.PostForm.Get("token"), s.o.Auth.From(r))
	switch {
	case is(err, s.o.AuthErrors.Limited):
		s.loginForm(w, r, http.StatusTooManyRequests, next, "Too many failed attempts. Wait a minute, then try again.")
	case is(err, s.o.AuthErrors.Unauthorized):
		s.loginForm(w, r, http.StatusUnauthorized, next, "This token is not valid. It may have been revoked, or not copied whole.")
	case err != nil:
		s.fail(w, r, err)
	default:
		http.SetCookie(w, cookie)
		goTo(w, r, next)
	}
}

// is is errors.Is where the target may be missing.
func is(err, target error) bool { return target != nil && errors.Is(err, target) }

// localPath lets only paths of this site through: // and /\ begin the name of
// another one, and browsers leave tabs and line ends out before they look.
func localPath(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsFunc(next, func(r rune) bool { return r == '\\' || r < ' ' || r == 0x7f }) {
		return "/"
	}
	return next
}

// Logout is POST /logout.
func (s *Web) Logout(w http.ResponseWriter, r *http.Request) {
	cookie, err := s.o.Auth.Logout(r.Context(), r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	http.SetCookie(w, cookie)
	goTo(w, r, "/login")
}

type setupPage struct {
	frame
	Token   string // of the link
	Name    string
	Problem string
	Secret  string // the new API token, shown this once
}

// Setup is GET /setup?token=…
func (s *Web) Setup(w http.ResponseWriter, r *http.Request) {
	token := r.URL.Query().Get("token")
	if err := s.o.Auth.CheckSetup(token, s.o.Auth.From(r)); err != nil {
		s.noSetup(w, r, err)
		return
	}
	s.render(w, r, http.StatusOK, "setup", setupPage{frame: s.frame(r, "", "Set up Swingbridge"), Token: token, Name: "admin"})
}

// DoSetup is POST /setup. Its answer is the only place where the new token is
// ever shown, so it does not send the browser on.
func (s *Web) DoSetup(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	page := setupPage{
		frame: s.frame(r, "", "Set up Swingbridge"),
		Token: r.PostForm.Get("token"), Name: strings.TrimSpace(r.PostForm.Get("name")),
	}
	if page.Name == "" || len(page.Name) > 60 || strings.ContainsFunc(page.Name, func(r rune) bool { return r < ' ' }) {
		page.Problem = "Give a name of up to 60 characters: the audit log calls you by it."
		s.render(w, r, http.StatusUnprocessableEntity, "setup", page)
		return
	}
	secret, err := s.o.Auth.FirstToken(r.Context(), page.Token, page.Name, s.o.Auth.From(r))
	if err != nil {
		s.noSetup(w, r, err)
		return
	}
	page.Token, page.Secret = "", secret
	w.Header().Set("Cache-Control", "no-store")
	s.render(w, r, http.StatusOK, "setup", page)
}

func (s *Web) noSetup(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case is(err, s.o.AuthErrors.SetupClosed):
		s.NotFound(w, r)
	case is(err, s.o.AuthErrors.Limited):
		s.problem(w, r, http.StatusTooManyRequests, "Not now", "Too many failed attempts. Wait a minute, then try again.")
	default:
		s.fail(w, r, err)
	}
}
