package web

import (
	"fmt"
	"net/http"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

type appSettingsPage struct {
	frame
	App      pipeline.App
	Form     appForm
	Env      []pipeline.EnvVar
	EnvName  string // typed and refused
	Files    []pipeline.HeldFile
	FilePath string // typed and refused
	Met      met
	ModeForm modeForm
	Problem  string // with the app's form
	EnvWrong string // with a variable
	FileBad  string // with a file
	ModeFor  []choice
	ModeBad  string // with a mode
}

// AppSettings is GET /apps/{app}/settings.
func (s *Web) AppSettings(w http.ResponseWriter, r *http.Request) {
	s.appSettings(w, r, http.StatusOK, func(*appSettingsPage) {})
}

// appSettings shows the settings of the app that the address names, with what
// was typed wrong in them.
func (s *Web) appSettings(w http.ResponseWriter, r *http.Request, status int, wrong func(*appSettingsPage)) {
	a, err := s.o.Store.AppByName(r.Context(), r.PathValue("app"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page := appSettingsPage{
		frame: s.frame(r, "apps", "Settings of "+a.Name), App: a, Form: appFormOf(a),
		Met: metBy(a, s.o.Now()), ModeForm: modeForm{Kind: string(pipeline.ModeMaintenance)}, ModeFor: modeLengths(),
	}
	if page.Env, err = s.o.Store.EnvVars(r.Context(), a.ID); err != nil {
		s.fail(w, r, fmt.Errorf("environment of %s: %w", a.Name, err))
		return
	}
	if page.Files, err = s.o.Store.HeldFiles(r.Context(), a.ID); err != nil {
		s.fail(w, r, fmt.Errorf("files of %s: %w", a.Name, err))
		return
	}
	wrong(&page)
	s.render(w, r, status, "appsettings", page)
}

// ChangeApp is POST /apps/{app}/settings.
func (s *Web) ChangeApp(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	form := typedApp(r)
	a, err := s.o.Store.AppByName(r.Context(), r.PathValue("app"))
	if err == nil {
		form.Name = a.Name
		a, err = form.onto(a)
	}
	if err == nil {
		a, err = s.o.Commands.UpdateApp(r.Context(), s.by(r), a)
	}
	switch {
	case typedWrong(err):
		status, _ := statusOf(err)
		s.appSettings(w, r, status, func(p *appSettingsPage) { p.Form, p.Problem = form, sentence(err.Error()) })
	case err != nil:
		s.fail(w, r, err)
	default:
		goTo(w, r, "/apps/"+a.Name+"/settings?done=changed")
	}
}

// SetEnv is POST /apps/{app}/env. The value goes one way: no page shows it.
func (s *Web) SetEnv(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	app, name := r.PathValue("app"), r.PostForm.Get("name")
	_, err := s.o.Commands.SetEnv(r.Context(), s.by(r), app, name, typedText(r, "value"))
	switch {
	case typedWrong(err):
		s.appSettings(w, r, http.StatusUnprocessableEntity, func(p *appSettingsPage) { p.EnvName, p.EnvWrong = name, sentence(err.Error()) })
	case err != nil:
		s.fail(w, r, err)
	default:
		goTo(w, r, "/apps/"+app+"/settings?done=env#env")
	}
}

// UnsetEnv is POST /apps/{app}/env/{name}/unset.
func (s *Web) UnsetEnv(w http.ResponseWriter, r *http.Request) {
	app := r.PathValue("app")
	if _, err := s.o.Commands.UnsetEnv(r.Context(), s.by(r), app, r.PathValue("name")); err != nil {
		s.fail(w, r, err)
		return
	}
	goTo(w, r, "/apps/"+app+"/settings?done=unset#env")
}

// choice is one of a list to choose from.
type choice struct{ Value, Words string }

// modeLengths are the lengths for which a mode can be chosen with a click.
func modeLengths() []choice {
	out := []choice{{"", "until someone ends it"}}
	for _, d := range []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour} {
		words := plural(int(d.Minutes()), "minute")
		if d >= time.Hour {
			words = plural(int(d.Hours()), "hour")
		}
		out = append(out, choice{d.String(), words})
	}
	return out
}
