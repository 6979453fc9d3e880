package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Problem is an error answer as of RFC 9457, with a stable code for programs
// and a detail for people.
type Problem struct {
	Type   string `json:"type"`  // always about:blank, the code says more
	Title  string `json:"title"` // the status in words
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Field  string `json:"field,omitempty"` // the field or parameter at fault, where there is one
}

// The codes of problems. They never change their meaning.
const (
	CodeUnauthorized = "unauthorized"
	CodeForbidden    = "forbidden"
	CodeCrossOrigin  = "cross_origin"
	CodeNotFound     = "not_found"
	CodeMethod       = "method_not_allowed"
	CodeConflict     = "conflict"
	CodeExists       = "exists"
	CodeTooLarge     = "too_large"
	CodeMediaType    = "unsupported_media_type"
	CodeBadJSON      = "bad_json"
	CodeUnknownField = "unknown_field"
	CodeInvalid      = "invalid"
	CodeNoCommit     = "no_commit"
	CodeNoBranch     = "no_branch"
	CodeUnreachable  = "unreachable"
	CodeUnavailable  = "unavailable"
	CodeInternal     = "internal"
)

// problemError is a problem on its way to the answer.
type problemError struct{ Problem }

func (p problemError) Error() string { return p.Detail }

// WriteProblem answers with the problem; Type and Title are filled in.
func WriteProblem(w http.ResponseWriter, p Problem) {
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and a number always marshal
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // the client may be gone: nobody is left to tell
}

// fail answers with what the error means to a client. What it does not know is
// logged and not told.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	var known problemError
	if errors.As(err, &known) {
		WriteProblem(w, known.Problem)
		return
	}
	if p, ok := meaning(err); ok {
		WriteProblem(w, p)
		return
	}
	if r.Context().Err() == nil || !errors.Is(err, context.Canceled) {
		a.logger.ErrorContext(r.Context(), "call failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	WriteProblem(w, Problem{
		Status: http.StatusInternalServerError, Code: CodeInternal,
		Detail: "something went wrong in the server; its log says what",
	})
}

// meaning maps the errors of the domain to problems.
func meaning(err error) (Problem, bool) {
	for _, m := range []struct {
		err    error
		status int
		code   string
	}{
		{pipeline.ErrNoCommit, http.StatusUnprocessableEntity, CodeNoCommit},
		{pipeline.ErrNoBranch, http.StatusUnprocessableEntity, CodeNoBranch},
		{pipeline.ErrInvalid, http.StatusUnprocessableEntity, CodeInvalid},
		{pipeline.ErrNotFound, http.StatusNotFound, CodeNotFound},
		{pipeline.ErrConflict, http.StatusConflict, CodeConflict},
		{pipeline.ErrExists, http.StatusConflict, CodeExists},
		{pipeline.ErrUnreachable, http.StatusBadGateway, CodeUnreachable},
	} {
		if errors.Is(err, m.err) {
			return Problem{Status: m.status, Code: m.code, Detail: err.Error()}, true
		}
	}
	return Problem{}, false
}

func invalid(field, detail string) error {
	return problemError{Problem{Status: http.StatusUnprocessableEntity, Code: CodeInvalid, Detail: detail, Field: field}}
}

// write answers with JSON.
func (a *API) write(w http.ResponseWriter, r *http.Request, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client may be gone: nobody is left to tell
}
