package web_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/swingbridge/swingbridge/pipeline"
)

func TestButtons_DoWhatTheySayAndLeadOn(t *testing.T) {
	t.Parallel()
	for path, want := range map[string][2]string{
		"/apps/newsletter/redeploy": {`octocat deploys "" of newsletter as redeploy`, "/deployments/new?done=redeploy"},
		"/apps/newsletter/rollback": {`octocat rolls newsletter back to ""`, "/deployments/new?done=rollback"},
		"/deployments/d09/rollback": {`octocat rolls djangopackages back to ""`, "/deployments/new?done=rollback"},
		"/deployments/d05/rollback": {`octocat rolls djangopackages back to "d05"`, "/deployments/new?done=rollback"},
		"/deployments/d06/redeploy": {fmt.Sprintf(`octocat deploys %q of djangopackages as redeploy`, sha("d90b1aa")), "/deployments/new?done=redeploy"},
		"/deployments/e05/cancel":   {"octocat cancels e05", "/deployments/new?done=cancel"},
		"/deployments/f03/resolve":  {"octocat resolves f03 as failed", "/deployments/new?done=resolve"},
		"/deliveries/g4/replay":     {"octocat replays g4", "/deliveries?done=replay"},
	} {
		s := setup(t)
		w := s.post(t, path, url.Values{"as": {"failed"}})
		if w.Code != 303 {
			t.Errorf("%s: status %d", path, w.Code)
		}
		if diff := cmp.Diff([]string{want[0], want[1]}, []string{strings.Join(s.calls, "; "), w.Header().Get("Location")}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

func TestButtons_SayWhyTheyCouldNot(t *testing.T) {
	t.Parallel()
	for cause, want := range map[error]int{
		pipeline.ErrNotFound: 404, pipeline.ErrInvalid: 422, pipeline.ErrConflict: 409, pipeline.ErrExists: 409, pipeline.ErrUnreachable: 502, pipeline.ErrNoBranch: 422,
	} {
		s := setup(t)
		s.fail = fmt.Errorf("read the head of main: %w", cause)
		w := s.post(t, "/apps/newsletter/redeploy", nil)
		if w.Code != want || !strings.Contains(w.Body.String(), "Read the head of main: ") {
			t.Errorf("%v: status %d, want %d", cause, w.Code, want)
		}
	}
	s := setup(t)
	s.fail = fmt.Errorf("disk at /var/lib/x is full")
	if w := s.post(t, "/deployments/e05/cancel", nil); w.Code != 500 || strings.Contains(w.Body.String(), "/var/lib") {
		t.Errorf("a fault of the server: status %d, its insides shown", w.Code)
	}
}

func TestNewApp_KeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	s := setup(t)
	form := url.Values{"name": {"shop"}, "repo": {"octocat/shop"}, "branch": {"main"}, "compose": {"a.yml\r\n\r\nb.yml\r\n"}, "routes": {"shop.example/api=web:8000\r\nshop.example=web:80"}, "redirects": {"www.shop.example=shop.example,301"}}
	if w := s.post(t, "/apps", form); w.Code != 303 || w.Header().Get("Location") != "/apps/shop?done=added" {
		t.Errorf("status %d to %q", w.Code, w.Header().Get("Location"))
	}
	want := []string{"octocat adds shop: octocat/shop main [a.yml b.yml] [shop.example/api → web:8000 shop.example → web:80] [www.shop.example → shop.example]"}
	if diff := cmp.Diff(want, s.calls); diff != "" {
		t.Error(diff)
	}
	form.Set("routes", "shop.example to web")
	w := s.post(t, "/apps", form)
	if w.Code != 422 || !strings.Contains(w.Body.String(), "shop.example to web</textarea>") || !strings.Contains(w.Body.String(), `role="alert"`) {
		t.Errorf("a wrong route: status %d, %s", w.Code, w.Body)
	}
}

func TestAppSettings_ChangeWhatWasTypedAndKeepWhatWasNot(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.apps[0].RepoID = 7
	form := url.Values{
		"repo": {"octocat/shop"}, "branch": {"release"}, "compose": {"a.yml"}, "routes": {"shop.example=web:80"},
		"redirects": {"www.shop.example=shop.example"}, "overlay": {"services:\r\n  web: {}\r\n"}, "paused": {"yes"}, "name": {"other"},
		"allow": {"cap:NET_ADMIN\r\nport:5432"},
	}
	if w := s.post(t, "/apps/djangopackages/settings", form); w.Code != 303 || w.Header().Get("Location") != "/apps/djangopackages/settings?done=changed" {
		t.Errorf("status %d to %q", w.Code, w.Header().Get("Location"))
	}
	want := []string{`octocat changes djangopackages: octocat/shop release [a.yml] [shop.example → web:80] [www.shop.example → shop.example] "services:\n  web: {}\n" paused true [cap:NET_ADMIN port:5432]`}
	if diff := cmp.Diff(want, s.calls); diff != "" {
		t.Error(diff)
	}
	form.Set("redirects", "www.shop.example")
	w := s.post(t, "/apps/djangopackages/settings", form)
	if w.Code != 422 || !strings.Contains(w.Body.String(), "www.shop.example</textarea>") || !strings.Contains(w.Body.String(), `role="alert"`) {
		t.Errorf("a wrong redirect: status %d, %s", w.Code, w.Body)
	}
}

func TestEnv_IsSetAndNeverShown(t *testing.T) {
	t.Parallel()
	s := setup(t)
	w := s.post(t, "/apps/newsletter/env", url.Values{"name": {"KEY"}, "value": {"line 1\r\nline 2"}})
	if w.Code != 303 || w.Header().Get("Location") != "/apps/newsletter/settings?done=env#env" {
		t.Errorf("status %d to %q", w.Code, w.Header().Get("Location"))
	}
	if w := s.post(t, "/apps/newsletter/env/KEY/unset", nil); w.Code != 303 {
		t.Errorf("unset: status %d", w.Code)
	}
	want := []string{`octocat sets KEY of newsletter to "line 1\nline 2"`, "octocat unsets KEY of newsletter"}
	if diff := cmp.Diff(want, s.calls); diff != "" {
		t.Error(diff)
	}
	s.fail = fmt.Errorf("%w variable name", pipeline.ErrInvalid)
	w = s.post(t, "/apps/newsletter/env", url.Values{"name": {"1KEY"}, "value": {"never-in-a-page"}})
	if w.Code != 422 || !strings.Contains(w.Body.String(), `value="1KEY"`) || strings.Contains(w.Body.String(), "never-in-a-page") {
		t.Errorf("a wrong name: status %d, %s", w.Code, w.Body)
	}
}

func TestMode_IsSetByAButton(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		app  string
		form url.Values
		call string
		to   string
	}{
		"maintenance": {"newsletter", url.Values{"kind": {"maintenance"}, "for": {"10m"}, "page": {"<h1>Soon</h1>\r\n"}, "wait": {"20s"}},
			`octocat lets newsletter maintenance, page "<h1>Soon</h1>\n", wait 0s, until 12:10:00`, "?done=mode"},
		"hold": {"newsletter", url.Values{"kind": {"hold"}, "page": {"<h1>Soon</h1>"}, "wait": {"20s"}},
			`octocat lets newsletter hold, page "", wait 20s, until 00:00:00`, "?done=mode"},
		"serve": {"search", url.Values{"kind": {"serve"}}, `octocat lets search serve, page "", wait 0s, until 00:00:00`, "?done=mode"},
		"later": {"fresh", url.Values{"kind": {"hold"}}, `octocat lets fresh hold, page "", wait 0s, until 00:00:00`, "?done=modelater"},
	} {
		s := setup(t)
		w := s.post(t, "/apps/"+test.app+"/mode", test.form)
		if w.Code != 303 || w.Header().Get("Location") != "/apps/"+test.app+test.to {
			t.Errorf("%s: status %d to %q", name, w.Code, w.Header().Get("Location"))
		}
		if diff := cmp.Diff([]string{test.call}, s.calls); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	s := setup(t)
	for _, bad := range []url.Values{{"kind": {"sleep"}}, {"kind": {"hold"}, "wait": {"long"}}, {"kind": {"maintenance"}, "for": {"-1m"}, "page": {"<h1>Soon</h1>"}}} {
		w := s.post(t, "/apps/newsletter/mode", bad)
		if w.Code != 422 || !strings.Contains(w.Body.String(), `role="alert"`) || bad.Has("page") && !strings.Contains(w.Body.String(), "&lt;h1&gt;Soon") {
			t.Errorf("%v: status %d", bad, w.Code)
		}
	}
	if len(s.calls) > 0 {
		t.Errorf("what cannot be read caused %q", s.calls)
	}
}

func TestMode_IsSeenUntilItEnds(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for _, path := range []string{"/", "/apps/search", "/apps/search/settings"} {
		if !strings.Contains(s.get(t, path).Body.String(), "maintenance") {
			t.Errorf("%s does not say that visitors get the maintenance page", path)
		}
	}
	s.apps[2].Mode.Until = s.now
	for _, path := range []string{"/", "/apps/search", "/apps/search/settings"} {
		if strings.Contains(s.get(t, path).Body.String(), "Serve again") {
			t.Errorf("%s shows a mode that has ended", path)
		}
	}
}

func TestTokens_AreShownByTheAnswerThatMadeThemOnly(t *testing.T) {
	t.Parallel()
	s := setup(t)
	w := s.post(t, "/settings/tokens", url.Values{"name": {"laptop"}, "role": {"viewer"}})
	if w.Code != 201 || !strings.Contains(w.Body.String(), "the-new-token") || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("status %d, %v", w.Code, w.Header())
	}
	if strings.Contains(s.get(t, "/settings").Body.String(), "the-new-token") {
		t.Error("the token is shown again")
	}
	if w := s.post(t, "/settings/tokens/t1/revoke", nil); w.Code != 303 {
		t.Errorf("revoke: status %d", w.Code)
	}
	want := []string{"octocat makes token laptop for a viewer", "octocat revokes t1"}
	if diff := cmp.Diff(want, s.calls); diff != "" {
		t.Error(diff)
	}
	s.fail = fmt.Errorf("%w role", pipeline.ErrInvalid)
	if w := s.post(t, "/settings/tokens", url.Values{"name": {"a b"}}); w.Code != 422 || !strings.Contains(w.Body.String(), `value="a b"`) {
		t.Errorf("a wrong name: status %d", w.Code)
	}
}

func TestLogin_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for token, want := range map[string]int{"good": 303, "bad": 401, "many": 429} {
		w := s.post(t, "/login", url.Values{"token": {token}})
		if w.Code != want || (want == 303) != (w.Header().Get("Set-Cookie") != "") {
			t.Errorf("token %s: status %d, cookie %q", token, w.Code, w.Header().Get("Set-Cookie"))
		}
	}
	if w := s.post(t, "/logout", nil); w.Code != 303 || !strings.Contains(w.Header().Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("logout: %d %q", w.Code, w.Header().Get("Set-Cookie"))
	}
}

