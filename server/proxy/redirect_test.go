package proxy

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// redirecting is an app's entry without routes.
func redirecting(app string, redirects ...stack.Redirect) pipeline.Entry {
	e := entryOf(app, app+".example")
	e.Paths, e.Redirects = nil, redirects
	return e
}

func TestRedirect_KeepsPathAndQueryAndFollowsTheTable(t *testing.T) {
	t.Parallel()
	p := setup(t)
	c := visitor(t, p)
	e := entryOf("a", "redirect.example", newBackend(t, "d1"))
	e.Redirects = []stack.Redirect{
		{Host: "WWW.redirect.example.", To: "redirect.example"},
		{Host: "old.redirect.example", To: "https://new.example:8443/", Status: http.StatusMovedPermanently},
	}
	swing(t, p, e)
	port := p.http.address()[strings.LastIndexByte(p.http.address(), ':'):]
	for _, try := range []struct {
		url, to string
		status  int
	}{
		{"http://www.redirect.example/a%20b/?q=1&r=%2F", "http://redirect.example" + port + "/a%20b/?q=1&r=%2F", 308},
		{"http://WWW.redirect.example:80//evil.example/?", "http://redirect.example" + port + "//evil.example/?", 308},
		{"http://old.redirect.example", "https://new.example:8443/", 301},
	} {
		got := get(t, c, try.url)
		if got.Status != try.status || got.Header.Get("Location") != try.to {
			t.Errorf("%s: %d to %q, want %d to %q", try.url, got.Status, got.Header.Get("Location"), try.status, try.to)
		}
	}
	e.Redirects = nil
	swing(t, p, e)
	if got := get(t, c, "http://www.redirect.example/"); got.Status != http.StatusNotFound {
		t.Errorf("after the redirect was taken away: %d", got.Status)
	}
}

func TestRedirect_HasACertificateAndTakesOneStep(t *testing.T) {
	t.Parallel()
	p := setup(t, withTLS)
	e := entryOf("a", "tls-to.example", newBackend(t, "d1"))
	e.Redirects = []stack.Redirect{{Host: "www.tls-to.example", To: "tls-to.example"}}
	e.Front.HSTS = time.Hour
	swing(t, p, e)
	c := visitor(t, p)
	want := "https://tls-to.example" + p.https.portSuffix() + "/x?y"
	for url, hsts := range map[string]string{"http://www.tls-to.example/x?y": "", "https://www.tls-to.example/x?y": "max-age=3600"} {
		got := get(t, c, url)
		if got.Status != http.StatusPermanentRedirect || got.Header.Get("Location") != want || got.Header.Get(hstsHeader) != hsts {
			t.Errorf("%s: %d to %q with %v, want %q", url, got.Status, got.Header.Get("Location"), got.Header, want)
		}
	}
}

func TestRedirect_ComesBackWithTheTable(t *testing.T) {
	t.Parallel()
	p := prepared(t)
	stop := run(t, p)
	swing(t, p, redirecting("a", stack.Redirect{Host: "from.example", To: "to.example"}))
	stop()
	again := prepared(t, func(o *Options) { o.DataDir = p.o.DataDir })
	run(t, again)
	if got := get(t, visitor(t, again), "http://from.example/"); got.Status != http.StatusPermanentRedirect {
		t.Errorf("after a restart: %d", got.Status)
	}
}

func TestRedirect_IsRefusedWhereItCannotWork(t *testing.T) {
	t.Parallel()
	p := setup(t, func(o *Options) { o.ControlPlane = ControlPlane{Host: "control.example", Dial: "127.0.0.1:1"} })
	swing(t, p, entryOf("other", "taken.example", newBackend(t, "d1")))
	swing(t, p, redirecting("third", stack.Redirect{Host: "theirs.example", To: "back.example"}))
	for _, try := range []struct {
		redirects []stack.Redirect
		says      string
	}{
		{[]stack.Redirect{{Host: "a.example", To: "a.example"}}, "circle: a.example to a.example"},
		{[]stack.Redirect{{Host: "a.example", To: "http://A.example./"}}, "circle"},
		{[]stack.Redirect{{Host: "a.example", To: "b.example"}, {Host: "b.example", To: "a.example"}}, "circle"},
		{[]stack.Redirect{{Host: "back.example", To: "theirs.example"}}, "circle: back.example to theirs.example to back.example"},
		{[]stack.Redirect{{Host: "taken.example", To: "b.example"}}, "routes of app other"},
		{[]stack.Redirect{{Host: "theirs.example", To: "b.example"}}, "app third redirects this host"},
		{[]stack.Redirect{{Host: "a.example", To: "b.example"}, {Host: "a.example", To: "c.example"}}, "redirects this host"},
		{[]stack.Redirect{{Host: "control.example", To: "b.example"}}, "Swingbridge's own"},
		{[]stack.Redirect{{Host: "", To: "b.example"}}, `host ""`},
		{[]stack.Redirect{{Host: "a.example/x", To: "b.example"}}, "host"},
		{[]stack.Redirect{{Host: "a.example", To: ""}}, "write a host"},
		{[]stack.Redirect{{Host: "a.example", To: "b.example/path"}}, "write a host"},
		{[]stack.Redirect{{Host: "a.example", To: "b.example:81"}}, "write a host"},
		{[]stack.Redirect{{Host: "a.example", To: "https://b.example/path"}}, "leave out"},
		{[]stack.Redirect{{Host: "a.example", To: "https://b.example?x=1"}}, "leave out"},
		{[]stack.Redirect{{Host: "a.example", To: "https://u:p@b.example"}}, "leave out"},
		{[]stack.Redirect{{Host: "a.example", To: "ftp://b.example"}}, "must begin with"},
		{[]stack.Redirect{{Host: "a.example", To: "https://"}}, "names no host"},
		{[]stack.Redirect{{Host: "a.example", To: "b.example", Status: 303}}, "303, not 301"},
	} {
		_, err := p.Swing(t.Context(), redirecting("mine", try.redirects...), 0)
		if !errors.Is(err, pipeline.ErrInvalid) || !strings.Contains(err.Error(), try.says) {
			t.Errorf("%+v: %v, want %q", try.redirects, err, try.says)
		}
	}
	if _, err := p.Swing(t.Context(), entryOf("mine", "theirs.example"), 0); !errors.Is(err, pipeline.ErrInvalid) {
		t.Errorf("a route on another app's redirect: %v", err)
	}
	chain := redirecting("mine", stack.Redirect{Host: "1.example", To: "2.example"}, stack.Redirect{Host: "2.example", To: "https://1.example:8443"})
	if _, err := p.Swing(t.Context(), chain, 0); err != nil {
		t.Errorf("a chain that ends at another port: %v", err)
	}
}
