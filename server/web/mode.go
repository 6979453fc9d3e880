package web

import (
	"fmt"
	"net/http"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// met is how visitors of an app are met, as an operator set it.
type met struct {
	Word  string // maintenance or requests held; empty: they are served
	Words string // a sentence
	Until moment // when it ends by itself
}

// metBy says how the app's visitors are met.
func metBy(a pipeline.App, now time.Time) met {
	m := a.Mode.At(now)
	var out met
	switch m.Kind {
	case pipeline.ModeServe:
		return met{}
	case pipeline.ModeHold:
		wait := m.Wait
		if wait == 0 {
			wait = pipeline.DefaultModeWait
		}
		out.Word, out.Words = "requests held", fmt.Sprintf("Visitors wait: their requests are held, each for at most %s.", length(wait))
	case pipeline.ModeMaintenance:
		out.Word, out.Words = "maintenance", "Visitors get the maintenance page."
		if m.Page != "" {
			out.Words = "Visitors get your maintenance page."
		}
	}
	if !m.Until.IsZero() {
		out.Until = momentOf(m.Until, now)
		out.Until.Words = "at " + m.Until.UTC().Format("15:04:05 MST")
		if m.Until.Sub(now) > 12*time.Hour {
			out.Until.Words = "on " + out.Until.Full
		}
	}
	return out
}

// modeForm is a mode as it is typed.
type modeForm struct{ Kind, Page, Wait, For string }

// SetMode is POST /apps/{app}/mode.
func (s *Web) SetMode(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	app := r.PathValue("app")
	form := modeForm{Kind: r.PostForm.Get("kind"), Page: typedText(r, "page"), Wait: r.PostForm.Get("wait"), For: r.PostForm.Get("for")}
	m, err := form.mode(s.o.Now())
	var set pipeline.ModeSet
	if err == nil {
		set, err = s.o.Commands.SetMode(r.Context(), s.by(r), app, m)
	}
	switch {
	case typedWrong(err) && s.by(r).Role.Includes(pipeline.Admin):
		s.appSettings(w, r, http.StatusUnprocessableEntity, func(p *appSettingsPage) { p.ModeForm, p.ModeBad = form, sentence(err.Error()) })
	case err != nil:
		s.fail(w, r, err)
	case set.Pending != "":
		goTo(w, r, "/apps/"+app+"?done=modelater")
	default:
		goTo(w, r, "/apps/"+app+"?done=mode")
	}
}

// mode reads what was typed. What belongs to another kind than the chosen one
// is left out: the form has fields for all of them.
func (f modeForm) mode(now time.Time) (m pipeline.Mode, err error) {
	if m.Kind, err = pipeline.ParseModeKind(f.Kind); err != nil || m.Kind == pipeline.ModeServe {
		return m, err
	}
	if m.Kind == pipeline.ModeMaintenance {
		m.Page = f.Page
	}
	if f.Wait != "" && m.Kind == pipeline.ModeHold {
		if m.Wait, err = time.ParseDuration(f.Wait); err != nil || m.Wait <= 0 {
			return m, fmt.Errorf("%w wait %q: write it like 30s or 2m", pipeline.ErrInvalid, f.Wait)
		}
	}
	if f.For != "" {
		length, err := time.ParseDuration(f.For)
		if err != nil || length <= 0 {
			return m, fmt.Errorf("%w length %q: write it like 10m or 2h", pipeline.ErrInvalid, f.For)
		}
		m.Until = now.Add(length)
	}
	return m, nil
}
