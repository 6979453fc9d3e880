package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// overQUIC is an HTTP/3 client to whom every host is the proxy.
func overQUIC(t *testing.T, p *Proxy) *http.Client {
	t.Helper()
	if p.quic == nil {
		t.Fatal("no UDP socket")
	}
	tr := &http3.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		Dial: func(ctx context.Context, _ string, secure *tls.Config, conf *quic.Config) (*quic.Conn, error) {
			return quic.DialAddr(ctx, p.quic.LocalAddr().String(), secure, conf)
		},
	}
	t.Cleanup(func() { _ = tr.Close() })
	return &http.Client{Transport: tr, Timeout: patience}
}

func TestHTTP3_IsAnnouncedAndServed(t *testing.T) {
	t.Parallel()
	p := setup(t, withTLS)
	e := entryOf("a", "quic.example", newBackend(t, "d1"))
	e.Front.MaxBody = 1 << 20
	swing(t, p, e)
	want := fmt.Sprintf(`h3=":%d"`, p.https.port(0))
	if got := get(t, visitor(t, p), "https://quic.example/"); !strings.Contains(got.Header.Get("Alt-Svc"), want) {
		t.Errorf("Alt-Svc %q, want %s", got.Header.Get("Alt-Svc"), want)
	}
	c := overQUIC(t, p)
	got := get(t, c, "https://quic.example/headers")
	if got.Status != http.StatusOK || !strings.Contains(got.Body, `"X-Forwarded-Proto":["https"]`) || !strings.Contains(got.Body, `"X-Forwarded-For":["127.0.0.1"]`) {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	for size, status := range map[int]int{1 << 20: http.StatusOK, 1<<20 + 1: http.StatusRequestEntityTooLarge} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://quic.example/upload", io.LimitReader(zeros{}, int64(size)))
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("an upload of %d bytes: %d, want %d", size, resp.StatusCode, status)
		}
	}
	if _, err := c.Get("https://quic-unknown.example/"); err == nil {
		t.Error("an unknown host has a certificate")
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func TestHTTP3_ACutoverCountsAndKeepsWhatIsOpen(t *testing.T) {
	t.Parallel()
	p := setup(t, withTLS)
	old := newBackend(t, "d1")
	swing(t, p, entryOf("a", "quic-cutover.example", old))
	c := overQUIC(t, p)
	held := make(chan string, 1)
	go func() {
		resp, err := c.Get("https://quic-cutover.example/held")
		if err != nil {
			held <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		held <- fmt.Sprint(string(body), err)
	}()
	<-old.got
	swing(t, p, entryOf("a", "quic-cutover.example", newBackend(t, "d2")))
	if n := inflight(t, p, "d1"); n != 1 {
		t.Errorf("%d in flight", n)
	}
	if got := get(t, c, "https://quic-cutover.example/"); got.Body != "d2" {
		t.Errorf("a new request on the same connection: %s", got.Body)
	}
	close(old.hold)
	if got := <-held; got != "d1<nil>" {
		t.Errorf("what was open: %s", got)
	}
	until(t, "drained", func() bool { return inflight(t, p, "d1") == 0 })
}

func TestHTTP3_ADrainWaitsForWhatIsOpen(t *testing.T) {
	t.Parallel()
	p := prepared(t, withTLS)
	stop := run(t, p)
	b := newBackend(t, "d1")
	swing(t, p, entryOf("a", "quic-drain.example", b))
	c := overQUIC(t, p)
	held := make(chan string, 1)
	go func() {
		resp, err := c.Get("https://quic-drain.example/held")
		if err != nil {
			held <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		held <- fmt.Sprint(string(body), err)
	}()
	<-b.got
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	until(t, "draining", p.draining.Load)
	until(t, "no more new connections", func() bool {
		conn, err := net.Dial("tcp", p.https.address())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	close(b.hold)
	if got := <-held; got != "d1<nil>" {
		t.Errorf("what was open: %s", got)
	}
	<-stopped
}

func TestHTTP3_ThePortCanBeHadByWhoTakesOver(t *testing.T) {
	t.Parallel()
	p := setup(t, withTLS)
	heir := &Proxy{o: p.o, log: p.log, https: p.https}
	heir.listenQUIC(t.Context())
	if heir.quic == nil {
		t.Fatal("the port is taken while the first process has it")
	}
	heir.stopQUIC()
}

func TestHTTP3_CanBeSwitchedOffAndDoneWithout(t *testing.T) {
	t.Parallel()
	off := setup(t, withTLS, func(o *Options) { o.NoHTTP3 = true })
	// Something else has the port.
	taken := setup(t, withTLS, func(o *Options) {
		o.Logger = nil
		for o.HTTPS == "127.0.0.1:0" {
			c, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			if l, err := net.Listen("tcp", c.LocalAddr().String()); err == nil {
				_ = l.Close()
				o.HTTPS = c.LocalAddr().String()
			}
		}
	})
	for host, p := range map[string]*Proxy{"quic-off.example": off, "quic-taken.example": taken} {
		swing(t, p, entryOf("a", host, newBackend(t, "d1")))
		got := get(t, visitor(t, p), "https://"+host+"/")
		if got.Body != "d1" || got.Header.Get("Alt-Svc") != "" {
			t.Errorf("%s: %s with Alt-Svc %q", host, got.Body, got.Header.Get("Alt-Svc"))
		}
	}
}
