package server_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestAPI_HoldsFilesAndNeverTellsWhatIsInThem(t *testing.T) {
	t.Parallel()
	w := setup(t)
	const at = "/api/v1/apps/shop/files/config%2Fproduction.yml"
	for name, c := range map[string]struct {
		token, body string
		want        int
	}{
		"nobody":     {"", `{"content":"eA=="}`, http.StatusUnauthorized},
		"viewer":     {"viewer", `{"content":"eA=="}`, http.StatusForbidden},
		"no content": {"admin", `{}`, http.StatusUnprocessableEntity},
		"not base64": {"admin", `{"content":"?"}`, http.StatusBadRequest},
	} {
		if got := w.do(t, request{method: "PUT", path: at, token: c.token, body: c.body}); got.Code != c.want {
			t.Errorf("%s: %d %s, want %d", name, got.Code, got.Body, c.want)
		}
	}
	got := w.do(t, request{method: "PUT", path: at, token: "admin", body: `{"content":"Y2FuYXJ5"}`})
	if got.Code != http.StatusOK || !strings.Contains(got.Body.String(), `"name":"config/production.yml"`) {
		t.Fatalf("set: %d %s", got.Code, got.Body)
	}
	got = w.do(t, request{method: "GET", path: "/api/v1/apps/shop/files", token: "viewer"})
	if text := got.Body.String(); got.Code != http.StatusOK || !strings.Contains(text, `{"name":"config/production.yml","version":7,"size":6,"updated_at":"2026-03-01T11:00:00.005Z"}`) || strings.Contains(text, "canary") || strings.Contains(text, "Y2FuYXJ5") {
		t.Errorf("list: %d %s", got.Code, text)
	}
	if got = w.do(t, request{method: "DELETE", path: at, token: "admin"}); got.Code != http.StatusOK {
		t.Errorf("unset: %d %s", got.Code, got.Body)
	}
	if got = w.do(t, request{method: "DELETE", path: "/api/v1/apps/shop/files/absent", token: "admin"}); got.Code != http.StatusNotFound {
		t.Errorf("unset what is not there: %d %s", got.Code, got.Body)
	}
}
