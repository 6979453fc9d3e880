package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// lifeline is a WebSocket and an event stream that stay open over a take-over.
type lifeline struct {
	ws     *websocket.Conn
	events io.ReadCloser
}

func openLifeline(t *testing.T, address string) *lifeline {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), "ws://"+address+"/ws", &websocket.DialOptions{Host: "app.example"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.CloseNow() })
	c, err := dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, "GET /ticks HTTP/1.1\r\nHost: app.example\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return &lifeline{ws, &lastClose{bufio.NewReader(resp.Body), c}}
}

// lastClose reads events and closes the connection below them.
type lastClose struct {
	*bufio.Reader
	io.Closer
}

func (l *lifeline) alive(t *testing.T, w *watch) {
	t.Helper()
	if got, err := echo(t.Context(), l.ws, "hi"); err != nil || got != releaseOf(0)+" hi" {
		w.fail("WebSocket open since before a take-over: %q (%v)", got, err)
	}
	// Two events: the first may have been sent before.
	for range 4 {
		if line, err := l.events.(*lastClose).ReadString('\n'); err != nil || line != "data: tick\n" && line != "\n" {
			w.fail("event stream open since before a take-over: %q (%v)", line, err)
		}
	}
}

func (l *lifeline) end(t *testing.T) {
	if err := errors.Join(l.ws.Close(websocket.StatusNormalClosure, ""), l.events.Close()); err != nil {
		t.Errorf("close streams: %v", err)
	}
}

// politeConnection returns a request that uses the same connection until it is
// told that it closes. One that closes without a word is a failure.
func politeConnection(t *testing.T, address string) func(context.Context) (string, error) {
	var mu sync.Mutex
	var c io.ReadWriteCloser
	t.Cleanup(func() {
		if c != nil {
			_ = c.Close()
		}
	})
	var in *bufio.Reader
	return func(ctx context.Context) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if c == nil {
			fresh, err := dial(ctx, address)
			if err != nil {
				return "", err
			}
			c, in = fresh, bufio.NewReader(fresh)
		}
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: app.example\r\n\r\n"); err != nil {
			return "", err
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err == nil && resp.StatusCode != http.StatusOK {
			err = errors.New(resp.Status)
		}
		if resp.Close {
			err = errors.Join(err, c.Close())
			c = nil
		}
		return resp.Header.Get("X-Release"), err
	}
}

func slowGet(ctx context.Context, address string) (string, error) {
	c, err := dial(ctx, address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /slow HTTP/1.1\r\nHost: app.example\r\n\r\n"); err != nil {
		return "", err
	}
	return readRelease(bufio.NewReader(c))
}

func bigPost(ctx context.Context, address string) (string, error) {
	c, err := dial(ctx, address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	const size = 64 << 10
	head := fmt.Sprintf("POST /upload HTTP/1.1\r\nHost: app.example\r\nContent-Length: %d\r\n\r\n", size)
	if _, err := c.Write(append([]byte(head), make([]byte, size)...)); err != nil {
		return "", err
	}
	return readRelease(bufio.NewReader(c))
}
