package web

import (
	"errors"
	"net/http"

	"github.com/swingbridge/swingbridge/pipeline"
)

type newAppPage struct {
	frame
	Form    appForm
	Problem string
}

// NewApp is GET /apps/new.
func (s *Web) NewApp(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusOK, "newapp", newAppPage{
		frame: s.frame(r, "apps", "Add an app · Swingbridge"), Form: appForm{Branch: "main"},
	})
}

// AddApp is POST /apps.
func (s *Web) AddApp(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	form := typedApp(r)
	a, err := form.onto(pipeline.App{Name: form.Name})
	if err == nil {
		a, err = s.o.Commands.CreateApp(r.Context(), s.by(r), a)
	}
	switch {
	case typedWrong(err):
		status, _ := statusOf(err)
		s.render(w, r, status, "newapp", newAppPage{
			frame: s.frame(r, "apps", "Add an app · Swingbridge"), Form: form, Problem: sentence(err.Error()),
		})
	case err != nil:
		s.fail(w, r, err)
	default:
		goTo(w, r, "/apps/"+a.Name+"?done=added")
	}
}

// typedWrong reports whether whoever typed can mend it.
func typedWrong(err error) bool {
	return errors.Is(err, pipeline.ErrInvalid) || errors.Is(err, pipeline.ErrExists)
}
