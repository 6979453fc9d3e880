package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
)

// raw sends bytes to the proxy and returns the connection to read from.
func raw(t *testing.T, p *Proxy, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", p.http.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

// entryAt is the entry of an app with targets that are no backends.
func entryAt(app, host string, targets ...net.Addr) pipeline.Entry {
	e := entryOf(app, host)
	e.Deployment = app
	for _, at := range targets {
		e.Paths[0].Targets = append(e.Paths[0].Targets, netip.MustParseAddrPort(at.String()))
	}
	return e
}

func TestForward_MalformedRequestsAreNoTargetsFault(t *testing.T) {
	t.Parallel()
	p := setup(t)
	swing(t, p, entryOf("a", "a.example", newBackend(t, "d1")))
	for name, text := range map[string]string{
		"a trailer with a space": "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nTrailer: a b\r\n\r\n0\r\n\r\n",
		"an odd upgrade":         "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: \x80\r\n\r\n",
	} {
		_, answers := raw(t, p, text)
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
	s, err := p.StatsOf(t.Context(), "id-a")
	if err != nil {
		t.Fatal(err)
	}
	if c := s.Traffic[0].Total; c.ServerErrors > 0 || c.DialErrors > 0 {
		t.Errorf("held against the deployment: %+v", c)
	}
}

func TestForward_AnUpgradeToHTTP2IsNotOffered(t *testing.T) {
	t.Parallel()
	p := setup(t)
	swing(t, p, entryOf("a", "a.example", newBackend(t, "d1")))
	_, answers := raw(t, p, "GET /headers HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK || strings.Contains(string(body), "Upgrade") || strings.Contains(string(body), "Http2") {
		t.Errorf("%s %s", resp.Status, body)
	}
}

func TestForward_TrailersReachTheTarget(t *testing.T) {
	t.Parallel()
	p := setup(t)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "X-Sum-Out")
		fmt.Fprintf(w, "%s", r.Trailer.Get("X-Sum"))
		w.Header().Set("X-Sum-Out", "7")
	}))
	t.Cleanup(app.Close)
	swing(t, p, entryAt("a", "a.example", app.Listener.Addr()))
	_, answers := raw(t, p, "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 42\r\n\r\n")
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	if string(body) != "42" || resp.Trailer.Get("X-Sum-Out") != "7" {
		t.Errorf("%s %q, trailer %v", resp.Status, body, resp.Trailer)
	}
}

// tunnelEnd answers an upgrade and then echoes in capitals.
func tunnelEnd(t *testing.T) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				if _, err := http.ReadRequest(in); err != nil {
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n")
				for {
					line, err := in.ReadString('\n')
					_, _ = io.WriteString(c, strings.ToUpper(line))
					if err != nil {
						_, _ = io.WriteString(c, "bye\n") // it has heard of the end, and still answers
						return
					}
				}
			}()
		}
	}()
	return l.Addr()
}

func TestForward_WhatAVisitorSendsTooEarlyIsKept(t *testing.T) {
	t.Parallel()
	p := setup(t)
	swing(t, p, entryAt("a", "a.example", tunnelEnd(t)))
	c, answers := raw(t, p, "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\nearly\n")
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(resp.Header.Values(requestIDHeader)); resp.StatusCode != http.StatusSwitchingProtocols || n != 1 {
		t.Fatalf("%s with %d request ids", resp.Status, n)
	}
	if _, err := io.WriteString(c, "late\n"); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(answers)
	if err != nil || string(got) != "EARLY\nLATE\nbye\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestHTTP3_AGetIsSentAgainLikeAnyOther(t *testing.T) {
	t.Parallel()
	p := setup(t, withTLS)
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mute.Close() })
	go func() {
		for {
			c, err := mute.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1)) // the request has begun to come
			_ = c.Close()
		}
	}()
	live := newBackend(t, "a")
	swing(t, p, entryAt("a", "quic.example", mute.Addr(), live.Listener.Addr()))
	c := overQUIC(t, p)
	for range 6 {
		if got := get(t, c, "https://quic.example/"); got.Status != http.StatusOK || got.Body != "a" {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
	}
}
