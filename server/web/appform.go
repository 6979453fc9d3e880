package web

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
)

// appForm is an app as it is typed, and shown again where it was wrong.
type appForm struct {
	Name, Repo, Branch, Compose, Routes, Redirects, Overlay, Allow string
	Paused                                                         bool
}

// appFormOf is the app as one types it.
func appFormOf(a pipeline.App) appForm {
	f := appForm{
		Name: a.Name, Repo: a.Repo, Branch: a.Branch, Compose: strings.Join(a.Compose, "\n"), Overlay: a.Overlay, Paused: a.Paused,
		Allow: strings.Join(a.Allow, "\n"),
	}
	var routes, redirects []string
	for _, r := range a.Routes {
		routes = append(routes, r.Notation())
	}
	for _, r := range a.Redirects {
		redirects = append(redirects, pipeline.RedirectNotation(r))
	}
	f.Routes, f.Redirects = strings.Join(routes, "\n"), strings.Join(redirects, "\n")
	return f
}

// typedApp reads the form that was posted.
func typedApp(r *http.Request) appForm {
	field := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	return appForm{
		Name: field("name"), Repo: field("repo"), Branch: field("branch"), Compose: field("compose"), Routes: field("routes"),
		Redirects: field("redirects"), Overlay: typedText(r, "overlay"), Allow: field("allow"), Paused: r.PostForm.Get("paused") != "",
	}
}

// typedText is a text of several lines: browsers send them with carriage
// returns that nobody typed.
func typedText(r *http.Request, name string) string {
	return strings.ReplaceAll(r.PostForm.Get(name), "\r\n", "\n")
}

// onto returns the app with what was typed.
func (f appForm) onto(a pipeline.App) (pipeline.App, error) {
	a.Repo, a.Branch, a.Compose, a.Overlay, a.Paused = f.Repo, f.Branch, lines(f.Compose), f.Overlay, f.Paused
	a.Routes, a.Redirects, a.Allow = nil, nil, lines(f.Allow)
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
