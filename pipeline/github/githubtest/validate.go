// Package githubtest checks that what is said to a GitHub, and what it answers,
// is what GitHub's own API description allows.
package githubtest

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

//go:embed testdata/openapi.json
var description []byte

// TB is the part of testing.TB that Validate needs.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
}

// load reads the description once for all tests of a process.
//
//nolint:gochecknoglobals // written once, by sync.OnceValues
var load = sync.OnceValues(func() (*openapi3.T, error) { return openapi3.NewLoader().LoadFromData(description) })

// Validate returns a handler that passes everything on to h and fails the test
// for each request that GitHub's description does not allow, unknown fields of
// a body included, and for each answer with a described status whose body is
// not as described.
func Validate(t TB, h http.Handler) http.Handler {
	t.Helper()
	doc, err := load()
	if err != nil {
		t.Errorf("read GitHub's API description: %v", err)
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("%s %s: read the body: %v", r.Method, r.URL, err)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		input, err := checkRequest(doc, r, body)
		if err != nil {
			t.Errorf("request %s %s is not as GitHub describes it: %v\n%s", r.Method, r.URL, err, body)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		kept := &recorder{header: http.Header{}, status: http.StatusOK}
		h.ServeHTTP(kept, r)
		if input != nil && kept.answered {
			if err := checkAnswer(r, input, kept); err != nil {
				t.Errorf("answer %d to %s %s is not as GitHub describes it: %v\n%s", kept.status, r.Method, r.URL, err, kept.body.Bytes())
			}
		}
		kept.replay(w)
	})
}

// checkRequest checks a request; its result is needed to check the answer, and
// nil where the description has no such call.
func checkRequest(doc *openapi3.T, r *http.Request, body []byte) (*openapi3filter.RequestValidationInput, error) {
	route, params, err := find(doc, r)
	if err != nil {
		return nil, err
	}
	input := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true, MultiError: true,
		},
	}
	return input, errors.Join(openapi3filter.ValidateRequest(r.Context(), input), unknownFields(route.Operation, body))
}

func checkAnswer(r *http.Request, input *openapi3filter.RequestValidationInput, kept *recorder) error {
	answer := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: kept.status, Header: kept.header, Options: input.Options,
	}
	return openapi3filter.ValidateResponse(r.Context(), answer.SetBodyBytes(kept.body.Bytes()))
}

// find matches the request's escaped path with the description's. The literal
// path wins over one with a parameter.
func find(doc *openapi3.T, r *http.Request) (*routers.Route, map[string]string, error) {
	paths := doc.Paths.Map()
	for _, template := range slices.SortedFunc(maps.Keys(paths), fewestParams) {
		item := paths[template]
		operation := item.GetOperation(r.Method)
		if operation == nil {
			continue
		}
		if params, ok := match(template, r.URL.EscapedPath()); ok {
			return &routers.Route{
				Spec: doc, Server: &openapi3.Server{URL: "/"}, Path: template, PathItem: item, Method: r.Method, Operation: operation,
			}, params, nil
		}
	}
	return nil, nil, fmt.Errorf("there is no such call: %s %s", r.Method, r.URL.Path)
}

func fewestParams(a, b string) int {
	if n := strings.Count(a, "{") - strings.Count(b, "{"); n != 0 {
		return n
	}
	return strings.Compare(a, b)
}

// match compares segment by segment. A parameter at the end takes the rest of
// a Git reference, which has slashes of its own.
func match(template, path string) (map[string]string, bool) {
	want, have := strings.Split(template, "/"), strings.Split(path, "/")
	if strings.HasSuffix(template, "/git/ref/{ref}") && len(have) > len(want) {
		have = append(have[:len(want)-1:len(want)-1], strings.Join(have[len(want)-1:], "/"))
	}
	if len(want) != len(have) {
		return nil, false
	}
	params := map[string]string{}
	for i, segment := range want {
		value, err := url.PathUnescape(have[i])
		if err != nil {
			return nil, false
		}
		name, isParam := strings.CutPrefix(segment, "{")
		switch {
		case isParam && value != "":
			params[strings.TrimSuffix(name, "}")] = value
		case isParam || segment != value:
			return nil, false
		}
	}
	return params, true
}

// unknownFields finds fields of a body that the description does not name. The
// description allows them; GitHub ignores them, so each is a mistake of ours.
func unknownFields(operation *openapi3.Operation, body []byte) error {
	if operation.RequestBody == nil || len(body) == 0 {
		return nil
	}
	media := operation.RequestBody.Value.Content.Get("application/json")
	if media == nil {
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return fmt.Errorf("read the body's fields: %w", err)
	}
	for name := range fields {
		if _, known := media.Schema.Value.Properties[name]; !known {
			return fmt.Errorf("field %q is unknown", name)
		}
	}
	return nil
}

// recorder keeps an answer until it was checked.
type recorder struct {
	header   http.Header
	status   int
	body     bytes.Buffer
	answered bool
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if !r.answered {
		r.status, r.answered = status, true
	}
}

func (r *recorder) Write(p []byte) (int, error) {
	r.answered = true
	return r.body.Write(p)
}

func (r *recorder) replay(w http.ResponseWriter) {
	if !r.answered {
		return
	}
	maps.Copy(w.Header(), r.header)
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body.Bytes()) // the caller may be gone
}
