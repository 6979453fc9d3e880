package server_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/swingbridge/swingbridge/server/api"
)

func FuzzAPI_NoBodyIsAFault(f *testing.F) {
	for _, seed := range []string{`{}`, `{"name":"a","repo":"o/a","branch":"main"}`, `{"x":1}`, `[`, `null`, `{"routes":[{"port":1e99}]}`, "\xff", `{"value":"v"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		w := setup(t)
		for _, q := range []request{
			{method: http.MethodPost, path: "/api/v1/apps"}, {method: http.MethodPatch, path: "/api/v1/apps/shop"},
			{method: http.MethodPost, path: "/api/v1/apps/shop/deployments"}, {method: http.MethodPut, path: "/api/v1/apps/shop/env/KEY"},
			{method: http.MethodPost, path: "/api/v1/tokens"}, {method: http.MethodPost, path: "/api/v1/deployments/d2/resolve"},
		} {
			q.token, q.body = "admin", body
			got := w.do(t, q)
			if got.Code >= 500 {
				t.Errorf("%s %s: %d %s", q.method, q.path, got.Code, got.Body)
			}
			var problem api.Problem
			if got.Code >= 400 && (json.Unmarshal(got.Body.Bytes(), &problem) != nil || problem.Code == "" || problem.Status != got.Code) {
				t.Errorf("%s %s: %d without a problem: %s", q.method, q.path, got.Code, got.Body)
			}
		}
	})
}
