package proxy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

func TestPreview_ShowsTheOtherColorToThoseWhoMaySeeIt(t *testing.T) {
	t.Parallel()
	p := setup(t)
	live, idle := newBackend(t, "blue"), newBackend(t, "green")
	sum := sha256.Sum256([]byte("open sesame"))
	e := entryOf("a", "a.example", live)
	e.Preview = &pipeline.Preview{
		Deployment: "green", Color: pipeline.Green, Host: "green.example", Token: hex.EncodeToString(sum[:]),
		Paths: entryOf("a", "a.example", idle).Paths,
	}
	swing(t, p, e)
	c := visitor(t, p)
	for why, want := range map[string]struct {
		url, token, body string
	}{
		"the app's host":                  {"http://a.example/", "", "blue"},
		"the app's host with the token":   {"http://a.example/", "open sesame", "green"},
		"the app's host with a wrong one": {"http://a.example/", "open barley", "blue"},
		"the preview's host":              {"http://green.example/", "", "green"},
	} {
		got := get(t, c, want.url, previewHeader, want.token)
		if got.Body != want.body {
			t.Errorf("%s: %d %s", why, got.Status, got.Body)
		}
		if shown := got.Header.Get("X-Robots-Tag") == "noindex"; shown != (want.body == "green") {
			t.Errorf("%s: X-Robots-Tag is %q", why, got.Header.Get("X-Robots-Tag"))
		}
	}
	if !p.serves("green.example") {
		t.Error("the preview's host would get no certificate")
	}
}

// mirror is a target that answers with what it was asked.
func mirror(t *testing.T) netip.AddrPort {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "host=%s forwarded=%s preview=%q", r.Host, r.Header.Get("X-Forwarded-Host"), r.Header.Get(previewHeader))
	}))
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

func TestPreview_AppSeesItsOwnHostAndNoToken(t *testing.T) {
	t.Parallel()
	p := setup(t)
	sum := sha256.Sum256([]byte("secret"))
	e := entryOf("a", "a.example", newBackend(t, "blue"))
	shown := entryOf("a", "a.example").Paths
	shown[0].Targets = []netip.AddrPort{mirror(t)}
	e.Preview = &pipeline.Preview{Deployment: "green", Host: "green.example", Token: hex.EncodeToString(sum[:]), Paths: shown}
	swing(t, p, e)
	c := visitor(t, p)
	for url, want := range map[string]string{
		"http://green.example/": `host=a.example forwarded=green.example preview=""`,
		"http://a.example/":     `host=a.example forwarded=a.example preview=""`,
	} {
		if got := get(t, c, url, previewHeader, "secret"); got.Body != want {
			t.Errorf("%s: %s, want %s", url, got.Body, want)
		}
	}
	if got := get(t, c, "http://a.example/", previewHeader, "secret"); !strings.Contains(got.Header.Get("Cache-Control"), "no-store") {
		t.Errorf("a cache may give it to visitors: %v", got.Header)
	}
}

func TestPreview_RoutesByThePathsOfItsOwnRelease(t *testing.T) {
	t.Parallel()
	p := setup(t)
	web, api := newBackend(t, "web"), newBackend(t, "api")
	e := entryOf("a", "a.example", newBackend(t, "blue"))
	shown := entryOf("a", "a.example", web).Paths
	shown = append(shown, pipeline.Path{Host: "a.example", Prefix: "/api", Targets: []netip.AddrPort{api.addr}})
	e.Preview = &pipeline.Preview{Deployment: "green", Host: "green.example", Paths: shown}
	swing(t, p, e)
	c := visitor(t, p)
	for url, want := range map[string]string{"http://green.example/x": "web", "http://green.example/api/x": "api", "http://a.example/api": "blue"} {
		if got := get(t, c, url); got.Body != want {
			t.Errorf("%s: %d %s, want %s", url, got.Status, got.Body, want)
		}
	}
}

func TestPreview_CountsAsItsOwnDeployment(t *testing.T) {
	t.Parallel()
	p := setup(t)
	green := newBackend(t, "green")
	e := entryOf("a", "a.example", newBackend(t, "blue"))
	e.Preview = &pipeline.Preview{Deployment: "green", Host: "green.example", Paths: entryOf("a", "a.example", green).Paths}
	swing(t, p, e)
	answer := make(chan answerOf, 1)
	go func() { answer <- get(t, visitor(t, p), "http://green.example/held") }()
	<-green.got
	if blue, n := inflight(t, p, "blue"), inflight(t, p, "green"); blue != 0 || n != 1 {
		t.Errorf("in flight: %d on what visitors see, %d on the preview", blue, n)
	}
	e.Preview = nil
	swing(t, p, e)
	if n := inflight(t, p, "green"); n != 1 {
		t.Errorf("%d in flight after the preview was taken away", n)
	}
	if got := get(t, visitor(t, p), "http://green.example/"); got.Status != http.StatusNotFound {
		t.Errorf("a new request: %d %s", got.Status, got.Body)
	}
	close(green.hold)
	if got := <-answer; got.Body != "green" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if err := p.Lose(t.Context(), "id-a", green.addr.Addr()); err != nil {
		t.Fatal(err)
	}
}

func TestPreview_RefusesAHostThatIsTaken(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := newBackend(t, "d1")
	swing(t, p, entryOf("other", "other.example", b))
	moved := entryOf("moved", "moved.example", b)
	moved.Redirects = []stack.Redirect{{Host: "www.moved.example", To: "moved.example"}}
	swing(t, p, moved)
	preview := func(change func(*pipeline.Preview)) pipeline.Entry {
		e := entryOf("a", "a.example", b)
		e.Preview = &pipeline.Preview{Deployment: "green", Host: "green.example", Paths: e.Paths}
		change(e.Preview)
		return e
	}
	for why, e := range map[string]pipeline.Entry{
		"another app's host": preview(func(x *pipeline.Preview) { x.Host = "Other.example" }),
		"the app's own host": preview(func(x *pipeline.Preview) { x.Host = "a.example" }),
		"a redirected host":  preview(func(x *pipeline.Preview) { x.Host = "www.moved.example" }),
		"a token in clear":   preview(func(x *pipeline.Preview) { x.Token = "open sesame" }),
		"no deployment":      preview(func(x *pipeline.Preview) { x.Deployment = "" }),
	} {
		if _, err := p.Swing(t.Context(), e, 0); !errors.Is(err, pipeline.ErrInvalid) {
			t.Errorf("%s: %v", why, err)
		}
	}
	swing(t, p, preview(func(*pipeline.Preview) {}))
	if _, err := p.Swing(t.Context(), entryOf("thief", "green.example", b), 0); !errors.Is(err, pipeline.ErrInvalid) {
		t.Errorf("a route on the preview's host: %v", err)
	}
}
