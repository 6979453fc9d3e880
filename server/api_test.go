package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
)

func TestAPI_EveryAnswerIsAsDescribed(t *testing.T) {
	t.Parallel()
	d := newDescriber(t)
	big := `{"name":"` + strings.Repeat("x", 1<<20) + `"}`
	text := map[string]string{"Content-Type": "text/plain"}
	newApp := `{"name":"wiki","repo":"octo/wiki","branch":"main","compose":["compose.yml"],"overlay":"services: {}","routes":[{"host":"w.test","path":"/x","service":"web","port":80}],"paused":true}`
	for _, test := range []struct {
		method, path, body string
		status             int
		code, field        string
		header             map[string]string
	}{
		{method: "GET", path: "/openapi.json", status: 200},
		{method: "GET", path: "/apps", status: 200},
		{method: "GET", path: "/apps?limit=1", status: 200},
		{method: "GET", path: "/apps?limit=0", status: 422, code: "invalid", field: "limit"},
		{method: "GET", path: "/apps?after=nobody", status: 422, code: "invalid", field: "after"},
		{method: "POST", path: "/apps", body: newApp, status: 201},
		{method: "POST", path: "/apps", body: newApp, status: 409, code: "exists"},
		{method: "POST", path: "/apps", body: `{"name":"Shop!"}`, status: 422, code: "invalid"},
		{method: "POST", path: "/apps", body: `{"nickname":"shop"}`, status: 422, code: "unknown_field", field: "nickname"},
		{method: "POST", path: "/apps", body: `{"routes":[{"hots":"x"}]}`, status: 422, code: "unknown_field", field: "hots"},
		{method: "POST", path: "/apps", body: `{"paused":"yes"}`, status: 422, code: "invalid", field: "paused"},
		{method: "POST", path: "/apps", body: `{"name":`, status: 400, code: "bad_json"},
		{method: "POST", path: "/apps", body: `{} {}`, status: 400, code: "bad_json"},
		{method: "POST", path: "/apps", status: 415, code: "unsupported_media_type"},
		{method: "POST", path: "/apps", body: `{}`, header: text, status: 415, code: "unsupported_media_type"},
		{method: "POST", path: "/apps", body: `{}`, header: map[string]string{"Content-Encoding": "gzip"}, status: 415, code: "unsupported_media_type"},
		{method: "POST", path: "/apps", body: big, status: 413, code: "too_large"},
		{method: "GET", path: "/apps/shop", status: 200},
		{method: "GET", path: "/apps/nobody", status: 404, code: "not_found"},
		{method: "PATCH", path: "/apps/shop", body: `{"paused":true}`, status: 200},
		{method: "PATCH", path: "/apps/nobody", body: `{"paused":true}`, status: 404, code: "not_found"},
		{method: "PATCH", path: "/apps/shop", body: `{"branch":"-x"}`, status: 422, code: "invalid"},
		{method: "GET", path: "/apps/shop/deployments", status: 200},
		{method: "GET", path: "/apps/shop/deployments?state=live&state=stuck", status: 200},
		{method: "GET", path: "/apps/shop/deployments?state=odd", status: 422, code: "invalid", field: "state"},
		{method: "GET", path: "/apps/nobody/deployments", status: 404, code: "not_found"},
		{method: "POST", path: "/apps/shop/deployments", status: 202},
		{method: "POST", path: "/apps/shop/deployments", body: `{"commit":"c0ffee"}`, status: 202},
		{method: "POST", path: "/apps/shop/deployments", body: `{"commit":"absent"}`, status: 422, code: "no_commit"},
		{method: "POST", path: "/apps/nobody/deployments", status: 404, code: "not_found"},
		{method: "POST", path: "/apps/shop/rollback", body: `{"to":"d1"}`, status: 202},
		{method: "POST", path: "/apps/shop/rollback", body: `{"id":"d1"}`, status: 422, code: "unknown_field", field: "id"},
		{method: "GET", path: "/deployments/d1", status: 200},
		{method: "GET", path: "/deployments/d9", status: 404, code: "not_found"},
		{method: "POST", path: "/deployments/d3/cancel", status: 200},
		{method: "POST", path: "/deployments/d1/cancel", status: 409, code: "conflict"},
		{method: "POST", path: "/deployments/d2/resolve", body: `{"as":"gone"}`, status: 422, code: "invalid", field: "as"},
		{method: "POST", path: "/deployments/d2/resolve", body: `{"as":"rolled_back"}`, status: 200},
		{method: "GET", path: "/deployments/d1/log", status: 200},
		{method: "GET", path: "/deployments/d3/log", status: 200},
		{method: "GET", path: "/deployments/d1/log?offset=-1", status: 422, code: "invalid", field: "offset"},
		{method: "GET", path: "/deployments/d9/log", status: 404, code: "not_found"},
		{method: "GET", path: "/deployments/d1/log", header: map[string]string{"Accept": "text/event-stream"}, status: 200},
		{method: "GET", path: "/events", status: 200},
		{method: "GET", path: "/deliveries", status: 200},
		{method: "GET", path: "/deliveries?limit=many", status: 422, code: "invalid", field: "limit"},
		{method: "POST", path: "/deliveries/g1/replay", status: 200},
		{method: "POST", path: "/deliveries/g9/replay", status: 404, code: "not_found"},
		{method: "PUT", path: "/apps/shop/mode", body: `{"kind":"hold","wait":"20s","for":"10m"}`, status: 200},
		{method: "GET", path: "/apps/shop", status: 200},
		{method: "PUT", path: "/apps/shop/mode", body: `{"kind":"maintenance","page":"<h1>Back soon</h1>"}`, status: 200},
		{method: "PUT", path: "/apps/blog/mode", body: `{"kind":"maintenance"}`, status: 200},
		{method: "PUT", path: "/apps/shop/mode", body: `{"kind":"serve"}`, status: 200},
		{method: "PUT", path: "/apps/shop/mode", body: `{"kind":"sleep"}`, status: 422, code: "invalid", field: "kind"},
		{method: "PUT", path: "/apps/shop/mode", body: `{"kind":"hold","wait":"long"}`, status: 422, code: "invalid", field: "wait"},
		{method: "PUT", path: "/apps/shop/mode", body: `{"kind":"hold","wait":"11m"}`, status: 422, code: "invalid"},
		{method: "PUT", path: "/apps/shop/mode", body: `{"kind":"hold","for":"-1m"}`, status: 422, code: "invalid", field: "for"},
		{method: "PUT", path: "/apps/none/mode", body: `{"kind":"serve"}`, status: 404, code: "not_found"},
		{method: "PUT", path: "/apps/shop/env/KEY", body: `{"value":""}`, status: 200},
		{method: "PUT", path: "/apps/shop/env/KEY", body: `{}`, status: 422, code: "invalid", field: "value"},
		{method: "GET", path: "/apps/shop/env", status: 200},
		{method: "DELETE", path: "/apps/shop/env/KEY", status: 200},
		{method: "DELETE", path: "/apps/shop/env/NONE", status: 404, code: "not_found"},
		{method: "PUT", path: "/apps/shop/files/.env.local", body: `{"content":"eA=="}`, status: 200},
		{method: "PUT", path: "/apps/shop/files/.env.local", body: `{}`, status: 422, code: "invalid", field: "content"},
		{method: "GET", path: "/apps/shop/files", status: 200},
		{method: "DELETE", path: "/apps/shop/files/.env.local", status: 200},
		{method: "DELETE", path: "/apps/shop/files/none", status: 404, code: "not_found"},
		{method: "GET", path: "/apps/shop/services", status: 200},
		{method: "GET", path: "/apps/far/services", status: 502, code: "unreachable"},
		{method: "GET", path: "/apps/shop/services/web/log?tail=3&since=1h", status: 200},
		{method: "GET", path: "/apps/shop/services/web/log?tail=-3", status: 422, code: "invalid", field: "tail"},
		{method: "GET", path: "/apps/shop/services/web/log?since=soon", status: 422, code: "invalid", field: "since"},
		{method: "GET", path: "/apps/shop/services/web/log?replica=-1", status: 422, code: "invalid", field: "replica"},
		{method: "GET", path: "/apps/shop/services/web/log?color=red", status: 422, code: "invalid", field: "color"},
		{method: "GET", path: "/apps/shop/services/web/log?follow=on", status: 422, code: "invalid", field: "follow"},
		{method: "GET", path: "/apps/shop/plan?commit=c0ffee", status: 200},
		{method: "GET", path: "/audit", status: 200},
		{method: "POST", path: "/tokens", body: `{"name":"phone","role":"viewer"}`, status: 201},
		{method: "POST", path: "/tokens", body: `{"name":"phone","role":"viewer"}`, status: 409, code: "exists"},
		{method: "POST", path: "/tokens", body: `{"name":"phone","role":"owner"}`, status: 422, code: "invalid", field: "role"},
		{method: "POST", path: "/tokens", body: `{"name":"a b","role":"viewer"}`, status: 422, code: "invalid", field: "name"},
		{method: "GET", path: "/tokens", status: 200},
		{method: "DELETE", path: "/tokens/phone", status: 204},
		{method: "DELETE", path: "/tokens/nobody", status: 404, code: "not_found"},
		{method: "GET", path: "/doctor", status: 200},
		{method: "DELETE", path: "/apps/blog", status: 204},
		{method: "DELETE", path: "/apps/blog", status: 404, code: "not_found"},
	} {
		w := worldOf(t, d)
		q := request{method: test.method, path: "/api/v1" + test.path, token: "admin", body: test.body, header: test.header}
		name := fmt.Sprintf("%s %s %.60s", test.method, test.path, test.body)
		got := w.do(t, q)
		var problem api.Problem
		if got.Code >= 400 {
			if err := json.Unmarshal(got.Body.Bytes(), &problem); err != nil {
				t.Errorf("%s: %v in %s", name, err, got.Body)
			}
		}
		if got.Code != test.status || problem.Code != test.code || problem.Field != test.field {
			t.Errorf("%s: %d %s, want %d %s %s", name, got.Code, got.Body, test.status, test.code, test.field)
		}
		if err := d.check(q.make(t), got); err != nil {
			t.Errorf("%s: not as described: %v", name, err)
		}
		if odd := notUTC().FindString(got.Body.String()); odd != "" {
			t.Errorf("%s: %s is no time in UTC", name, odd)
		}
		for _, token := range []string{"", "viewer"} {
			q.token = token
			if refusal := w.do(t, q); refusal.Code == 401 || refusal.Code == 403 {
				if err := d.check(q.make(t), refusal); err != nil {
					t.Errorf("%s as %q: not as described: %v", name, token, err)
				}
			}
		}
	}
	for path, item := range d.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			if !d.seen[operation.OperationID] {
				t.Errorf("%s %s never answered well in this test", method, path)
			}
		}
	}
}

