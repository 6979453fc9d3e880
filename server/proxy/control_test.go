package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/swingbridge/swingbridge/pipeline"
)

func TestControl_ChangesTheTableOverTheSocket(t *testing.T) {
	t.Parallel()
	p := setup(t)
	c, socket := serveControl(t, p)
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", info.Mode(), err)
	}
	d1 := newBackend(t, "d1")
	e := entryOf("a", "a.example", d1)
	swung, err := c.Swing(t.Context(), e, 0)
	if err != nil {
		t.Fatal(err)
	}
	e.Version = swung.Version
	got, err := c.Entry(t.Context(), e.AppID)
	if diff := cmp.Diff(e, got, cmpopts.EquateComparable(d1.addr)); err != nil || diff != "" {
		t.Errorf("entry: %v %s", err, diff)
	}
	all, err := c.Entries(t.Context())
	if diff := cmp.Diff([]pipeline.Entry{e}, all, cmpopts.EquateComparable(d1.addr)); err != nil || diff != "" {
		t.Errorf("table: %v %s", err, diff)
	}
	if got := get(t, visitor(t, p), "http://a.example/"); got.Body != "d1" {
		t.Errorf("visitor gets %s", got.Body)
	}
	s, err := c.Stats(t.Context())
	if err != nil || len(s.Traffic) != 1 || s.Traffic[0].Total.Requests != 1 || len(s.Traffic[0].Recent) != 1 || !s.Traffic[0].Current {
		t.Errorf("stats: %+v %v", s, err)
	}
	if err := c.Drop(t.Context(), e.AppID); err != nil {
		t.Error(err)
	}
	if err := c.Drop(t.Context(), e.AppID); err != nil {
		t.Errorf("gone is well: %v", err)
	}
	if _, err := c.Entry(t.Context(), e.AppID); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("after the drop: %v", err)
	}
	h, err := c.Health(t.Context())
	if err != nil || !h.Ready || h.HTTP != p.http.address() || h.HTTPS != "" || h.PID != os.Getpid() {
		t.Errorf("health: %+v %v", h, err)
	}
}

func TestControl_RefusesWhatIsNotBasedOnTheNewestVersion(t *testing.T) {
	t.Parallel()
	p := setup(t)
	c, _ := serveControl(t, p)
	e := entryOf("a", "a.example", newBackend(t, "d1"))
	first := swing(t, p, e)
	second := swing(t, p, e)
	if second.Version <= first.Version {
		t.Errorf("versions %d, %d", first.Version, second.Version)
	}
	for who, proxy := range map[string]pipeline.Proxy{"in process": p, "over the socket": c} {
		for _, was := range []uint64{0, first.Version, second.Version + 1} {
			if _, err := proxy.Swing(t.Context(), e, was); !errors.Is(err, pipeline.ErrConflict) {
				t.Errorf("%s, version %d: %v", who, was, err)
			}
		}
	}
	if err := p.drop(t.Context(), e.AppID, &first.Version); !errors.Is(err, pipeline.ErrConflict) {
		t.Errorf("drop of an old version: %v", err)
	}
	if err := p.Drop(t.Context(), e.AppID); err != nil {
		t.Fatal(err)
	}
	if third := swing(t, p, e); third.Version <= second.Version {
		t.Errorf("version %d again after a drop", third.Version)
	}
}

func TestControl_RefusesWhatCannotBeRouted(t *testing.T) {
	t.Parallel()
	p := setup(t)
	c, socket := serveControl(t, p)
	d1 := newBackend(t, "d1")
	swing(t, p, entryOf("a", "a.example", d1))
	none := entryOf("x", "x.example", d1)
	none.Deployment = ""
	path := entryOf("x", "x.example", d1)
	path.Paths[0].Prefix = "api"
	port := entryOf("x", "x.example", d1)
	port.Paths[0].Targets[0] = netip.AddrPortFrom(d1.addr.Addr(), 0)
	for why, e := range map[string]pipeline.Entry{
		"the route of another app": entryOf("x", "A.example", d1), "no deployment": none, "a prefix without /": path,
		"no host": entryOf("x", "", d1), "no port": port,
	} {
		if _, err := c.Swing(t.Context(), e, 0); !errors.Is(err, pipeline.ErrInvalid) {
			t.Errorf("%s: %v", why, err)
		}
	}
	raw := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://proxy/v1/apps/id-a", strings.NewReader(`{}`))
	resp, err := raw.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _ = resp.Body.Close(); resp.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("without If-Match: %s", resp.Status)
	}
}

func TestControl_ReplacesASocketThatWasLeftBehind(t *testing.T) {
	t.Parallel()
	p := setup(t)
	socket := socketPath(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := NewClient(socket).Health(t.Context()); !errors.Is(err, pipeline.ErrUnreachable) {
		t.Errorf("nobody listens: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.ServeControl(ctx, socket) }()
	c := NewClient(socket)
	defer c.Close()
	until(t, "control socket", func() bool { _, err := c.Health(t.Context()); return err == nil })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}
