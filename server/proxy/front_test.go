package proxy

import (
	"bufio"
	"compress/gzip"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

func TestHSTS_IsThereOverTLSUnlessTheAppSaysOtherwise(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "d1")
	b.answer("/own", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("strict-transport-security", "max-age=1") })
	p := setup(t, withTLS)
	p.o.Internal = false // Caddy has begun: its certificates stay, the table takes them for public ones
	c := visitor(t, p)
	e := entryOf("a", "hsts.example", b)
	swing(t, p, e)
	header := func(url string) string { t.Helper(); return strings.Join(get(t, c, url).Header[hstsHeader], "|") }
	if got := header("https://hsts.example/"); got != "max-age=31536000" {
		t.Errorf("by default %q", got)
	}
	if got := header("http://hsts.example/"); got != "" {
		t.Errorf("over plain HTTP %q", got)
	}
	if got := header("https://hsts.example/own"); got != "max-age=1" {
		t.Errorf("where the app sets it %q", got)
	}
	e.Front.HSTS = 90 * time.Second
	swing(t, p, e)
	if got := header("https://hsts.example/"); got != "max-age=90" {
		t.Errorf("with a length %q", got)
	}
	e.Front.NoHSTS = true
	swing(t, p, e)
	if got := header("https://hsts.example/"); got != "" {
		t.Errorf("switched off %q", got)
	}
	p.o.Internal, e.Front.HSTS, e.Front.NoHSTS = true, 0, false
	swing(t, p, e)
	if got := header("https://hsts.example/"); got != "" {
		t.Errorf("with an authority of our own %q", got)
	}
}

func TestHSTS_IsThereForTheControlPlaneToo(t *testing.T) {
	t.Parallel()
	for internal, want := range map[bool]string{false: "max-age=31536000", true: ""} {
		p := prepared(t, func(o *Options) {
			o.Internal, o.ControlPlane = internal, ControlPlane{Host: "control.example", Dial: "127.0.0.1:1"}
		})
		if got := p.control.entry.hsts; got != want {
			t.Errorf("internal %t: %q", internal, got)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestRequestID_IsSharedByAppAndAnswer(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "d1")
	b.answer("/id", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "the app's own")
		_, _ = io.WriteString(w, strings.Join(r.Header["X-Request-Id"], "|"))
	})
	p := setup(t)
	swing(t, p, entryOf("a", "id.example", b))
	c := visitor(t, p)
	for _, given := range []string{"", "abc_DEF-123", strings.Repeat("x", 64), strings.Repeat("x", 65), "a b", "a\"b", "ä"} {
		got := get(t, c, "http://id.example/id", "X-Request-Id", given)
		answered := strings.Join(got.Header["X-Request-Id"], "|")
		if got.Body != answered || !saneID(answered) {
			t.Errorf("given %q: the app has %q, the answer %q", given, got.Body, answered)
		}
		if kept := answered == given; kept != saneID(given) {
			t.Errorf("given %q: answered %q", given, answered)
		}
	}
	if got := get(t, c, "http://nobody.example/"); !saneID(got.Header.Get("X-Request-Id")) {
		t.Errorf("a refusal has no id: %v", got.Header)
	}
	if got := get(t, c, "http://id.example/"); got.Header["Server"] != nil {
		t.Errorf("the answer names the server: %v", got.Header)
	}
}

func TestProxy_BelievesATrustedProxyThatSpeaksTLS(t *testing.T) {
	t.Parallel()
	for _, trusted := range []bool{false, true} {
		p := setup(t, withTLS, func(o *Options) {
			if trusted {
				o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
			}
		})
		e := entryOf("a", "terminated.example", newBackend(t, "d1"))
		e.Front.HSTS = time.Hour
		swing(t, p, e)
		got := get(t, visitor(t, p), "http://terminated.example/", "X-Forwarded-Proto", "https")
		if served := got.Status == http.StatusOK && got.Header.Get(hstsHeader) != ""; served != trusted {
			t.Errorf("trusted %t: %d %v", trusted, got.Status, got.Header)
		}
	}
}

