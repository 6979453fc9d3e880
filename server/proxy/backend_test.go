package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// backend is one deployment's container.
type backend struct {
	*httptest.Server
	name string
	addr netip.AddrPort
	mux  *http.ServeMux
	hold chan struct{} // closed: /held answers
	got  chan string   // a line for each request to /held that arrived
}

func newBackend(t testing.TB, name string) *backend {
	t.Helper()
	b := &backend{name: name, hold: make(chan struct{}), got: make(chan string, 100)}
	mux := http.NewServeMux()
	b.mux = mux
	mux.HandleFunc("/", b.hello)
	mux.HandleFunc("/headers", b.headers)
	mux.HandleFunc("/status/{code}", b.status)
	mux.HandleFunc("/held", b.held)
	mux.HandleFunc("/upload", b.upload)
	mux.HandleFunc("/events", b.events)
	mux.HandleFunc("/ticks", b.ticks)
	mux.HandleFunc("/slow", b.slow)
	mux.HandleFunc("/ws", b.ws)
	b.Server = httptest.NewServer(mux)
	t.Cleanup(b.Close)
	b.addr = netip.MustParseAddrPort(b.Listener.Addr().String())
	return b
}

// die ends the backend and keeps its port, bound and not listening: nobody
// else gets it, and who dials it is refused.
func (b *backend) die(t testing.TB) {
	t.Helper()
	b.Close()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: int(b.addr.Port()), Addr: b.addr.Addr().As4()}); err != nil {
		t.Fatalf("keep port %d: %v", b.addr.Port(), err)
	}
}

// answer has the backend answer further paths.
func (b *backend) answer(path string, h http.HandlerFunc) { b.mux.HandleFunc(path, h) }

func (b *backend) hello(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Release", b.name)
	fmt.Fprint(w, b.name)
}

func (b *backend) headers(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Swingbridge-Deployment", "forged by the app")
	w.Header().Set("swingbridge-anything", "forged by the app")
	_ = json.NewEncoder(w).Encode(r.Header)
}

func (b *backend) status(w http.ResponseWriter, r *http.Request) {
	var code int
	_, _ = fmt.Sscan(r.PathValue("code"), &code)
	w.WriteHeader(code)
}

func (b *backend) held(w http.ResponseWriter, r *http.Request) {
	b.got <- r.Method
	select {
	case <-b.hold:
	case <-r.Context().Done():
	}
	fmt.Fprint(w, b.name)
}

// upload reads all of the body before it answers with its length.
func (b *backend) upload(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("X-Release", b.name)
	fmt.Fprint(w, n)
}

// events sends one event at once, another for each value of hold's end.
func (b *backend) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(w, "data: %s\n\n", b.name)
	_ = http.NewResponseController(w).Flush()
	select {
	case <-b.hold:
		fmt.Fprint(w, "data: end\n\n")
	case <-r.Context().Done():
	}
}

// ticks sends events without end.
func (b *backend) ticks(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := io.WriteString(w, "data: tick\n\n"); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// slow takes longer to answer than a process does to stop accepting.
func (b *backend) slow(w http.ResponseWriter, r *http.Request) {
	timer := time.NewTimer(300 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
	b.hello(w, r)
}

// ws echoes, with its name before each message.
func (b *backend) ws(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	for {
		_, msg, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if err := c.Write(r.Context(), websocket.MessageText, append([]byte(b.name+" "), msg...)); err != nil {
			return
		}
	}
}
