package server_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/server/api"
)

// describer holds answers against the description.
type describer struct {
	doc    *openapi3.T
	router routers.Router
	seen   map[string]bool // operation ids that answered well
	world  *world          // see worldOf
}

func newDescriber(t *testing.T) *describer {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.Description())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Clients must live with further fields; we must describe what we send.
	no := false
	for _, schema := range doc.Components.Schemas {
		if schema.Value.Type.Is("object") {
			schema.Value.AdditionalProperties = openapi3.AdditionalProperties{Has: &no}
		}
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &describer{doc: doc, router: router, seen: map[string]bool{}}
}

// check returns what is wrong with the answer.
func (d *describer) check(r *http.Request, got *httptest.ResponseRecorder) error {
	route, params, err := d.router.FindRoute(r)
	if err != nil {
		return err
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 got.Code,
		Header:                 got.Header(),
		Body:                   io.NopCloser(bytes.NewReader(got.Body.Bytes())),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	if strings.HasPrefix(got.Header().Get("Content-Type"), "text/event-stream") {
		in.Options.ExcludeResponseBody = true // text, held against the log in stream_test.go
	}
	if got.Code < 300 {
		d.seen[route.Operation.OperationID] = true
	}
	return openapi3filter.ValidateResponse(r.Context(), in)
}

func TestDescription_NamesEveryRouteAndNoOther(t *testing.T) {
	t.Parallel()
	d := newDescriber(t)
	var table, described []string
	for _, route := range setup(t).server.Routes() {
		if strings.HasPrefix(route.Pattern, "/api/") {
			table = append(table, route.Method+" "+route.Pattern+" "+string(route.Permission))
		}
	}
	role := regexp.MustCompile(`Needs the role (\w+)\.$`)
	for path, item := range d.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			needs := role.FindStringSubmatch(operation.Description)
			if needs == nil {
				t.Fatalf("%s %s: the description names no role", method, path)
			}
			described = append(described, method+" "+path+" "+needs[1])
		}
	}
	sort.Strings(table)
	sort.Strings(described)
	if diff := cmp.Diff(table, described); diff != "" {
		t.Errorf("table (-) and description (+) differ:\n%s", diff)
	}
}

func TestDescription_NoticesWhatIsNotInIt(t *testing.T) {
	t.Parallel()
	d := newDescriber(t)
	r := request{method: "GET", path: "/api/v1/apps/shop"}.make(t)
	whole := `{"id":"a","name":"shop","repo":"o/s","branch":"main","compose":[],"routes":[],"redirects":[],"paused":false,"mode":{"kind":"serve"},"allow":[],"drift":[]`
	for name, test := range map[string]struct {
		status int
		kind   string
		body   string
		ok     bool
	}{
		"whole":           {200, "application/json", whole + `}`, true},
		"a further field": {200, "application/json", whole + `,"secret":1}`, false},
		"a missing field": {200, "application/json", `{"id":"a"}`, false},
		"a wrong type":    {200, "application/json", strings.Replace(whole, "false", `"no"`, 1) + `}`, false},
		"another status":  {418, "application/json", `{}`, false},
		"another kind":    {200, "text/plain", whole + `}`, false},
		"an unknown code": {404, "application/problem+json", `{"type":"","title":"","status":404,"code":"gone","detail":""}`, false},
	} {
		got := httptest.NewRecorder()
		got.Header().Set("Content-Type", test.kind)
		got.WriteHeader(test.status)
		_, _ = got.WriteString(test.body)
		if err := d.check(r, got); (err == nil) != test.ok {
			t.Errorf("%s: %v, want ok %v", name, err, test.ok)
		}
	}
}
