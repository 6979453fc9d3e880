package auth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Errors that say why a request is not let in.
var (
	ErrUnauthorized = errors.New("no valid token or session")
	ErrLimited      = errors.New("too many failed attempts, wait a minute")
	ErrSetupClosed  = errors.New("the setup link was used or is not the newest one")
)

// CookieName is the name of a session's cookie.
const CookieName = "swingbridge_session"

// sessionLife is how long a browser stays signed in.
const sessionLife = 7 * 24 * time.Hour

// adminName is who the admin token of the settings is in the audit log.
const adminName = "admin"

// Store keeps the hashes of tokens and sessions. Absent ones are an error that
// wraps pipeline.ErrNotFound.
type Store interface {
	TokenByHash(ctx context.Context, hash []byte) (pipeline.Token, error)
	CreateSession(ctx context.Context, s pipeline.Session) error
	SessionByHash(ctx context.Context, hash []byte) (pipeline.Session, error)
	DeleteSession(ctx context.Context, hash []byte) error
}

// Options is what Auth needs.
type Options struct {
	Store      Store
	Setup      SetupStore // for the setup link; needed unless there is an admin token
	AdminToken string     // of the settings; empty: none
	Secure     bool       // cookies are for HTTPS only
	Proxies    []netip.Prefix
	Now        func() time.Time
}

// Auth knows who sends a request. Options.Proxies are the peers whose
// X-Forwarded-For is believed.
type Auth struct {
	Options
	admin   []byte // hash of the admin token, nil if there is none
	limiter *limiter

	mu         sync.Mutex
	setup      []byte // hash of the setup link's token, nil while setup is closed
	setupUntil time.Time
}

// New returns an Auth. The error is about options with which nobody could ever
// sign in.
func New(o Options) (*Auth, error) {
	if o.Store == nil {
		return nil, errors.New("auth: no store of tokens and sessions")
	}
	if o.AdminToken == "" && o.Setup == nil {
		return nil, errors.New("auth: neither an admin token nor a store for the setup link")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &Auth{Options: o, limiter: newLimiter()}
	if o.AdminToken != "" {
		a.admin = HashToken(o.AdminToken)
		a.AdminToken = ""
	}
	return a, nil
}

// Identify says who sends the request, by its bearer token or else by its
// session cookie. ErrUnauthorized if by neither; other errors are the store's.
func (a *Auth) Identify(r *http.Request) (pipeline.Actor, error) {
	from := a.From(r)
	if headers := r.Header.Values("Authorization"); len(headers) > 0 {
		scheme, token, _ := strings.Cut(headers[0], " ")
		if len(headers) > 1 || !strings.EqualFold(scheme, "Bearer") {
			return pipeline.Actor{}, ErrUnauthorized
		}
		t, err := a.token(r.Context(), strings.TrimSpace(token))
		if err != nil {
			return pipeline.Actor{}, err
		}
		return pipeline.Actor{Name: t.Name, Role: t.Role, From: from}, nil
	}
	cookie, err := r.Cookie(CookieName)
	if err != nil || cookie.Value == "" {
		return pipeline.Actor{}, ErrUnauthorized
	}
	s, err := a.Store.SessionByHash(r.Context(), HashToken(cookie.Value))
	switch {
	case errors.Is(err, pipeline.ErrNotFound):
		return pipeline.Actor{}, ErrUnauthorized
	case err != nil:
		return pipeline.Actor{}, fmt.Errorf("look up session: %w", err)
	case !a.Now().Before(s.ExpiresAt), s.TokenID == "" && a.admin == nil:
		return pipeline.Actor{}, ErrUnauthorized
	}
	return pipeline.Actor{Name: s.Name, Role: s.Role, From: from}, nil
}

// token finds whose token this is; the admin token's has no ID.
func (a *Auth) token(ctx context.Context, token string) (pipeline.Token, error) {
	if token == "" {
		return pipeline.Token{}, ErrUnauthorized
	}
	if same(token, a.admin) {
		return pipeline.Token{Name: adminName, Role: pipeline.Admin}, nil
	}
	t, err := a.Store.TokenByHash(ctx, HashToken(token))
	switch {
	case errors.Is(err, pipeline.ErrNotFound):
		return pipeline.Token{}, ErrUnauthorized
	case err != nil:
		return pipeline.Token{}, fmt.Errorf("look up token: %w", err)
	case !t.RevokedAt.IsZero():
		return pipeline.Token{}, ErrUnauthorized
	}
	return t, nil
}

// Login opens a new session for whoever has the token and returns its cookie.
// from is the client's address. ErrUnauthorized, or ErrLimited after too many
// wrong ones.
func (a *Auth) Login(ctx context.Context, token, from string) (*http.Cookie, error) {
	now := a.Now()
	if !a.limiter.take(from, now) {
		return nil, ErrLimited
	}
	t, err := a.token(ctx, strings.TrimSpace(token))
	if err != nil {
		if !errors.Is(err, ErrUnauthorized) {
			a.limiter.giveBack(from)
		}
		return nil, err
	}
	a.limiter.giveBack(from)
	secret := NewToken()
	s := pipeline.Session{
		Hash: HashToken(secret), TokenID: t.ID, Name: t.Name, Role: t.Role,
		CreatedAt: now, ExpiresAt: now.Add(sessionLife),
	}
	if err := a.Store.CreateSession(ctx, s); err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	return a.cookie(secret, int(sessionLife/time.Second)), nil
}

// Logout ends the request's session, if it has one, and returns the cookie that
// makes the browser forget it.
func (a *Auth) Logout(ctx context.Context, r *http.Request) (*http.Cookie, error) {
	if cookie, err := r.Cookie(CookieName); err == nil {
		err := a.Store.DeleteSession(ctx, HashToken(cookie.Value))
		if err != nil && !errors.Is(err, pipeline.ErrNotFound) {
			return nil, fmt.Errorf("end session: %w", err)
		}
	}
	return a.cookie("", -1), nil
}

// cookie is Lax, not Strict: a link from GitHub to a deployment must find the
// person signed in. It is not enough to change anything, that needs a POST.
func (a *Auth) cookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: CookieName, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: a.Secure, SameSite: http.SameSiteLaxMode,
	}
}

// From is the client's address: that of the peer, or what a proxy that we know
// appended to X-Forwarded-For.
func (a *Auth) From(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	peer, err := netip.ParseAddr(host)
	if err != nil || !a.isProxy(peer) {
		return host
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return host
		}
		if host = hop.String(); !a.isProxy(hop) {
			return host
		}
	}
	return host
}

func (a *Auth) isProxy(addr netip.Addr) bool {
	for _, p := range a.Proxies {
		if p.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}
