package proxy

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
)

func TestProxy_ListensAtOnceWithoutRoutes(t *testing.T) {
	t.Parallel()
	p := setup(t)
	got := get(t, visitor(t, p), "http://nobody.example/")
	if got.Status != http.StatusNotFound || !strings.Contains(got.Body, "nobody.example") {
		t.Errorf("got %d %q, want a 404 that names the host", got.Status, got.Body)
	}
	if kind := got.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/plain") {
		t.Errorf("content type %q without Accept: text/html", kind)
	}
	page := get(t, visitor(t, p), "http://nobody.example/", "Accept", "text/html,*/*")
	if !strings.Contains(page.Body, "<h1>") {
		t.Errorf("a browser gets no page: %s", page.Body)
	}
}

func TestProxy_ChoosesByHostAndLongestPrefix(t *testing.T) {
	t.Parallel()
	p := setup(t)
	c := visitor(t, p)
	root, api, v2, other := newBackend(t, "root"), newBackend(t, "api"), newBackend(t, "v2"), newBackend(t, "other")
	e := entryOf("one", "one.example", root)
	swing(t, p, e)
	f := entryOf("two", "one.example", api)
	f.Paths[0].Prefix = "/api"
	f.Paths = append(f.Paths, pipeline.Path{Host: "One.Example.", Prefix: "/api/v2/", Targets: entryOf("", "", v2).Paths[0].Targets})
	swing(t, p, f)
	swing(t, p, entryOf("three", "other.example", other))
	for url, want := range map[string]string{
		"http://one.example/":            "root",
		"http://ONE.example:80/apiary":   "root",
		"http://one.example./api":        "api",
		"http://one.example/api/users":   "api",
		"http://one.example/api/v2":      "api",
		"http://one.example/api/v2/x":    "v2",
		"http://one.example/%61pi/users": "api",
		"http://other.example/api":       "other",
	} {
		if got := get(t, c, url); got.Body != want {
			t.Errorf("%s: %d %q, want %s", url, got.Status, got.Body, want)
		}
	}
	if err := p.Drop(t.Context(), e.AppID); err != nil {
		t.Fatal(err)
	}
	if got := get(t, c, "http://one.example/"); got.Status != http.StatusNotFound {
		t.Errorf("dropped app's path: %d", got.Status)
	}
	if got := get(t, c, "http://one.example/api"); got.Body != "api" {
		t.Errorf("the other app of the host: %d %q", got.Status, got.Body)
	}
}

func TestProxy_SaysWhyThereIsNoAnswer(t *testing.T) {
	t.Parallel()
	p := setup(t)
	c := visitor(t, p)
	gone := newBackend(t, "gone")
	gone.die(t)
	swing(t, p, entryOf("a", "a.example"))
	swing(t, p, entryOf("b", "b.example", gone))
	if got := get(t, c, "http://a.example/"); got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
		t.Errorf("known host without target: %d %v", got.Status, got.Header)
	}
	if got := get(t, c, "http://b.example/"); got.Status != http.StatusBadGateway {
		t.Errorf("target that is gone: %d %q", got.Status, got.Body)
	}
	s, err := p.StatsOf(t.Context(), "id-b")
	if err != nil {
		t.Fatal(err)
	}
	want := Counts{Requests: 1, ServerErrors: 1, DialErrors: 1}
	if diff := cmp.Diff(want, s.Traffic[0].Total); diff != "" {
		t.Error(diff)
	}
}

func TestProxy_ForwardsHeadersOfItsOwnOnly(t *testing.T) {
	t.Parallel()
	p := setup(t)
	swing(t, p, entryOf("a", "a.example", newBackend(t, "d1")))
	got := get(t, visitor(t, p), "http://a.example/headers",
		"Swingbridge-Proof", "forged", "Swingbridge-Deployment", "forged", "swingbridge-x", "forged",
		"X-Forwarded-For", "6.6.6.6", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "evil.example",
		"X-Forwarded-Port", "1", "X-Real-IP", "6.6.6.6", "Forwarded", "for=6.6.6.6", "X-Other", "stays")
	var seen http.Header
	if err := json.Unmarshal([]byte(got.Body), &seen); err != nil {
		t.Fatal(err)
	}
	for name := range seen {
		switch {
		case strings.HasPrefix(name, "X-Forwarded-"), name == "X-Other":
		default:
			delete(seen, name)
		}
	}
	want := http.Header{
		"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"a.example"}, "X-Other": {"stays"},
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("what the app sees: %s", diff)
	}
	for name := range got.Header {
		if strings.HasPrefix(name, internalPrefix) {
			t.Errorf("the app's %s reached the visitor: %v", name, got.Header[name])
		}
	}
}

func TestProxy_BelievesForwardingHeadersOfTrustedProxies(t *testing.T) {
	t.Parallel()
	p := setup(t, func(o *Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	swing(t, p, entryOf("a", "a.example", newBackend(t, "d1")))
	got := get(t, visitor(t, p), "http://a.example/headers",
		"X-Forwarded-For", "6.6.6.6", "X-Forwarded-Proto", "https", "Swingbridge-X", "forged")
	for _, want := range []string{`"X-Forwarded-For":["6.6.6.6, 127.0.0.1"]`, `"X-Forwarded-Proto":["https"]`} {
		if !strings.Contains(got.Body, want) {
			t.Errorf("%s is not in %s", want, got.Body)
		}
	}
	if strings.Contains(got.Body, "forged") {
		t.Errorf("an internal header passed: %s", got.Body)
	}
}
