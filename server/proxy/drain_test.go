package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func TestRun_LetsWhatIsInFlightEnd(t *testing.T) {
	t.Parallel()
	p := prepared(t)
	stop := run(t, p)
	b := newBackend(t, "d1")
	swing(t, p, entryOf("a", "a.example", b))
	c := visitor(t, p)
	got := make(chan error, 1)
	go func() {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://a.example/held", nil)
		resp, err := c.Do(req)
		if err == nil {
			var body []byte
			body, err = io.ReadAll(resp.Body)
			err = errors.Join(err, resp.Body.Close())
			if err == nil && string(body) != "d1" {
				err = errors.New("answered " + string(body))
			}
		}
		got <- err
	}()
	<-b.got
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	until(t, "the listener is closed", func() bool {
		conn, err := net.Dial("tcp", p.http.address())
		if err == nil {
			_ = conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	select {
	case <-stopped:
		t.Error("stopped with a request in flight")
	default:
	}
	close(b.hold)
	if err := <-got; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
	<-stopped
	opened(t, p.o.DataDir) // the folder is free
}

func prepared(t *testing.T, change ...func(*Options)) *Proxy {
	t.Helper()
	o := Options{HTTP: "127.0.0.1:0", DataDir: t.TempDir(), Logger: testLog(t), Grace: patience}
	for _, f := range change {
		f(&o)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRun_ClosesStreamsAtTheEndOfTheDrain(t *testing.T) {
	t.Parallel()
	p := prepared(t, func(o *Options) { o.Grace, o.Logger = 300*time.Millisecond, nil })
	stop := run(t, p)
	swing(t, p, entryOf("a", "a.example", newBackend(t, "d1")))
	conn := dialWS(t, visitor(t, p), "a.example")
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	_, _, err := conn.Read(t.Context())
	var closed websocket.CloseError
	if !errors.As(err, &closed) || closed.Code != websocket.StatusGoingAway {
		t.Errorf("the WebSocket ended without a word: %v", err)
	}
	<-stopped
	if n := p.conns.count(); n != 0 {
		t.Errorf("%d connections open", n)
	}
}

func TestRun_EndsEventStreamsWithoutCuttingThem(t *testing.T) {
	t.Parallel()
	p := prepared(t, func(o *Options) { o.Grace, o.Logger = 2*time.Second, nil })
	stop := run(t, p)
	swing(t, p, entryOf("a", "a.example", newBackend(t, "d1")))
	ended := make(chan error, 1)
	begun := make(chan struct{}, 10)
	c := visitor(t, p)
	go func() {
		ended <- eventsOf(t, c, "http://a.example/events", func(string) { begun <- struct{}{} })
	}()
	<-begun
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the stream was cut: %v", err)
	}
}

func TestRun_SaysThatThePortIsTaken(t *testing.T) {
	t.Parallel()
	one := setup(t)
	two, err := New(Options{HTTP: one.http.address(), DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := two.Run(context.Background()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second proxy on a port: %v", err)
	}
}

func TestRun_LeavesNothingOutsideTheDataFolder(t *testing.T) {
	home := t.TempDir()
	for _, name := range []string{"HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"} {
		t.Setenv(name, home)
	}
	p := prepared(t, withTLS)
	stop := run(t, p)
	swing(t, p, entryOf("a", "home.example", newBackend(t, "d1")))
	if got := get(t, visitor(t, p), "https://home.example/"); got.Body != "d1" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	stop()
	if left, err := os.ReadDir(home); err != nil || len(left) > 0 {
		t.Errorf("left in the home folder: %v %v", left, err)
	}
}
