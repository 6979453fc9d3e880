package web_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/web"
)

// allPages are the pages that are looked at, by the name of their golden file.
func allPages() map[string]string {
	return map[string]string{
		"apps": "/", "app": "/apps/djangopackages", "app-fresh": "/apps/fresh", "app-drift": "/apps/newsletter", "newapp": "/apps/new", "plan": "/apps/djangopackages/plan", "plan-refused": "/apps/search/plan?commit=c0ffee", "app-maintenance": "/apps/search", "appsettings": "/apps/djangopackages/settings", "appsettings-maintenance": "/apps/search/settings", "deployment-watching": "/deployments/d09",
		"deployment-failed": "/deployments/d06", "deployment-stuck": "/deployments/f03", "deployment-building": "/deployments/e05",
		"deployment-live": "/deployments/d08", "deliveries": "/deliveries", "audit": "/audit", "doctor": "/doctor", "settings": "/settings",
		"login": "/login?next=/audit", "setup": "/setup?token=link", "unknown": "/nowhere", "forbidden": "/forbidden", "gone": "/deployments/zzz",
		"flash": "/deliveries?done=replay",
	}
}

func TestPages_AreAsTheyWereLookedAt(t *testing.T) {
	t.Parallel()
	hash := regexp.MustCompile(`\.[0-9a-f]{12}\.(css|js|svg)`)
	for name, path := range allPages() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := hash.ReplaceAllString(setup(t).get(t, path).Body.String(), ".$1")
			file := filepath.Join("testdata", name+".html")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s changed (-want +got); look at it, then -update:\n%s", path, diff)
			}
		})
	}
}

func TestPages_AnswerWithTheRightStatus(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for path, want := range map[string]int{
		"/": 200, "/nowhere": 404, "/forbidden": 403, "/apps/none": 404, "/deployments/none": 404, "/deployments/none/stream": 404,
		"/setup?token=old": 404, "/static/none.css": 404,
	} {
		if got := s.get(t, path).Code; got != want {
			t.Errorf("GET %s: %d, want %d", path, got, want)
		}
	}
}

func TestPages_NeverCauseAnythingByGet(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for _, path := range allPages() {
		s.get(t, path)
	}
	if len(s.calls) != 0 {
		t.Errorf("reading pages caused %q", s.calls)
	}
}

func TestPages_ShowNoSecretsAndNoButtonsToViewers(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for name, path := range allPages() {
		if strings.Contains(s.get(t, path).Body.String(), "never-in-a-page") {
			t.Errorf("%s shows a secret", name)
		}
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		body := s.as(pipeline.Viewer, r).Body.String()
		for _, action := range regexp.MustCompile(`action="([^"]*)"`).FindAllStringSubmatch(body, -1) {
			public := action[1] == "/logout" || action[1] == "/login" || action[1] == "/setup" || path == "/apps/new"
			if !public {
				t.Errorf("%s offers %s to a viewer", name, action[1])
			}
		}
	}
}

func TestStatic_IsKeptForGoodUnderItsHash(t *testing.T) {
	t.Parallel()
	s := setup(t)
	page := s.get(t, "/").Body.String()
	found := regexp.MustCompile(`/static/[^"]+`).FindAllString(page, -1)
	if len(found) != 3 {
		t.Fatalf("static files of a page: %q", found)
	}
	for _, path := range found {
		w := s.get(t, path)
		if w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || w.Header().Get("Content-Type") == "" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
}

func TestPages_DoWithoutNumbersOfTheProxy(t *testing.T) {
	t.Parallel()
	for name, stats := range map[string]func(*web.Options){
		"none": func(o *web.Options) { o.Stats = nil },
		"not answering": func(o *web.Options) {
			o.Stats = func(context.Context) (web.Stats, error) { return web.Stats{}, pipeline.ErrUnreachable }
		},
	} {
		s := setup(t, stats)
		if w := s.get(t, "/"); w.Code != 200 || strings.Contains(w.Body.String(), "sparkline") {
			t.Errorf("%s: apps answer %d", name, w.Code)
		}
		if w := s.get(t, "/deployments/d09"); !strings.Contains(w.Body.String(), "No numbers of this cutover are left") {
			t.Errorf("%s: the cutover's picture is not explained", name)
		}
	}
}

func TestNew_WantsAllThatItNeeds(t *testing.T) {
	t.Parallel()
	if _, err := web.New(web.Options{}); err == nil {
		t.Error("made pages out of nothing")
	}
}
