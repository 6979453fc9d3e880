package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Health is what the proxy says of itself.
type Health struct {
	Public
	Ready bool   `json:"ready"` // visitors are served
	Apps  int    `json:"apps"`
	Seq   uint64 `json:"seq"` // of the last table change
	PID   int    `json:"pid"`
}

// Control is the control API. Whoever can call it decides what visitors reach,
// so it is served on a unix socket that only its owner may open.
func (p *Proxy) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/health", p.getHealth)
	mux.HandleFunc("GET /v1/table", p.getTable)
	mux.HandleFunc("PUT /v1/table", p.putTable)
	mux.HandleFunc("GET /v1/apps/{id}", p.getApp)
	mux.HandleFunc("PUT /v1/apps/{id}", p.putApp)
	mux.HandleFunc("DELETE /v1/apps/{id}", p.deleteApp)
	mux.HandleFunc("GET /v1/inflight/{deployment}", p.getInflight)
	mux.HandleFunc("GET /v1/stats", p.getStats)
	mux.HandleFunc("POST /v1/proof", p.postProof)
	p.planeRoutes(mux)
	mux.HandleFunc("POST "+takeOverPath, p.postTakeOver)
	return p.patient(mux)
}

// ServeControl serves the control API on a unix socket of mode 0600 until ctx
// ends or another process has taken over. A socket that a killed proxy left
// behind is replaced, as is that of one that is taken over; the lock of the
// data folder has ruled out any other.
func (p *Proxy) ServeControl(ctx context.Context, socket string) error {
	select {
	case <-p.hands.charge:
	case <-ctx.Done():
		return nil
	}
	if err := CheckSocket(socket); err != nil {
		return err
	}
	l, err := listenUnix(socket)
	if err != nil {
		return fmt.Errorf("listen on the control socket: %w", err)
	}
	server := &http.Server{Handler: p.Control(), ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan error, 1)
	go func() {
		select {
		case <-ctx.Done():
			p.lastTurn()
		case <-p.hands.quiet:
		}
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		stopped <- server.Shutdown(bounded)
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the control API: %w", err)
	}
	err = <-stopped
	if !p.wasTaken() { // else the socket is the other process's
		err = errors.Join(err, os.Remove(socket))
	}
	return err
}

// maxFolder is the longest folder that a control socket can be in, in bytes: the
// system bounds the address of a socket, the zero at its end included (sun_path,
// unix(7)), and the socket is made under the name /.sNNNNNNNNNN/s there.
const maxFolder = len(syscall.RawSockaddrUnix{}.Path) - 1 - len("/.s4294967295/s")

// CheckSocket says whether a control socket can have that path: the system's own
// words for one that is too long are "invalid argument", and they come late.
func CheckSocket(socket string) error {
	folder, limit := filepath.Dir(socket), len(syscall.RawSockaddrUnix{}.Path)
	switch {
	case len(folder) > maxFolder:
		return fmt.Errorf("the control socket %s: its folder's path has %d bytes, and at most %d are possible, for the system takes %d for a socket's address (unix(7))",
			socket, len(folder), maxFolder, limit)
	case len(socket) >= limit:
		return fmt.Errorf("the control socket %s: its path has %d bytes, and at most %d are possible, for the system takes %d for a socket's address (unix(7))",
			socket, len(socket), limit-1, limit)
	}
	return nil
}