func notUTC() *regexp.Regexp { return regexp.MustCompile(`"(\w+_at|at)":"[^"]*[^"Z]"`) }

// worldOf is one world for all lines of a test that share a describer.
func worldOf(t *testing.T, d *describer) *world {
	t.Helper()
	if d.world == nil {
		d.world = setup(t)
		d.world.bus.deaf = true
		d.world.files.change("d3", "", true)
	}
	return d.world
}

func TestAPI_WireFormatIsTheContracts(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for path, want := range map[string]string{
		"/apps/shop": `{"id":"a1","name":"shop","repo":"octo/shop","branch":"main","compose":[],"routes":[{"host":"shop.test","service":"web","port":8000}],` +
			`"redirects":[{"host":"www.shop.test","to":"shop.test","status":301}],"paused":false,"mode":{"kind":"serve"},"allow":[],"drift":[{"service":"web","container":"shop-web","what":"is paused","fix":"docker unpause shop-web","since":"2026-03-01T11:00:00.005Z"}],"created_at":"2026-03-01T11:00:00.005Z","updated_at":"2026-03-01T11:00:00.005Z"}`,
		"/deployments/d3": `{"id":"d3","app":"shop","commit":"c0ffee","subject":"Sell tea","trigger":"push","delivery_id":"g1","state":"queued","color":"blue","attempt":1,` +
			`"created_at":"2026-03-01T11:00:00.005Z","live_at":"2026-03-01T11:00:00.005Z","ended_at":"2026-03-01T11:00:00.005Z","steps":[]}`,
		"/apps/shop/env": `{"items":[]}`,
		"/deliveries": `{"items":[{"id":"g1","event":"push","repo":"octo/shop","received_at":"2026-03-01T11:00:00.005Z","outcome":"queued","reason":"queued",` +
			`"message":"Deploys c0ffee.","deployment_id":"d1","apps":[{"app":"shop","outcome":"queued","reason":"","message":"","deployment_id":"d1"}]}]}`,
	} {
		got := strings.TrimSpace(w.do(t, request{method: "GET", path: "/api/v1" + path, token: "viewer"}).Body.String())
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", path, diff)
		}
	}
	var d api.Deployment
	body := w.do(t, request{method: "GET", path: "/api/v1/deployments/d1", token: "viewer"}).Body.Bytes()
	if err := json.Unmarshal(body, &d); err != nil {
		t.Fatal(err)
	}
	want := []api.Step{
		{Name: "fetch", State: "done", Attempt: 1, StartedAt: d.CreatedAt, MS: 1500},
		{Name: "build", State: "failed", Attempt: 1, StartedAt: d.CreatedAt, Error: "web: no Dockerfile", LogOffset: 9},
	}
	if diff := cmp.Diff(want, d.Steps); diff != "" {
		t.Errorf("steps: want (-), got (+):\n%s", diff)
	}
}

