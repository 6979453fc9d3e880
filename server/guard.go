package server

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
	"github.com/swingbridge/swingbridge/server/auth"
)

// Identifier says who makes a request, by its Authorization header or its
// session cookie.
type Identifier interface {
	// Identify returns auth.ErrUnauthorized if nobody is identified, another
	// error if that could not be found out.
	Identify(r *http.Request) (pipeline.Actor, error)
}

// guard is the only way to a handler: it identifies, asks the table's
// permission, and only then lets the handler look at the request.
func (s *Server) guard(route Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note(r, route.Pattern)
		if route.Permission != Public {
			by, err := s.auth.Identify(r)
			if err != nil {
				s.refuse(w, r, err)
				return
			}
			noteActor(r, by)
			if !permits(route.Permission, by) {
				s.forbid(w, r, by)
				return
			}
			r = r.WithContext(api.WithActor(r.Context(), by))
		}
		// Pages were checked before this (middleware.go); the API after the
		// token, for a wrong one is told before anything else.
		if isAPI(r.URL.Path) && !hasBearer(r) {
			if err := s.crossOrigin.Check(r); err != nil {
				s.denyCrossOrigin(w, r)
				return
			}
		}
		if route.Stream {
			ctx, leave := s.streams.join(r.Context())
			defer leave()
			r = r.WithContext(ctx)
		}
		route.Handler(w, r)
	})
}

func permits(p Permission, by pipeline.Actor) bool {
	if p == Session {
		return by.Role.Includes(pipeline.Viewer)
	}
	return by.Role.Includes(pipeline.Role(p))
}

// hasBearer reports whether a request shows a token, which no other site can
// make a browser do.
func hasBearer(r *http.Request) bool {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return ok && strings.EqualFold(scheme, "Bearer") && strings.TrimSpace(token) != ""
}

// refuse answers a request by nobody: programs learn that, people sign in.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if !errors.Is(err, auth.ErrUnauthorized) {
		s.logger.ErrorContext(r.Context(), "identify", "error", err)
		api.WriteProblem(w, api.Problem{
			Status: http.StatusServiceUnavailable, Code: api.CodeUnavailable, Detail: "tokens cannot be checked now",
		})
		return
	}
	person := !isAPI(r.URL.Path) && r.Header.Get("Authorization") == "" &&
		!strings.Contains(r.Header.Get("Accept"), "text/event-stream")
	if person {
		http.Redirect(w, r, loginPath(r), http.StatusSeeOther)
		return
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="swingbridge"`)
	api.WriteProblem(w, api.Problem{
		Status: http.StatusUnauthorized, Code: api.CodeUnauthorized,
		Detail: "send a valid token as Authorization: Bearer TOKEN",
	})
}

// loginPath is where a person signs in, and which page follows.
func loginPath(r *http.Request) string {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return "/login" // what a form asked for is not done by following a link
	}
	next := r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		next += "?" + r.URL.RawQuery
	}
	if next == "/" || !isLocal(next) {
		return "/login"
	}
	return "/login?next=" + url.QueryEscape(next)
}

// isLocal reports whether a browser takes the reference for a path of this
// site: // and /\ begin the name of another one, and tabs and line ends are left
// out before it looks.
func isLocal(next string) bool {
	return strings.HasPrefix(next, "/") && !strings.HasPrefix(next, "//") && !strings.ContainsAny(next, "\\\t\r\n")
}

func (s *Server) forbid(w http.ResponseWriter, r *http.Request, by pipeline.Actor) {
	if !isAPI(r.URL.Path) {
		s.pages.notPermitted(w, r.WithContext(api.WithActor(r.Context(), by)))
		return
	}
	api.WriteProblem(w, api.Problem{
		Status: http.StatusForbidden, Code: api.CodeForbidden,
		Detail: "the role " + string(by.Role) + " does not permit this",
	})
}

func (s *Server) denyCrossOrigin(w http.ResponseWriter, r *http.Request) {
	if isAPI(r.URL.Path) {
		api.WriteProblem(w, api.Problem{
			Status: http.StatusForbidden, Code: api.CodeCrossOrigin, Detail: "this request came from another site",
		})
		return
	}
	http.Error(w, "This request came from another site. Go back to Swingbridge and try again there.", http.StatusForbidden)
}

// unknown answers for everything that is not in the table. Below /api nobody
// learns even that without a token.
func (s *Server) unknown(w http.ResponseWriter, r *http.Request) {
	if !isAPI(r.URL.Path) {
		note(r, "unknown")
		s.pages.notFound(w, r)
		return
	}
	s.guard(Route{Pattern: "unknown", Permission: Viewer, Handler: func(w http.ResponseWriter, _ *http.Request) {
		api.WriteProblem(w, api.Problem{Status: http.StatusNotFound, Code: api.CodeNotFound, Detail: "there is no such call"})
	}}).ServeHTTP(w, r)
}

// wrongMethod answers for a path that is in the table with other methods.
func (s *Server) wrongMethod(mux chi.Routes, w http.ResponseWriter, r *http.Request) {
	permission := Public
	if isAPI(r.URL.Path) {
		permission = Viewer
	}
	s.guard(Route{Pattern: "unknown", Permission: permission, Handler: func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
			if mux.Match(chi.NewRouteContext(), method, r.URL.Path) {
				allowed = append(allowed, method)
			}
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		detail := r.Method + " is not possible here, but " + strings.Join(allowed, ", ")
		if !isAPI(r.URL.Path) {
			http.Error(w, detail, http.StatusMethodNotAllowed)
			return
		}
		api.WriteProblem(w, api.Problem{Status: http.StatusMethodNotAllowed, Code: api.CodeMethod, Detail: detail})
	}}).ServeHTTP(w, r)
}
