package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
)

type newAppPage struct {
	frame
	Form    newApp
	Problem string
}

// newApp is what was typed, to be shown again where it was wrong.
type newApp struct {
	Name, Repo, Branch, Compose, Routes, Redirects string
}

// NewApp is GET /apps/new.
func (s *Web) NewApp(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusOK, "newapp", newAppPage{
		frame: s.frame(r, "apps", "Add an app · Swingbridge"), Form: newApp{Branch: "main"},
	})
}

// AddApp is POST /apps.
func (s *Web) AddApp(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	field := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	form := newApp{
		Name: field("name"), Repo: field("repo"), Branch: field("branch"), Compose: field("compose"), Routes: field("routes"),
		Redirects: field("redirects"),
	}
	a, err := form.app()
	if err == nil {
		a, err = s.o.Commands.CreateApp(r.Context(), s.by(r), a)
	}
	switch {
	case errors.Is(err, pipeline.ErrInvalid), errors.Is(err, pipeline.ErrExists):
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

func (f newApp) app() (pipeline.App, error) {
	a := pipeline.App{Name: f.Name, Repo: f.Repo, Branch: f.Branch, Compose: lines(f.Compose)}
	for _, line := range lines(f.Routes) {
		route, err := pipeline.ParseRoute(line)
		if err != nil {
			return pipeline.App{}, err
		}
		a.Routes = append(a.Routes, route)
	}
	for _, line := range lines(f.Redirects) {
		redirect, err := pipeline.ParseRedirect(line)
		if err != nil {
			return pipeline.App{}, err
		}
		a.Redirects = append(a.Redirects, redirect)
	}
	if len(a.Routes) == 0 {
		return pipeline.App{}, fmt.Errorf("%w app: give at least one route, or no visitor finds it", pipeline.ErrInvalid)
	}
	return a, nil
}

// lines are those of a text that are not blank.
func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}
