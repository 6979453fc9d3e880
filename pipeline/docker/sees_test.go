package docker

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"github.com/swingbridge/swingbridge/pipeline"
)

func TestSees_KnowsAFolderThatTheEngineHas(t *testing.T) {
	t.Parallel()
	w := setup(t)
	folder := t.TempDir()
	before, err := w.api.ContainerList(t.Context(), container.ListOptions{All: true, Filters: w.containerFilter()})
	if err != nil {
		t.Fatal(err)
	}
	seen, known, err := w.Sees(t.Context(), folder)
	if !seen || !known || err != nil {
		t.Errorf("seen %v, known %v, %v", seen, known, err)
	}
	left, err := os.ReadDir(folder)
	if len(left) > 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
	after, err := w.api.ContainerList(t.Context(), container.ListOptions{All: true, Filters: w.containerFilter()})
	if len(after) != len(before) || err != nil {
		t.Errorf("containers were made: %v, %v", after, err)
	}
	if _, known, err := w.Sees(t.Context(), filepath.Join(folder, "absent")); known || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that we do not have: known %v, %v", known, err)
	}
}

// An engine elsewhere has no file of ours; one that looks at the image first says
// nothing about files; one that is away says nothing at all.
func TestSees_TellsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status      int
		known, seen bool
		want        error
	}{
		"elsewhere":   {http.StatusBadRequest, true, false, nil},
		"image first": {http.StatusNotFound, false, false, nil},
		"away":        {http.StatusServiceUnavailable, false, false, pipeline.ErrUnreachable},
	} {
		engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/containers/create") {
				w.Header().Set("Api-Version", "1.41")
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(c.status)
			w.Write([]byte(`{"message":"no"}`))
		}))
		defer engine.Close()
		e, err := New(t.Context(), Options{Installation: "abc123", Host: "tcp://" + engine.Listener.Addr().String()})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		seen, known, err := e.Sees(t.Context(), t.TempDir())
		if seen != c.seen || known != c.known || (err != nil) != (c.want != nil) {
			t.Errorf("%s: seen %v, known %v, %v", name, seen, known, err)
		}
		if e.Local() {
			t.Errorf("%s: an engine by tcp is called local", name)
		}
	}
}
