package githubtest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline/github/githubtest"
)

// complaints is a test that counts instead of failing.
type complaints []string

func (c *complaints) Helper() {}

func (c *complaints) Errorf(format string, args ...any) {
	*c = append(*c, fmt.Sprintf(format, args...))
}

const meta = `{"verifiable_password_authentication":false}`

func TestValidate_CatchesWhatGitHubWouldNotAllow(t *testing.T) {
	t.Parallel()
	const checks = "/repos/o/r/check-runs"
	for name, c := range map[string]struct {
		method, path, body string
		answer             string
		want               string // part of the complaint, empty for none
	}{
		"good call":                      {"GET", "/meta", "", meta, ""},
		"missing field in a request":     {"POST", checks, `{"name":"x"}`, "", "head_sha"},
		"wrong type in a request":        {"POST", checks, `{"name":"x","head_sha":7}`, "", "head_sha"},
		"unknown value in a request":     {"POST", checks, `{"name":"x","head_sha":"y","status":"fine"}`, "", "status"},
		"unknown field in a request":     {"POST", checks, `{"name":"x","head_sha":"y","detail_url":"z"}`, "", "detail_url"},
		"four buttons":                   {"POST", checks, `{"name":"x","head_sha":"y","actions":[` + strings.TrimSuffix(strings.Repeat(`{"label":"l","description":"d","identifier":"i"},`, 4), ",") + `]}`, "", "actions"},
		"label that is too long":         {"POST", checks, `{"name":"x","head_sha":"y","actions":[{"label":"123456789012345678901","description":"d","identifier":"i"}]}`, "", "label"},
		"wrong type in a query":          {"GET", "/repos/o/r/commits/abc/check-runs?page=two", "", "", "page"},
		"unknown call":                   {"GET", "/repos/o/r/check-run", "", "", "no such call"},
		"unknown method":                 {"PUT", checks, `{}`, "", "no such call"},
		"missing field in an answer":     {"GET", "/meta", "", `{}`, "verifiable_password_authentication"},
		"wrong type in an answer":        {"GET", "/meta", "", `{"verifiable_password_authentication":"no"}`, "verifiable_password_authentication"},
		"answer that is not JSON":        {"GET", "/meta", "", `<html>`, "decode"},
		"completed without a conclusion": {"PATCH", checks + "/1", `{"status":"completed"}`, "", "conclusion"},
		"reference with slashes":         {"GET", "/repos/o/r/git/ref/heads/a/b", "", `{"ref":"refs/heads/a/b","node_id":"x","url":"https://x","object":{"type":"commit","sha":"` + strings.Repeat("a", 40) + `","url":"https://x"}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var heard complaints
			h := githubtest.Validate(&heard, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if body, err := io.ReadAll(r.Body); err != nil || string(body) != c.body {
					t.Errorf("the handler got %q, %v", body, err)
				}
				w.Header().Set("Content-Type", "application/json")
				if c.answer == "" {
					w.WriteHeader(http.StatusTeapot) // not described, so not checked
				}
				_, _ = io.WriteString(w, c.answer)
			}))
			req := httptest.NewRequestWithContext(t.Context(), c.method, c.path, strings.NewReader(c.body))
			if c.body != "" {
				req.Header.Set("Content-Type", "application/json")
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			if w.Body.String() != c.answer {
				t.Errorf("the caller got %q", w.Body)
			}
			all := strings.Join(heard, "\n")
			if c.want == "" && all != "" || !strings.Contains(all, c.want) || c.want != "" && all == "" {
				t.Errorf("complaints %q, want one about %q", all, c.want)
			}
		})
	}
}