func TestAPI_PatchLeavesWhatItDoesNotName(t *testing.T) {
	t.Parallel()
	w := setup(t)
	before := w.do(t, request{method: "GET", path: "/api/v1/apps/shop", token: "admin"}).Body.String()
	back := w.do(t, request{method: "PATCH", path: "/api/v1/apps/shop", token: "admin", body: before})
	if back.Code != http.StatusOK || back.Body.String() != before {
		t.Errorf("an answer sent back gave %d %s", back.Code, back.Body)
	}
	changed := w.do(t, request{method: "PATCH", path: "/api/v1/apps/shop", token: "admin", body: `{"paused":true,"routes":[]}`}).Body.String()
	want := strings.NewReplacer(`"paused":false`, `"paused":true`, `[{"host":"shop.test","service":"web","port":8000}]`, `[]`).Replace(before)
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

func TestAPI_ListsAreWholeWhenReadInParts(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.memory.deployments = nil
	var want []string
	for i := range 450 {
		id := fmt.Sprintf("d%03d", 449-i)
		want = append(want, id)
		w.memory.deployments = append(w.memory.deployments, pipeline.Deployment{ID: id, AppID: "a1", AppName: "shop"})
	}
	for _, limit := range []string{"", "limit=7", "limit=199", "limit=200", "limit=450", "limit=1000"} {
		var got []string
		for next, parts := "", 0; ; parts++ {
			var list api.List[api.Deployment]
			body := w.do(t, request{method: "GET", path: "/api/v1/apps/shop/deployments?" + limit + "&after=" + next, token: "viewer"}).Body.Bytes()
			if err := json.Unmarshal(body, &list); err != nil {
				t.Fatal(err)
			}
			for _, d := range list.Items {
				got = append(got, d.ID)
			}
			if next = list.Next; next == "" || parts > 450 {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", limit, diff)
		}
	}
}

func TestAPI_TokenIsToldOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	made := w.do(t, request{method: "POST", path: "/api/v1/tokens", token: "admin", body: `{"name":"phone","role":"viewer"}`})
	if !strings.Contains(made.Body.String(), plainToken) {
		t.Fatalf("the token is not told: %s", made.Body)
	}
	for _, route := range w.server.Routes() {
		if route.Method == http.MethodGet && strings.HasPrefix(route.Pattern, "/api/") && !route.Stream {
			if got := w.do(t, request{method: "GET", path: concrete(route.Pattern), token: "admin"}); strings.Contains(got.Body.String(), plainToken) {
				t.Errorf("%s tells the token", route.Pattern)
			}
		}
	}
}

func TestAPI_FaultsAreLoggedAndNotTold(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.memory.broken = errors.New("disk canary")
	got := w.do(t, request{method: "GET", path: "/api/v1/apps/shop", token: "viewer"})
	if got.Code != http.StatusInternalServerError || strings.Contains(got.Body.String(), "canary") {
		t.Errorf("answer is %d %s", got.Code, got.Body)
	}
	if !strings.Contains(w.log.String(), "disk canary") {
		t.Error("the log does not tell of the fault")
	}
}

func TestAPI_ServiceLogOrders(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for query, want := range map[string]string{
		"":                       "web tail=1000 since=false",
		"?tail=5":                "web tail=5 since=false",
		"?color=green&replica=2": "web tail=1000 since=false on green, replica 2",
		"?tail=all":              "web tail=-1 since=false",
		"?since=90m":             "web tail=-1 since=true",
		"?since=2026-01-02T15:04:05Z&tail=9&follow=false": "web tail=9 since=true",
	} {
		got := w.do(t, request{method: "GET", path: "/api/v1/apps/shop/services/web/log" + query, token: "viewer"}).Body.String()
		if got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}
