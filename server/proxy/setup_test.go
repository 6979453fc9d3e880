package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/swingbridge/swingbridge/pipeline"
)

// childFolder, where set, makes the test binary a proxy of that data folder.
const childFolder = "SWINGBRIDGE_TEST_PROXY"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		child(dir)
		return
	}
	goleak.VerifyTestMain(m,
		// These are started once per process and never end.
		goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"),
		// A handshake that waits for an authority that is not there goes on
		// after its connection and its server are closed, for three minutes.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*Config).getCertDuringHandshake"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
	)
}

// patience bounds waits that end early when all is well.
const patience = 20 * time.Second

func setup(t testing.TB, change ...func(*Options)) *Proxy {
	t.Helper()
	o := Options{HTTP: "127.0.0.1:0", DataDir: t.TempDir(), Logger: testLog(t), Grace: 5 * time.Second}
	for _, f := range change {
		f(&o)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	run(t, p)
	return p
}

// run serves until the test ends, or until the returned function is called.
func run(t testing.TB, p *Proxy) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	select {
	case <-p.Started():
	case err := <-done:
		cancel()
		t.Fatalf("run: %v", err)
	}
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func withTLS(o *Options) { o.HTTPS, o.Internal = "127.0.0.1:0", true }

// testLog shows warnings where the test fails.
func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSpace(b))
	return len(b), nil
}

// entryOf is app's entry with all of host at the backends.
func entryOf(app, host string, to ...*backend) pipeline.Entry {
	e := pipeline.Entry{
		AppID: "id-" + app, App: app, Deployment: "none", Commit: "c0ffee", Color: pipeline.Blue,
		Paths: []pipeline.Path{{Host: host, Prefix: "/"}},
	}
	for _, b := range to {
		e.Deployment = b.name
		e.Paths[0].Targets = append(e.Paths[0].Targets, b.addr)
	}
	return e
}

func swing(t testing.TB, p pipeline.Proxy, e pipeline.Entry) pipeline.Swung {
	t.Helper()
	was, _ := p.Entry(t.Context(), e.AppID)
	s, err := p.Swing(t.Context(), e, was.Version)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// visitor is an HTTP client to whom every host is the proxy.
func visitor(t testing.TB, p *Proxy) *http.Client {
	tr := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, p.http.address())
		},
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			host, _, _ := net.SplitHostPort(addr)
			d := tls.Dialer{Config: &tls.Config{ServerName: host, InsecureSkipVerify: true}}
			return d.DialContext(ctx, network, p.https.address())
		},
		MaxIdleConnsPerHost: 100,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{
		Transport: tr, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// answerOf is what a test looks at.
type answerOf struct {
	Status int
	Body   string // without space around it
	Raw    string
	Header http.Header
}

func get(t testing.TB, c *http.Client, url string, header ...string) answerOf {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answerOf{resp.StatusCode, strings.TrimSpace(string(body)), string(body), resp.Header}
}

// until waits for a condition that the code under test brings about.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func inflight(t testing.TB, p pipeline.Proxy, deployment string) int {
	t.Helper()
	n, err := p.Inflight(context.Background(), deployment)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func dialWS(t testing.TB, c *http.Client, host string) *websocket.Conn {
	t.Helper()
	u := url.URL{Scheme: "ws", Host: host, Path: "/ws"}
	transport := *c // websocket wants no timeout
	transport.Timeout = 0
	conn, _, err := websocket.Dial(t.Context(), u.String(), &websocket.DialOptions{HTTPClient: &transport})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

func echo(ctx context.Context, c *websocket.Conn, text string) (string, error) {
	if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		return "", err
	}
	_, msg, err := c.Read(ctx)
	return string(msg), err
}

// socketPath is short enough for a unix socket, which t.TempDir often is not.
func socketPath(t testing.TB) string {
	dir, err := os.MkdirTemp("", "sb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "c.sock")
}

// serveControl serves the proxy's control API and returns a client of it.
func serveControl(t testing.TB, p *Proxy) (*Client, string) {
	socket := socketPath(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.ServeControl(ctx, socket) }()
	c := NewClient("unix:" + socket)
	t.Cleanup(func() {
		c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("control: %v", err)
		}
	})
	until(t, "control socket", func() bool {
		_, err := c.Health(t.Context())
		return err == nil
	})
	return c, socket
}