func TestCompression_IsOnForTextAndKeepsVariantsApart(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "d1")
	text := strings.Repeat("swing ", 1000)
	b.answer("/text", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("ETag", `"v1"`)
		if r.Header.Get("If-None-Match") == `"v1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
	})
	kinds := map[string]func(h http.Header) (body string){
		"/small": func(h http.Header) string { h.Set("Content-Type", "text/plain"); return "small" },
		"/image": func(h http.Header) string { h.Set("Content-Type", "image/png"); return text },
		"/packed": func(h http.Header) string {
			h.Set("Content-Encoding", "br")
			h.Set("Content-Type", "text/plain")
			return text
		},
		"/as-it-is": func(h http.Header) string { h.Set("Cache-Control", "no-transform"); return text },
	}
	for path, kind := range kinds {
		b.answer(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, kind(w.Header())) })
	}
	p := setup(t)
	c := visitor(t, p)
	e := entryOf("a", "compress.example", b)
	swing(t, p, e)
	for accepted, want := range map[string]string{"gzip": "gzip", "gzip, zstd": "zstd", "br": "", "identity": "", "gzip;q=0": ""} {
		got := get(t, c, "http://compress.example/text", "Accept-Encoding", accepted)
		if have := got.Header.Get("Content-Encoding"); have != want || unpacked(t, got) != strings.TrimSpace(text) {
			t.Errorf("%s: encoding %q, want %q", accepted, have, want)
		}
		if got.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: Vary %q", accepted, got.Header.Get("Vary"))
		}
	}
	packed := get(t, c, "http://compress.example/text", "Accept-Encoding", "gzip")
	if tag := packed.Header.Get("ETag"); tag == `"v1"` {
		t.Error("both variants have one ETag")
	} else if got := get(t, c, "http://compress.example/text", "Accept-Encoding", "gzip", "If-None-Match", tag); got.Status != http.StatusNotModified {
		t.Errorf("the compressed variant's ETag is not known again: %d", got.Status)
	}
	part := get(t, c, "http://compress.example/text", "Accept-Encoding", "gzip", "Range", "bytes=0-4")
	if part.Status != http.StatusPartialContent || part.Body != "swing" || part.Header.Get("Content-Encoding") != "" {
		t.Errorf("a range: %d %q %v", part.Status, part.Body, part.Header)
	}
	for path := range kinds {
		if got := get(t, c, "http://compress.example"+path, "Accept-Encoding", "gzip"); got.Header.Get("Content-Encoding") == "gzip" {
			t.Errorf("%s is compressed", path)
		}
	}
	e.Front.NoCompression = true
	swing(t, p, e)
	if got := get(t, c, "http://compress.example/text", "Accept-Encoding", "gzip"); got.Header.Get("Content-Encoding") != "" {
		t.Error("compressed though the app wants none")
	}
}

// unpacked is an answer's body as it was before it was compressed.
func unpacked(t *testing.T, a answerOf) string {
	t.Helper()
	var r io.Reader = strings.NewReader(a.Raw)
	switch a.Header.Get("Content-Encoding") {
	case "gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		r = z
	case "zstd":
		z, err := zstd.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		r = z
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func TestCompression_LetsStreamsPassAtOnce(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "d1")
	next := make(chan struct{})
	b.answer("/stream", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		for i := range 3 {
			_, _ = io.WriteString(w, strings.Repeat(string(rune('a'+i)), 1000)+"\n")
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})
	p := setup(t)
	swing(t, p, entryOf("a", "stream.example", b))
	c := visitor(t, p)
	for path, want := range map[string]string{"/stream": "gzip", "/events": ""} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://stream.example"+path, nil)
		req.Header.Set("Accept-Encoding", "gzip")
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if have := resp.Header.Get("Content-Encoding"); have != want {
			t.Errorf("%s: encoding %q, want %q", path, have, want)
		}
		if want == "" {
			_ = resp.Body.Close()
			continue
		}
		z, err := gzip.NewReader(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(z)
		for range 3 { // the next is sent only when this one was read
			if line, err := lines.ReadString('\n'); err != nil || len(line) != 1001 {
				t.Fatalf("a flushed line: %d bytes, %v", len(line), err)
			}
			next <- struct{}{}
		}
		_ = resp.Body.Close()
	}
}