// listenUnix makes the socket in a folder that nobody else can enter and moves
// it to its place when its mode is set, so that there is no moment at which
// others could connect.
func listenUnix(socket string) (net.Listener, error) {
	folder, err := os.MkdirTemp(filepath.Dir(socket), ".s")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	made := filepath.Join(folder, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // it would remove the name it was made under
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, socket)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (p *Proxy) getHealth(w http.ResponseWriter, _ *http.Request) {
	t := p.table.Load()
	h := Health{Apps: len(t.apps), Seq: t.seq, PID: os.Getpid()}
	select {
	case <-p.started:
		h.Ready = !p.draining.Load()
		h.Public = Public{HTTP: p.http.address(), HTTPS: p.https.address()}
	default:
	}
	answer(w, h, nil)
}

func (p *Proxy) getApp(w http.ResponseWriter, r *http.Request) {
	e, err := p.Entry(r.Context(), r.PathValue("id"))
	if err == nil {
		w.Header().Set("ETag", etag(e.Version))
	}
	answer(w, e, err)
}

func (p *Proxy) putApp(w http.ResponseWriter, r *http.Request) {
	var e pipeline.Entry
	if err := decode(w, r, &e); err != nil {
		answer(w, nil, err)
		return
	}
	was, err := mustMatch(r)
	if err == nil && e.AppID != r.PathValue("id") {
		err = fmt.Errorf("%w entry: it is of app %s", pipeline.ErrInvalid, e.AppID)
	}
	if err != nil {
		answer(w, nil, err)
		return
	}
	done, err := p.Swing(r.Context(), e, was)
	if err != nil {
		answer(w, nil, err)
		return
	}
	now, err := p.Entry(r.Context(), e.AppID)
	w.Header().Set("ETag", etag(done.Version))
	answer(w, swung{done, now}, err)
}

// swung says how a change went, and what the table holds now.
type swung struct {
	pipeline.Swung
	Entry pipeline.Entry `json:"entry"`
}

func (p *Proxy) deleteApp(w http.ResponseWriter, r *http.Request) {
	was, err := ifMatch(r)
	if err == nil {
		err = p.drop(r.Context(), r.PathValue("id"), was)
	}
	answer(w, struct{}{}, err)
}

// open is an answer about requests in flight.
type open struct {
	Inflight int `json:"inflight"`
}

func (p *Proxy) getInflight(w http.ResponseWriter, r *http.Request) {
	n, err := p.Inflight(r.Context(), r.PathValue("deployment"))
	answer(w, open{n}, err)
}

func (p *Proxy) getStats(w http.ResponseWriter, r *http.Request) {
	s, err := p.StatsOf(r.Context(), r.URL.Query().Get("app"))
	answer(w, s, err)
}

// minted is a new token.
type minted struct {
	Token string `json:"token"`
}

func (p *Proxy) postProof(w http.ResponseWriter, r *http.Request) {
	token, err := p.mintProof(r.Context())
	answer(w, minted{token}, err)
}

// problem is an error on the wire (RFC 9457).
type problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// answer sends the value, or the error.
func answer(w http.ResponseWriter, value any, err error) {
	status, kind := http.StatusOK, "application/json"
	if err != nil {
		p := problemOf(err)
		status, kind, value = p.Status, "application/problem+json", p
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // a caller who left
}

func problemOf(err error) problem {
	p := problem{http.StatusInternalServerError, "internal", err.Error()}
	switch {
	case errors.Is(err, pipeline.ErrConflict):
		p.Status, p.Code = http.StatusPreconditionFailed, "conflict"
	case errors.Is(err, pipeline.ErrNotFound):
		p.Status, p.Code = http.StatusNotFound, "not_found"
	case errors.Is(err, pipeline.ErrInvalid):
		p.Status, p.Code = http.StatusUnprocessableEntity, "invalid"
	case errors.Is(err, pipeline.ErrUnreachable):
		p.Status, p.Code = http.StatusServiceUnavailable, "unreachable"
	}
	return p
}

// mustMatch is ifMatch where a version has to be named.
func mustMatch(r *http.Request) (uint64, error) {
	was, err := ifMatch(r)
	if err == nil && was == nil {
		err = fmt.Errorf("%w request: If-Match must name the version that is replaced, \"0\" for none", pipeline.ErrInvalid)
	}
	if err != nil {
		return 0, err
	}
	return *was, nil
}

// ifMatch reads the version that the caller expects, nil if none is named.
func ifMatch(r *http.Request) (*uint64, error) {
	text := r.Header.Get("If-Match")
	if text == "" {
		return nil, nil
	}
	v, err := strconv.ParseUint(strings.Trim(text, `"`), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%w If-Match %s: %w", pipeline.ErrInvalid, text, err)
	}
	return &v, nil
}
