package web_test

import (
	"bytes"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
)

// upload posts the form with a file of that content; nil: none was chosen.
func (s *site) upload(t *testing.T, app, path, text string, content []byte) *httptest.ResponseRecorder {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	err := errors.Join(form.WriteField("path", path), form.WriteField("text", text))
	name := "any.name"
	if content == nil {
		name = "" // as browsers send it
	}
	part, ferr := form.CreateFormFile("file", name)
	if err = errors.Join(err, ferr); err == nil {
		_, err = part.Write(content)
	}
	if err := errors.Join(err, form.Close()); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/apps/"+app+"/files", &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	return s.as(pipeline.Admin, r)
}

func TestFiles_AreHeldReplacedAndRemovedAndNeverShown(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for _, w := range []*httptest.ResponseRecorder{
		s.upload(t, "newsletter", "cert.der", "typed too", []byte{0, 0xff, '\r', '\n'}), s.upload(t, "newsletter", "empty", "", []byte{}),
		s.upload(t, "newsletter", ".env.local", "A=1\r\nB=2\r\n", nil),
	} {
		if w.Code != 303 || w.Header().Get("Location") != "/apps/newsletter/settings?done=file#files" {
			t.Errorf("status %d to %q", w.Code, w.Header().Get("Location"))
		}
	}
	if w := s.post(t, "/apps/newsletter/files/unset", url.Values{"path": {"config/a b.yml"}}); w.Code != 303 {
		t.Errorf("unset: status %d", w.Code)
	}
	want := []string{
		`octocat holds cert.der of newsletter: "\x00\xff\r\n"`, `octocat holds empty of newsletter: ""`,
		`octocat holds .env.local of newsletter: "A=1\nB=2\n"`, "octocat takes config/a b.yml of newsletter away",
	}
	if diff := cmp.Diff(want, s.calls); diff != "" {
		t.Error(diff)
	}
}

func TestFiles_SayWhatIsWrongWithoutWhatIsInThem(t *testing.T) {
	t.Parallel()
	s := setup(t)
	w := s.upload(t, "newsletter", ".env.local", "", nil)
	if w.Code != 422 || !strings.Contains(w.Body.String(), "choose one, or type what is in it") || !strings.Contains(w.Body.String(), `value=".env.local"`) {
		t.Errorf("no file: status %d", w.Code)
	}
	if len(s.calls) > 0 {
		t.Errorf("caused %q", s.calls)
	}
	s.fail = fmt.Errorf("%w path", pipeline.ErrInvalid)
	if w := s.upload(t, "newsletter", "../x", "canary-4711", nil); w.Code != 422 || strings.Contains(w.Body.String(), "canary-4711") {
		t.Errorf("a wrong path: status %d", w.Code)
	}
	if w := s.upload(t, "newsletter", "x", "", make([]byte, 5<<20)); w.Code != 413 || !strings.Contains(w.Body.String(), "at most 512 KiB") {
		t.Errorf("too much: status %d", w.Code)
	}
	if w := s.post(t, "/apps/newsletter/files", url.Values{"path": {"x"}, "text": {"y"}}); w.Code != 400 {
		t.Errorf("another kind of form: status %d", w.Code)
	}
}

func TestDrift_IsSeenUntilItIsGone(t *testing.T) {
	t.Parallel()
	s := setup(t)
	if page := s.get(t, "/apps/newsletter").Body.String(); !strings.Contains(page, "Changed by hand") || !strings.Contains(page, "was put on network office") {
		t.Error("the page does not say what was changed by hand")
	}
	mark := `href="/apps/newsletter#drift">changed by hand<`
	if !strings.Contains(s.get(t, "/").Body.String(), mark) {
		t.Error("the list of apps does not say that something was changed by hand")
	}
	delete(s.drift, "a2")
	for _, path := range []string{"/", "/apps/newsletter"} {
		if strings.Contains(strings.ToLower(s.get(t, path).Body.String()), "changed by hand") {
			t.Errorf("it was undone, and %s still says so", path)
		}
	}
}
