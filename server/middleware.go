package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
)

// trace is what becomes known of a request on its way in, for the access log
// and the metrics.
type trace struct {
	route string
	actor string
}

type traceKey struct{}

func note(r *http.Request, route string) {
	if t, ok := r.Context().Value(traceKey{}).(*trace); ok {
		t.route = route
	}
}

func noteActor(r *http.Request, by pipeline.Actor) {
	if t, ok := r.Context().Value(traceKey{}).(*trace); ok {
		t.actor = by.Name
	}
}

// observe gives a request its id, and writes it down when it is done: never its
// query, its headers or its body, where secrets may be.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun, id := s.now(), pipeline.NewID(s.now())
		t := &trace{route: "none"}
		ctx := context.WithValue(r.Context(), traceKey{}, t)
		out := &answer{ResponseWriter: w, control: http.NewResponseController(w)}
		out.Header().Set("X-Request-Id", id)
		// Deferred, so that an aborted answer is written down as well.
		defer func() {
			took := s.now().Sub(begun)
			s.metrics.request(t.route, out.code(), took)
			s.logger.LogAttrs(ctx, slog.LevelInfo, "request",
				slog.String("id", id), slog.String("method", r.Method), slog.String("path", r.URL.Path),
				slog.String("route", t.route), slog.Int("status", out.code()), slog.Int64("bytes", out.bytes),
				slog.Duration("took", took), slog.String("from", r.RemoteAddr), slog.String("by", t.actor))
			out.arm() // what the server itself sends after the handler
		}()
		next.ServeHTTP(out, r.WithContext(ctx))
	})
}

// recovers keeps one request's panic from the others.
func (s *Server) recovers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(cause)
			}
			s.logger.ErrorContext(ctx, "panic", "path", r.URL.Path, "cause", cause, "stack", string(debug.Stack()))
			if out, ok := w.(*answer); ok && out.status != 0 {
				panic(http.ErrAbortHandler) // half an answer must not look like a whole one
			}
			api.WriteProblem(w, api.Problem{
				Status: http.StatusInternalServerError, Code: api.CodeInternal,
				Detail: "something went wrong in the server; its log says what",
			})
		}()
		next.ServeHTTP(w, r)
	})
}

// contentPolicy allows what this server itself serves and nothing inline.
const contentPolicy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// hardens sets the headers that browsers obey. A handler may set Cache-Control
// otherwise; what depends on who asks is stored nowhere.
func hardens(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		// Not no-referrer: with that, browsers send forms with "Origin: null".
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// sameSite refuses what another site makes a browser send. The webhook shows a
// signature and is exempt; the API is looked at after its token (guard.go).
func (s *Server) sameSite(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != webhookPath && !isAPI(r.URL.Path) && s.crossOrigin.Check(r) != nil {
			note(r, "cross-origin")
			s.denyCrossOrigin(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Deadlines are those of sockets and so by the machine's clock.
const (
	bodyTime  = time.Minute      // for a whole request body
	writeTime = 30 * time.Second // for one write: a reader that takes nothing for so long is cut off
)

// limits gives a body its time. A deadline that stays after the body is read
// would end the request itself (golang.org/issue/70834), so it is taken away.
func limits(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			control := http.NewResponseController(w)
			if control.SetReadDeadline(time.Now().Add(bodyTime)) == nil {
				r.Body = &timedBody{r.Body, control}
			}
		}
		next.ServeHTTP(w, r)
	})
}

type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.control.SetReadDeadline(time.Time{}) // it could be set, so it can be taken away
	}
	return n, err
}

// answer counts what is sent and gives each write its time.
type answer struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int
	bytes   int64
}

func (a *answer) arm() {
	_ = a.control.SetWriteDeadline(time.Now().Add(writeTime)) // test recorders have no deadlines
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
	a.arm()
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	a.arm()
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

// FlushError sends what is buffered; http.ResponseController finds it.
func (a *answer) FlushError() error {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	a.arm()
	return a.control.Flush()
}

// Flush is FlushError for those who ask for an http.Flusher.
func (a *answer) Flush() { _ = a.FlushError() }

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) code() int {
	if a.status == 0 {
		return http.StatusOK
	}
	return a.status
}
