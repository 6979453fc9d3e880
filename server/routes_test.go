package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server"
	"github.com/swingbridge/swingbridge/server/api"
)

// concrete fills in a pattern of the table.
func concrete(pattern string) string {
	id := "d3"
	if strings.Contains(pattern, "deliveries") {
		id = "g1"
	}
	if strings.Contains(pattern, "/log") || strings.Contains(pattern, "/stream") {
		id = "d1" // its log has an end
	}
	return strings.NewReplacer("{app}", "shop", "{id}", id, "{name}", "KEY", "{service}", "web", "{token}", "ci", "*", "app.css").Replace(pattern)
}

// refused reports whether an answer is a refusal for want of permission.
func refused(status int, location string) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden ||
		status == http.StatusSeeOther && strings.HasPrefix(location, "/login")
}

func TestRoutes_EachAdmitsWhomTheTableSaysAndNobodyElse(t *testing.T) {
	t.Parallel()
	who := []struct {
		token string
		role  pipeline.Role
	}{{"", ""}, {"wrong", ""}, {"viewer", pipeline.Viewer}, {"deployer", pipeline.Deployer}, {"admin", pipeline.Admin}}
	for _, route := range setup(t).server.Routes() {
		for _, someone := range who {
			for _, how := range []string{"token", "session"} {
				w := setup(t)
				if route.Pattern == "/api/v1/events" {
					w.bus.deaf = true // the stream ends at once
				}
				q := request{method: route.Method, path: concrete(route.Pattern)}
				if how == "token" {
					q.token = someone.token
				} else {
					q.session = someone.token
				}
				before := w.memory.written()
				got := w.do(t, q)
				wantRole := pipeline.Role(route.Permission)
				if route.Permission == server.Session {
					wantRole = pipeline.Viewer
				}
				admitted := route.Permission == server.Public || someone.role.Includes(wantRole)
				if is := !refused(got.Code, got.Header().Get("Location")); is != admitted {
					t.Errorf("%s %s as %q by %s: status %d, want admitted %v", route.Method, q.path, someone.token, how, got.Code, admitted)
				}
				if !admitted && w.memory.written() != before {
					t.Errorf("%s %s as %q wrote although it was refused", route.Method, q.path, someone.token)
				}
			}
		}
	}
}

func TestRoutes_GetNeverWrites(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.bus.deaf = true
	for _, route := range w.server.Routes() {
		if route.Method != http.MethodGet {
			continue
		}
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			w.do(t, request{method: method, path: concrete(route.Pattern), token: "admin"})
		}
	}
	if n := w.memory.written(); n != 0 {
		t.Errorf("%d writes by GET", n)
	}
	// The counter does count.
	w.do(t, request{method: "POST", path: "/apps/shop/redeploy", token: "admin"})
	if w.memory.written() != 1 {
		t.Error("a POST was not counted")
	}
}

func TestRoutes_NothingIsLookedAtWithoutToken(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, q := range []request{
		{method: "GET", path: "/api/v1/no/such/call"},
		{method: "DELETE", path: "/api/v1/events"},
		{method: "POST", path: "/api/v1/apps", body: "{broken"},
		{method: "POST", path: "/api/v1/apps", header: map[string]string{"Content-Type": "text/plain"}},
		{method: "GET", path: "/api/v1/apps/absent"},
		{method: "GET", path: "/api/v1/apps?limit=x"},
		{method: "POST", path: "/api/v1/apps/shop/deployments", header: map[string]string{"Sec-Fetch-Site": "cross-site"}},
	} {
		got := w.do(t, q)
		if got.Code != http.StatusUnauthorized || got.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s %s without token: %d, want 401", q.method, q.path, got.Code)
		}
		q.token = "viewer"
		if q.method == "POST" {
			if got := w.do(t, q); got.Code != http.StatusForbidden {
				t.Errorf("%s %s as viewer: %d, want 403", q.method, q.path, got.Code)
			}
		}
	}
}

func TestRoutes_UnknownOnesAreToldInTheLanguageOfTheAsker(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, test := range []struct {
		request
		status int
		kind   string
		text   string
	}{
		{request{method: "GET", path: "/nowhere"}, 404, "text/html", "No such page"},
		{request{method: "GET", path: "/api/v1/nowhere", token: "viewer"}, 404, "application/problem+json", api.CodeNotFound},
		{request{method: "GET", path: "/api", token: "viewer"}, 404, "application/problem+json", api.CodeNotFound},
		{request{method: "PUT", path: "/api/v1/apps", token: "viewer"}, 405, "application/problem+json", api.CodeMethod},
		{request{method: "GET", path: "/webhooks/github"}, 405, "text/plain", "POST"},
		{request{method: "GET", path: "/api/v1/apps", token: "later"}, 503, "application/problem+json", api.CodeUnavailable},
	} {
		got := w.do(t, test.request)
		if got.Code != test.status || !strings.HasPrefix(got.Header().Get("Content-Type"), test.kind) ||
			!strings.Contains(got.Body.String(), test.text) {
			t.Errorf("%s %s: %d %s %q", test.method, test.path, got.Code, got.Header().Get("Content-Type"), got.Body)
		}
	}
	if allow := w.do(t, request{method: "PUT", path: "/api/v1/apps", token: "viewer"}).Header().Get("Allow"); allow != "GET, HEAD, POST" {
		t.Errorf("Allow is %q", allow)
	}
}

