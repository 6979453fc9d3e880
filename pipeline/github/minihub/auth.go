package minihub

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v4"
)

// App is a GitHub App that the hub knows. It is installed on every owner.
type App struct {
	ID          int64
	Name        string
	Key         *rsa.PublicKey    // its tokens are verified with it
	Permissions map[string]string // nil: contents read, checks and deployments write
}

// AddApp lets an App in.
func (h *Hub) AddApp(a App) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if a.Name == "" {
		a.Name = "Swingbridge"
	}
	if a.Permissions == nil {
		a.Permissions = map[string]string{"contents": "read", "checks": "write", "deployments": "write"}
	}
	a.Permissions = maps.Clone(a.Permissions)
	a.Permissions["metadata"] = "read"
	h.apps[a.ID] = a
}

// RemoveApp shuts an App out: its keys and tokens stop working.
func (h *Hub) RemoveApp(id int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.apps, id)
	maps.DeleteFunc(h.tokens, func(_ string, p principal) bool { return p.app == id })
}

// AddToken lets a person's token in, with every permission that a person can
// give: all but writing check runs.
func (h *Hub) AddToken(token string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tokens[token] = principal{}
}

// RevokeToken shuts a token out.
func (h *Hub) RevokeToken(token string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.tokens, token)
}

// principal is who a token belongs to. The zero value is a person.
type principal struct {
	app         int64
	permissions map[string]string // of an installation's token
	repos       []string          // lower-case full names that it reaches; empty: all of the owner's
	owner       string            // lower case
	expires     time.Time
}

// may reports whether the principal may read or write something of a kind in a
// repository.
func (p principal) may(kind, level, repo string) bool {
	if p.app == 0 {
		return kind != "checks" || level == "read"
	}
	owner, _, _ := strings.Cut(repo, "/")
	if owner != p.owner || len(p.repos) > 0 && !slices.Contains(p.repos, repo) {
		return false
	}
	return p.permissions[kind] == "write" || p.permissions[kind] == level
}

// caller finds out who calls. ok is false if the credentials are bad; a caller
// without any is nil.
func (h *Hub) caller(r *http.Request) (who *principal, ok bool) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return nil, true
	}
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "bearer") && !strings.EqualFold(scheme, "token") {
		return nil, false
	}
	p, known := h.tokens[token]
	if !known || !p.expires.IsZero() && time.Now().After(p.expires) {
		return nil, false
	}
	return &p, true
}

// enterRepo checks that the caller may do something in the repository that the
// path names; h.mu is held. It answers itself if not, and returns nil.
func (h *Hub) enterRepo(w http.ResponseWriter, r *http.Request, kind, level string) *repository {
	who, ok := h.caller(r)
	if !ok {
		refuse(w, http.StatusUnauthorized, "Bad credentials")
		return nil
	}
	name := strings.ToLower(r.PathValue("owner") + "/" + r.PathValue("repo"))
	repo := h.repos[name]
	switch {
	case repo == nil:
		refuse(w, http.StatusNotFound, "Not Found")
		return nil
	case who == nil && level == "write":
		refuse(w, http.StatusUnauthorized, "Requires authentication")
		return nil
	case who != nil && !who.may(kind, level, name):
		message := "Resource not accessible by integration"
		if who.app == 0 {
			message = "You must authenticate via a GitHub App."
		}
		refuse(w, http.StatusForbidden, message)
		return nil
	}
	return repo
}

// asApp finds the App that signed the request; h.mu is held.
func (h *Hub) asApp(r *http.Request) (App, error) {
	raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return App{}, errors.New("a JSON web token could not be decoded")
	}
	var claims jwt.RegisteredClaims
	var app App
	_, err := jwt.ParseWithClaims(raw, &claims, func(*jwt.Token) (any, error) {
		id, err := strconv.ParseInt(claims.Issuer, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("issuer: %w", err)
		}
		var known bool
		if app, known = h.apps[id]; !known {
			return nil, errors.New("no such App")
		}
		return app.Key, nil
	}, jwt.WithValidMethods([]string{"RS256"}))
	switch {
	case err != nil:
		return App{}, errors.New("a JSON web token could not be decoded")
	case claims.IssuedAt == nil || claims.ExpiresAt == nil:
		return App{}, errors.New("'Issued at' and 'Expiration time' claims are needed")
	case claims.ExpiresAt.Sub(claims.IssuedAt.Time) > 10*time.Minute:
		return App{}, errors.New("'Expiration time' claim ('exp') is too far in the future")
	}
	return app, nil
}

// issue makes a token of an installation; h.mu is held.
func (h *Hub) issue(p principal) string {
	token := "ghs_" + rand.Text()
	h.tokens[token] = p
	return token
}