func TestSetup_ShowsTheTokenOnceAndOnlyThere(t *testing.T) {
	t.Parallel()
	s := setup(t)
	if w := s.post(t, "/setup", url.Values{"token": {"link"}, "name": {"  "}}); w.Code != 422 {
		t.Errorf("no name: %d", w.Code)
	}
	w := s.post(t, "/setup", url.Values{"token": {"link"}, "name": {"octocat"}})
	if w.Code != 200 || !strings.Contains(w.Body.String(), "the-new-secret") || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if w := s.post(t, "/setup", url.Values{"token": {"old"}, "name": {"x"}}); w.Code != 404 {
		t.Errorf("an old link: %d", w.Code)
	}
}

// TestPages_CanBeReadAndUsedByAll checks what screen readers and keyboards need.
func TestPages_CanBeReadAndUsedByAll(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for name, path := range allPages() {
		root, err := html.Parse(strings.NewReader(s.get(t, path).Body.String()))
		if err != nil {
			t.Fatal(err)
		}
		labels, ids, headings := map[string]bool{}, map[string]bool{}, 0
		for n := range root.Descendants() {
			switch id := attr(n, "id"); {
			case n.Data == "label":
				labels[attr(n, "for")] = true
			case n.Data == "h1":
				headings++
			case id != "" && ids[id]:
				t.Errorf("%s: two elements with id %s", name, id)
			case id != "":
				ids[id] = true
			}
		}
		if headings != 1 {
			t.Errorf("%s has %d main headings", name, headings)
		}
		for n := range root.Descendants() {
			field := n.Type == html.ElementNode && (n.Data == "input" && attr(n, "type") != "hidden" || n.Data == "textarea" || n.Data == "select")
			if field && !labels[attr(n, "id")] {
				t.Errorf("%s: field %s has no label", name, attr(n, "name"))
			}
			if n.Type == html.ElementNode && n.Data == "svg" && attr(n, "aria-hidden") == "" && attr(n, "aria-label") == "" {
				t.Errorf("%s: a picture without words", name)
			}
			if by := attr(n, "aria-labelledby"); by != "" && !ids[by] {
				t.Errorf("%s: nothing has the id %s", name, by)
			}
		}
	}
}

func TestButtons_HaveTheirNames(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for path, want := range map[string]string{
		"/": "Redeploy", "/apps/djangopackages": "Roll back", "/deployments/e05": "Cancel", "/deployments/d09": "Roll back", "/deployments/d06": "Redeploy", "/deliveries": "Replay",
	} {
		if !strings.Contains(s.get(t, path).Body.String(), ">"+want+"</button>") {
			t.Errorf("%s has no button %q", path, want)
		}
	}
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}
