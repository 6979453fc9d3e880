package api

import (
	"net/http"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// SetMode is PUT /apps/{app}/mode.
func (a *API) SetMode(w http.ResponseWriter, r *http.Request) {
	var body ModeChange
	if err := decode(w, r, &body); err != nil {
		a.fail(w, r, err)
		return
	}
	mode, err := body.mode(a.now())
	if err != nil {
		a.fail(w, r, err)
		return
	}
	set, err := a.commands.SetMode(r.Context(), ActorFrom(r.Context()), r.PathValue("app"), mode)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.write(w, r, http.StatusOK, ModeSet{Mode: modeJSON(set.Mode), Applied: set.Pending == "", Pending: set.Pending})
}

func (c ModeChange) mode(now time.Time) (m pipeline.Mode, err error) {
	if m.Kind, err = pipeline.ParseModeKind(c.Kind); err != nil {
		return m, invalid("kind", "kind must be serve, hold or maintenance")
	}
	m.Page = c.Page
	if c.Wait != "" {
		if m.Wait, err = time.ParseDuration(c.Wait); err != nil || m.Wait <= 0 {
			return m, invalid("wait", "wait must be a duration like 30s")
		}
	}
	if c.For != "" {
		length, err := time.ParseDuration(c.For)
		if err != nil || length <= 0 {
			return m, invalid("for", "for must be a duration like 10m")
		}
		m.Until = now.Add(length)
	}
	return m, nil
}
