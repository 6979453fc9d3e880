package api

import (
	"net/http"
	"net/url"
)

// ListFiles is GET /apps/{app}/files: paths and versions, never contents.
func (a *API) ListFiles(w http.ResponseWriter, r *http.Request) {
	app, err := a.store.AppByName(r.Context(), r.PathValue("app"))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	files, err := a.store.HeldFiles(r.Context(), app.ID)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.write(w, r, http.StatusOK, List[File]{Items: mapped(files, fileJSON)})
}

// SetFile is PUT /apps/{app}/files/{path}; it answers with the version the
// environment has now.
func (a *API) SetFile(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Content *[]byte `json:"content"` // base64 in JSON
	}
	if err := decode(w, r, &body); err != nil {
		a.fail(w, r, err)
		return
	}
	if body.Content == nil {
		a.fail(w, r, invalid("content", "content is missing"))
		return
	}
	path := filePath(r)
	version, err := a.commands.SetFile(r.Context(), ActorFrom(r.Context()), r.PathValue("app"), path, *body.Content)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.write(w, r, http.StatusOK, File{Name: path, Version: version})
}

// UnsetFile is DELETE /apps/{app}/files/{path}; it answers like SetFile.
func (a *API) UnsetFile(w http.ResponseWriter, r *http.Request) {
	path := filePath(r)
	version, err := a.commands.UnsetFile(r.Context(), ActorFrom(r.Context()), r.PathValue("app"), path)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.write(w, r, http.StatusOK, File{Name: path, Version: version})
}

// filePath is the path in the URL; its slashes are escaped, as %2F.
func filePath(r *http.Request) string {
	raw := r.PathValue("path")
	if path, err := url.PathUnescape(raw); err == nil && r.URL.RawPath != "" {
		return path
	}
	return raw
}
