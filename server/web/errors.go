package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/swingbridge/swingbridge/pipeline"
)

type errorPage struct {
	frame
	Status  int
	Heading string
	Message string
}

// fail answers with the page of an error: what an operator can do something
// about is told, everything else is only in the log.
func (s *Web) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, heading := statusOf(err)
	message := sentence(err.Error())
	switch {
	case status == http.StatusInternalServerError && errors.Is(err, context.Canceled):
		return // the browser is gone
	case status == http.StatusInternalServerError:
		s.o.Logger.ErrorContext(r.Context(), "page", "path", r.URL.Path, "error", err)
		message = "The server's log says what."
	}
	s.problem(w, r, status, heading, message)
}

func (s *Web) problem(w http.ResponseWriter, r *http.Request, status int, heading, message string) {
	f := s.frame(r, "", heading)
	f.Done = ""
	s.render(w, r, status, "error", errorPage{frame: f, Status: status, Heading: heading, Message: message})
}

func statusOf(err error) (int, string) {
	switch {
	case errors.Is(err, pipeline.ErrNotFound):
		return http.StatusNotFound, "Not found"
	case errors.Is(err, pipeline.ErrInvalid), errors.Is(err, pipeline.ErrNoCommit), errors.Is(err, pipeline.ErrNoBranch):
		return http.StatusUnprocessableEntity, "That cannot be done"
	case errors.Is(err, pipeline.ErrConflict), errors.Is(err, pipeline.ErrExists):
		return http.StatusConflict, "That cannot be done now"
	case errors.Is(err, pipeline.ErrUnreachable):
		return http.StatusBadGateway, "Something does not answer"
	}
	return http.StatusInternalServerError, "Something went wrong"
}

// NotFound is the page of an unknown page.
func (s *Web) NotFound(w http.ResponseWriter, r *http.Request) {
	s.problem(w, r, http.StatusNotFound, "Not found", "There is no such page.")
}

// NotPermitted is the page of a page that the role may not see.
func (s *Web) NotPermitted(w http.ResponseWriter, r *http.Request) {
	s.problem(w, r, http.StatusForbidden, "Not permitted", "Your role does not permit this. An admin can give you a token with another one.")
}

// maxForm bounds the body of a form, in bytes.
const maxForm = 1 << 20

// form reads what was posted; it has answered already where that is false.
func (s *Web) form(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		s.problem(w, r, http.StatusBadRequest, "That cannot be read", "The form did not arrive whole. Go back and send it again.")
		return false
	}
	return true
}

// by is who presses a button; routes with buttons have one always.
func (s *Web) by(r *http.Request) pipeline.Actor {
	by, _ := s.o.Actor(r.Context())
	return by
}

// goTo sends the browser on after a button, to be reloaded without harm.
func goTo(w http.ResponseWriter, r *http.Request, to string) {
	http.Redirect(w, r, to, http.StatusSeeOther)
}
