package pipeline_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

func TestApp_RedirectsLeadElsewhere(t *testing.T) {
	t.Parallel()
	app := pipelinetest.New().Ledger().App()
	app.Routes = []pipeline.Route{{Host: "example.org", Service: "web", Port: 80}}
	for text, want := range map[string]string{
		"www.example.org=example.org":                                    "",
		"www.example.org=example.org,301":                                "",
		"old.example.org=https://example.org":                            "",
		"old.example.org=http://192.0.2.7:8080/":                         "",
		"a.example.org=b.example.org b.example.org=c.example":            "", // a chain ends
		"WWW.example.org=example.org":                                    "lower-case",
		"www.example.org=Example.org":                                    "lower-case",
		"www.example.org=ftp://example.org":                              "http://",
		"www.example.org=example.org/shop":                               "http://",
		"www.example.org=https://example.org/shop":                       "path and query",
		"www.example.org=https://example.org?a=b":                        "path and query",
		"www.example.org=https://ada@example.org":                        "path and query",
		"www.example.org=example.org,200":                                "status 200",
		"example.org=www.example.org":                                    "a route of this app",
		"www.example.org=example.org www.example.org=x.org":              "twice",
		"www.example.org=https://www.example.org":                        "circles",
		"www.example.org=https://www.example.org:8443":                   "circles",
		"a.example.org=b.example.org b.example.org=http://a.example.org": "circles",
	} {
		a := app
		for one := range strings.FieldsSeq(text) {
			r, err := pipeline.ParseRedirect(one)
			if err != nil {
				t.Fatal(err)
			}
			a.Redirects = append(a.Redirects, r)
		}
		err := a.Validate()
		if want == "" && err != nil || want != "" && (!errors.Is(err, pipeline.ErrInvalid) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestNotation_SaysWhatItReads(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"shop.example.org=web:8000", "shop.example.org/api/v1=api:80"} {
		if r, err := pipeline.ParseRoute(text); err != nil || r.Notation() != text {
			t.Errorf("%s: read as %s, %v", text, r.Notation(), err)
		}
	}
	for _, text := range []string{"www.example.org=example.org", "www.example.org=https://example.org:8443,301"} {
		if r, err := pipeline.ParseRedirect(text); err != nil || pipeline.RedirectNotation(r) != text {
			t.Errorf("%s: read as %s, %v", text, pipeline.RedirectNotation(r), err)
		}
	}
	for _, text := range []string{"", "www.example.org", "=example.org", "www.example.org=", "www.example.org=example.org,", "www.example.org=example.org,moved"} {
		if r, err := pipeline.ParseRedirect(text); !errors.Is(err, pipeline.ErrInvalid) {
			t.Errorf("redirect %q: read as %v, %v", text, r, err)
		}
	}
	for _, text := range []string{"", "shop.example.org", "shop.example.org=web", "shop.example.org=web:http"} {
		if r, err := pipeline.ParseRoute(text); !errors.Is(err, pipeline.ErrInvalid) {
			t.Errorf("route %q: read as %v, %v", text, r, err)
		}
	}
}

// Redirects belong to a release, as routes do.
func TestRun_RedirectsComeWithADeploymentAndGoBackWithItsRelease(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		ledger, runner := edit(w)
		want := []stack.Redirect{{Host: "www.example.org", To: "shop.example.org", Status: 301}}
		ledger.app.Redirects = want
		if err := runner.Reconcile(t.Context(), ledger.Current); err != nil {
			t.Fatal(err)
		}
		if got := entryOf(t, w).Redirects; len(got) > 0 {
			t.Errorf("before a deployment the proxy has %v", got)
		}
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		if err := runner.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, d.ID, pipeline.Live)
		if diff := cmp.Diff(want, entryOf(t, w).Redirects); diff != "" {
			t.Errorf("after it: %s", diff)
		}
		back := w.Ledger().QueueRollback(old)
		if err := runner.Run(t.Context(), back.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, back.ID, pipeline.Live)
		if got := entryOf(t, w).Redirects; len(got) > 0 {
			t.Errorf("after the rollback the proxy has %v", got)
		}
	})
}
