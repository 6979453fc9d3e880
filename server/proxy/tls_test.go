package proxy

import (
	"context"
	"crypto/tls"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// Certificates are cached per process, so each test has hosts of its own.

func TestTLS_HostAddedLaterIsServedAndAnUnknownOneGetsNoCertificate(t *testing.T) {
	t.Parallel()
	p := setup(t, withTLS)
	swing(t, p, entryOf("a", "tls-added.example", newBackend(t, "d1")))
	c := visitor(t, p)
	got := get(t, c, "https://tls-added.example/headers")
	if got.Status != http.StatusOK || !strings.Contains(got.Body, `"X-Forwarded-Proto":["https"]`) {
		t.Errorf("known host: %d %s", got.Status, got.Body)
	}
	var h2 []string
	for host, known := range map[string]bool{"tls-added.example": true, "tls-unknown.example": false} {
		d := tls.Dialer{Config: &tls.Config{ServerName: host, InsecureSkipVerify: true, NextProtos: []string{"h2"}}}
		conn, err := d.DialContext(t.Context(), "tcp", p.https.address())
		if known != (err == nil) {
			t.Errorf("handshake with %s: %v", host, err)
		}
		if err == nil {
			h2 = append(h2, conn.(*tls.Conn).ConnectionState().NegotiatedProtocol)
			_ = conn.Close()
		}
	}
	if len(h2) != 1 || h2[0] != "h2" {
		t.Errorf("protocol %v, want h2", h2)
	}
	if files := keptFor(t, p, "tls-unknown.example"); len(files) > 0 {
		t.Errorf("an unknown host left %v", files)
	}
	if files := keptFor(t, p, "tls-added.example"); len(files) == 0 {
		t.Error("the certificate is not in the data folder")
	}
}

// keptFor lists what is kept for a host, and checks that only we can read keys.
func keptFor(t *testing.T, p *Proxy, host string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(p.path(""), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && strings.HasSuffix(path, ".key") && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		if strings.Contains(path, host) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestTLS_PlainRequestsAreSentToHTTPSForKnownHosts(t *testing.T) {
	t.Parallel()
	p := setup(t, withTLS)
	swing(t, p, entryOf("a", "tls-redirect.example", newBackend(t, "d1")))
	c := visitor(t, p)
	got := get(t, c, "http://tls-redirect.example/x%20y?z=1")
	want := "https://tls-redirect.example" + p.https.portSuffix() + "/x%20y?z=1"
	if got.Status != http.StatusPermanentRedirect || got.Header.Get("Location") != want {
		t.Errorf("%d to %q, want %q", got.Status, got.Header.Get("Location"), want)
	}
	if got := get(t, c, "http://tls-nobody.example/"); got.Status != http.StatusNotFound {
		t.Errorf("unknown host: %d", got.Status)
	}
}

func TestTLS_WebSocketStaysOpenOverASwap(t *testing.T) {
	t.Parallel()
	p := setup(t, withTLS)
	swing(t, p, entryOf("a", "tls-socket.example", newBackend(t, "d1")))
	conn, _, err := websocket.Dial(t.Context(), "wss://tls-socket.example/ws", &websocket.DialOptions{HTTPClient: visitor(t, p)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	swing(t, p, entryOf("a", "tls-socket.example", newBackend(t, "d2")))
	if got, err := echo(t.Context(), conn, "hi"); err != nil || got != "d1 hi" {
		t.Errorf("%q, %v", got, err)
	}
	if n := inflight(t, p, "d1"); n != 1 {
		t.Errorf("%d in flight with an open WebSocket", n)
	}
	if got := get(t, visitor(t, p), "https://tls-socket.example/"); got.Body != "d2" {
		t.Errorf("a new request: %s", got.Body)
	}
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	until(t, "drained", func() bool { return inflight(t, p, "d1") == 0 })
}

func TestTLS_ControlPlaneHasItsOwnHost(t *testing.T) {
	t.Parallel()
	own := newBackend(t, "control plane")
	p := setup(t, withTLS, func(o *Options) {
		o.ControlPlane = ControlPlane{Host: "tls-control.example", Dial: own.addr.String()}
	})
	if got := get(t, visitor(t, p), "https://tls-control.example/any/path"); got.Body != "control plane" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if _, err := p.Swing(context.Background(), entryOf("a", "tls-control.example", own), 0); err == nil {
		t.Error("an app took the control plane's host")
	}
}
