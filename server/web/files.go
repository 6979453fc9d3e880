package web

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/swingbridge/swingbridge/pipeline"
)

// maxUpload bounds the body of a form with a file, in bytes: more than a file
// that is held may have, for the command says what is wrong with a larger one.
const maxUpload = 4 << 20

// SetFile is POST /apps/{app}/files: a file that was chosen, or typed. It goes
// one way: no page shows what is in it.
func (s *Web) SetFile(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxUpload)
	if err := r.ParseMultipartForm(maxUpload); err != nil {
		s.notWhole(w, r, err)
		return
	}
	app, path := r.PathValue("app"), r.PostForm.Get("path")
	content, err := uploaded(r)
	if err == nil {
		_, err = s.o.Commands.SetFile(r.Context(), s.by(r), app, path, content)
	}
	switch {
	case typedWrong(err):
		s.appSettings(w, r, http.StatusUnprocessableEntity, func(p *appSettingsPage) {
			p.FilePath, p.FileBad = path, sentence(err.Error())
		})
	case err != nil:
		s.fail(w, r, err)
	default:
		goTo(w, r, "/apps/"+app+"/settings?done=file#files")
	}
}

// notWhole answers a form that could not be read.
func (s *Web) notWhole(w http.ResponseWriter, r *http.Request, err error) {
	if errors.As(err, new(*http.MaxBytesError)) {
		s.problem(w, r, http.StatusRequestEntityTooLarge, "That is too much",
			fmt.Sprintf("A file that is held has at most %s.", bytesOf(pipeline.MaxHeldFile)))
		return
	}
	s.problem(w, r, http.StatusBadRequest, "That cannot be read", "The form did not arrive whole. Go back and send it again.")
}

// uploaded is the file that was chosen, which may be empty, else what was typed.
func uploaded(r *http.Request) ([]byte, error) {
	file, _, err := r.FormFile("file")
	if errors.Is(err, http.ErrMissingFile) {
		text := typedText(r, "text")
		if text == "" {
			return nil, fmt.Errorf("%w file: choose one, or type what is in it", pipeline.ErrInvalid)
		}
		return []byte(text), nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the uploaded file: %w", err)
	}
	content, err := io.ReadAll(file)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("read the uploaded file: %w", err)
	}
	return content, nil
}

// UnsetFile is POST /apps/{app}/files/unset.
func (s *Web) UnsetFile(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	app := r.PathValue("app")
	if _, err := s.o.Commands.UnsetFile(r.Context(), s.by(r), app, r.PostForm.Get("path")); err != nil {
		s.fail(w, r, err)
		return
	}
	goTo(w, r, "/apps/"+app+"/settings?done=fileunset#files")
}
