package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

const (
	uploadSize = 64 << 10
	eventPause = 100 * time.Millisecond
	eventEnd   = "data: end\n\n"
	eventCount = 5 // of a short stream

	// patience is far longer than any answer here may take: who waits for so
	// long counts as lost.
	patience = 30 * time.Second
)

// errStale is a connection that was kept open and closed by the other side
// before the first byte of an answer. Browsers repeat a GET then; a POST is
// lost.
var errStale = errors.New("a kept connection was closed before the answer began")

// visitor is one connection at a time that hides nothing: no retry, no second
// connection.
type visitor struct {
	address, host string
	slowness      time.Duration // of a slow request

	conn net.Conn
	in   *bufio.Reader
	kept bool // it has carried a request before
}

// answer is what a visitor got.
type answer struct {
	release  string
	received time.Time // when the release had the request, zero if it did not say
}

// ask sends a whole request and reads a whole answer, which must be as good
// says.
func (v *visitor) ask(ctx context.Context, request string, good func(body string) bool) (a answer, err error) {
	defer func() {
		if err != nil {
			v.close()
		}
	}()
	if err := v.dial(ctx); err != nil {
		return a, err
	}
	if _, err := io.WriteString(v.conn, request); err != nil {
		return a, v.lost(err)
	}
	if _, err := v.in.Peek(1); err != nil {
		return a, v.lost(err)
	}
	resp, err := http.ReadResponse(v.in, nil)
	if err != nil {
		return a, fmt.Errorf("read the answer's head: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // read to its end
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return a, fmt.Errorf("read the answer's body: %w", err)
	}
	if resp.StatusCode != http.StatusOK || !good(string(body)) {
		return a, fmt.Errorf("answered %s with %.60q", resp.Status, body)
	}
	if v.kept = true; resp.Close {
		v.close()
	}
	return readAnswer(resp.Header), nil
}

func readAnswer(h http.Header) answer {
	a := answer{release: h.Get(releaseHeader)}
	if ns, err := strconv.ParseInt(h.Get(receivedHeader), 10, 64); err == nil {
		a.received = time.Unix(0, ns)
	}
	return a
}

func (v *visitor) dial(ctx context.Context) (err error) {
	if v.conn == nil {
		dialer := net.Dialer{Timeout: patience}
		if v.conn, err = dialer.DialContext(ctx, "tcp", v.address); err != nil {
			return err
		}
		v.in, v.kept = bufio.NewReader(v.conn), false
	}
	return v.conn.SetDeadline(time.Now().Add(patience))
}

// lost tells a stale connection from a failure.
func (v *visitor) lost(err error) error {
	var late net.Error
	if v.kept && !(errors.As(err, &late) && late.Timeout()) {
		return fmt.Errorf("%w: %w", errStale, err)
	}
	return fmt.Errorf("before the answer began: %w", err)
}

func (v *visitor) close() {
	if v.conn != nil {
		_ = v.conn.Close() // nothing is lost with it
		v.conn = nil
	}
}

func isRelease(body string) bool  { return body != "" }
func isLength(body string) bool   { return body == strconv.Itoa(uploadSize) }
func isFinished(body string) bool { return strings.HasSuffix(body, eventEnd) }

func (v *visitor) get(path string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: " + v.host + "\r\n\r\n"
}

func (v *visitor) keepAlive(ctx context.Context) (answer, error) {
	return v.ask(ctx, v.get("/"), isRelease)
}

func (v *visitor) fresh(ctx context.Context) (answer, error) {
	defer v.close()
	return v.ask(ctx, v.get("/"), isRelease)
}

func (v *visitor) slow(ctx context.Context) (answer, error) {
	defer v.close()
	return v.ask(ctx, v.get("/slow?lasts="+v.slowness.String()), isRelease)
}

func (v *visitor) upload(ctx context.Context) (answer, error) {
	head := fmt.Sprintf("POST /upload HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", v.host, uploadSize)
	return v.ask(ctx, head+strings.Repeat("x", uploadSize), isLength)
}

func (v *visitor) events(ctx context.Context) (answer, error) {
	defer v.close()
	return v.ask(ctx, v.get("/events?count="+strconv.Itoa(eventCount)), isFinished)
}

// socket opens a WebSocket, has an answer and closes it.
func (v *visitor) socket(ctx context.Context) (answer, error) {
	conn, a, err := v.openSocket(ctx)
	if err != nil {
		return a, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := echo(ctx, conn, a.release); err != nil {
		return a, errors.Join(err, conn.CloseNow())
	}
	return a, conn.Close(websocket.StatusNormalClosure, "")
}

// openSocket opens a WebSocket on a connection of its own: on such a one,
// net/http repeats nothing.
func (v *visitor) openSocket(ctx context.Context) (*websocket.Conn, answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", v.address)
	}}
	o := &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}}
	conn, resp, err := websocket.Dial(ctx, "ws://"+v.host+"/socket", o) //nolint:bodyclose // it is the connection's
	if err != nil {
		return nil, answer{}, err
	}
	return conn, readAnswer(resp.Header), nil
}

func echo(ctx context.Context, conn *websocket.Conn, release string) error {
	if err := conn.Write(ctx, websocket.MessageText, []byte("hi")); err != nil {
		return err
	}
	_, text, err := conn.Read(ctx)
	if err == nil && string(text) != release+" hi" {
		err = fmt.Errorf("the WebSocket of %s said %q", release, text)
	}
	return err
}
