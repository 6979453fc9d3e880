package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func dial(ctx context.Context, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(patience))
}

// exchange makes one request by hand: net/http's client would hide that a
// connection was closed under it.
func exchange(c net.Conn, in *bufio.Reader) (string, error) {
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: app.example\r\n\r\n"); err != nil {
		return "", err
	}
	return readRelease(in)
}

func readRelease(in *bufio.Reader) (string, error) {
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", resp.Status)
	}
	return resp.Header.Get("X-Release"), err
}

func freshConnection(ctx context.Context, address string) (string, error) {
	c, err := dial(ctx, address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return exchange(c, bufio.NewReader(c))
}

// keptConnection returns a request that always uses the same connection.
func keptConnection(t *testing.T, address string) func(context.Context) (string, error) {
	c, err := dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	in := bufio.NewReader(c)
	return func(context.Context) (string, error) {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			return "", err
		}
		return exchange(c, in)
	}
}

// slowPost sends its body in pieces.
func slowPost(ctx context.Context, address string) (string, error) {
	c, err := dial(ctx, address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	const pieces, size = 10, 1000
	if _, err := fmt.Fprintf(c, "POST /upload HTTP/1.1\r\nHost: app.example\r\nContent-Length: %d\r\n\r\n", pieces*size); err != nil {
		return "", err
	}
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for range pieces {
		<-tick.C
		if _, err := c.Write(bytes.Repeat([]byte{'x'}, size)); err != nil {
			return "", err
		}
	}
	return readRelease(bufio.NewReader(c))
}

// shortStream stays on an event stream for a few swaps.
func shortStream(ctx context.Context, address string, w *watch) (string, error) {
	c, err := dial(ctx, address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /events HTTP/1.1\r\nHost: app.example\r\n\r\n"); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return "", err
	}
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	from, tick := w.done.Load(), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for w.done.Load() < from+3 && ctx.Err() == nil {
		<-tick.C
	}
	return strings.TrimPrefix(strings.TrimSpace(line), "data: "), err
}

// shortSocket opens a WebSocket, has an answer and closes it.
func shortSocket(ctx context.Context, c *http.Client) (string, error) {
	c.Timeout = 0
	conn, _, err := websocket.Dial(ctx, "ws://app.example/ws", &websocket.DialOptions{HTTPClient: c})
	if err != nil {
		return "", err
	}
	got, err := echo(ctx, conn, "hi")
	release, _, _ := strings.Cut(got, " ")
	return release, errors.Join(err, conn.Close(websocket.StatusNormalClosure, ""))
}