func TestRoutes_PeopleWithoutSessionSignInFirst(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for path, want := range map[string]string{
		"/":                         "/login",
		"/apps/shop":                "/login?next=%2Fapps%2Fshop",
		"/deliveries?after=1&b=%2F": "/login?next=" + url.QueryEscape("/deliveries?after=1&b=%2F"),
	} {
		got := w.do(t, request{method: "GET", path: path})
		if got.Code != http.StatusSeeOther || got.Header().Get("Location") != want {
			t.Errorf("GET %s: %d to %q, want 303 to %q", path, got.Code, got.Header().Get("Location"), want)
		}
	}
	got := w.do(t, request{method: "POST", path: "/apps/shop/redeploy"})
	if got.Code != http.StatusSeeOther || got.Header().Get("Location") != "/login" {
		t.Errorf("POST: %d to %q, want 303 to /login", got.Code, got.Header().Get("Location"))
	}
	stream := request{method: "GET", path: "/deployments/d1/stream", header: map[string]string{"Accept": "text/event-stream"}}
	if got := w.do(t, stream); got.Code != http.StatusUnauthorized {
		t.Errorf("stream without session: %d, want 401", got.Code)
	}
}

func TestRoutes_OtherSitesCauseNothing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		header  map[string]string
		foreign bool
	}{
		{"no browser", nil, false},
		{"same origin", map[string]string{"Sec-Fetch-Site": "same-origin"}, false},
		{"typed in", map[string]string{"Sec-Fetch-Site": "none"}, false},
		{"same site", map[string]string{"Sec-Fetch-Site": "same-site"}, true},
		{"cross site", map[string]string{"Sec-Fetch-Site": "cross-site"}, true},
		{"own origin", map[string]string{"Origin": "http://example.com"}, false},
		{"other origin", map[string]string{"Origin": "http://evil.test"}, true},
		{"no origin", map[string]string{"Origin": "null"}, true},
	} {
		for _, route := range setup(t).server.Routes() {
			w := setup(t)
			w.bus.deaf = true
			path := concrete(route.Pattern)
			changes := route.Method != http.MethodGet
			byCookie := w.do(t, request{method: route.Method, path: path, session: "admin", header: test.header})
			exempt := path == "/webhooks/github"
			if denied := byCookie.Code == http.StatusForbidden; denied != (changes && test.foreign && !exempt) {
				t.Errorf("%s: %s %s with session: %d", test.name, route.Method, path, byCookie.Code)
			}
			if byCookie.Code == http.StatusForbidden && w.memory.written() != 0 {
				t.Errorf("%s: %s %s was refused and wrote", test.name, route.Method, path)
			}
			if !strings.HasPrefix(path, "/api/") {
				continue
			}
			byToken := setup(t)
			byToken.bus.deaf = true
			if got := byToken.do(t, request{method: route.Method, path: path, token: "admin", header: test.header}); got.Code == http.StatusForbidden {
				t.Errorf("%s: %s %s with token: 403", test.name, route.Method, path)
			}
		}
	}
}

func TestRoutes_EveryAnswerIsHardened(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, path := range []string{"/", "/login", "/nowhere", "/healthz", "/api/v1/apps"} {
		h := w.do(t, request{method: "GET", path: path}).Header()
		policy := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'self'", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: policy %q lacks %s", path, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") || h.Get("X-Content-Type-Options") != "nosniff" ||
			h.Get("Referrer-Policy") == "" || h.Get("X-Request-Id") == "" {
			t.Errorf("%s: headers %v", path, h)
		}
	}
}

func TestRoutes_MissingPagesAreNotThere(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *server.Options) { o.Pages, o.Webhook = server.Pages{}, nil })
	for _, path := range []string{"/", "/apps/shop", "/static/app.css", "/nowhere"} {
		if got := w.do(t, request{method: "GET", path: path, token: "admin"}); got.Code != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, got.Code)
		}
	}
	if got := w.do(t, request{method: "POST", path: "/webhooks/github"}); got.Code != http.StatusServiceUnavailable {
		t.Errorf("webhook without secret: %d, want 503", got.Code)
	}
}

func TestAccessLog_NamesTheActorAndNoSecret(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.do(t, request{method: "GET", path: "/setup?token=canary", token: "admin"})
	w.do(t, request{method: "GET", path: "/api/v1/apps/shop", token: "viewer", session: "canary"})
	w.do(t, request{method: "PUT", path: "/api/v1/apps/shop/env/KEY", token: "admin", body: `{"value":"canary"}`})
	lines := strings.Split(strings.TrimSpace(w.log.String()), "\n")
	if len(lines) != 3 || strings.Contains(w.log.String(), "canary") {
		t.Fatalf("log is\n%s", w.log)
	}
	var line map[string]any
	if err := json.Unmarshal([]byte(lines[1]), &line); err != nil {
		t.Fatal(err)
	}
	if line["by"] != "token-viewer" || line["route"] != "/api/v1/apps/{app}" || line["status"] != 200.0 || line["id"] == "" {
		t.Errorf("line is %v", line)
	}
}

func TestPanic_EndsOneRequest(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *server.Options) {
		o.Pages.Login = func(http.ResponseWriter, *http.Request) { panic("canary") }
	})
	got := w.do(t, request{method: "GET", path: "/login"})
	if got.Code != http.StatusInternalServerError || strings.Contains(got.Body.String(), "canary") {
		t.Errorf("answer is %d %s", got.Code, got.Body)
	}
	if !strings.Contains(w.log.String(), "canary") {
		t.Error("the log does not tell of the panic")
	}
}
