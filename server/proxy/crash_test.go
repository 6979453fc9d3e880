package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// child is a proxy process: it says where it listens, and serves until killed.
func child(dir string) {
	o := Options{HTTP: "127.0.0.1:0", DataDir: dir, Logger: slog.New(slog.DiscardHandler)}
	socket, dies := os.Getenv("SWINGBRIDGE_TEST_SOCKET"), os.Getenv("SWINGBRIDGE_TEST_DIES")
	start := func() (*Proxy, error) { return New(o) }
	if os.Getenv("SWINGBRIDGE_TEST_TAKE_OVER") != "" {
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
		o.at = func(step string) {
			if step == dies {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {} // until it has come
			}
		}
		start = func() (*Proxy, error) { return TakeOver(context.Background(), socket, o) }
	}
	p, err := start()
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	controlled := make(chan error, 1)
	go func() { controlled <- p.ServeControl(context.Background(), socket) }()
	go func() {
		<-p.Started()
		fmt.Println(p.http.address())
	}()
	if err := errors.Join(p.Run(context.Background()), <-controlled); err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
}

// spawn starts a proxy process and returns where it listens.
func spawn(t *testing.T, dir, socket string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childFolder+"="+dir, "SWINGBRIDGE_TEST_SOCKET="+socket)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, line[:len(line)-1]
}

func TestProxy_KilledIsBackWithItsRoutesFromTheFileAlone(t *testing.T) {
	t.Parallel()
	dir, socket := t.TempDir(), socketPath(t)
	cmd, _ := spawn(t, dir, socket)
	c := NewClient(socket)
	defer c.Close()
	until(t, "control socket", func() bool { _, err := c.Health(t.Context()); return err == nil })
	d1, d2 := newBackend(t, "d1"), newBackend(t, "d2")
	swing(t, c, entryOf("a", "a.example", d1))
	swing(t, c, entryOf("b", "b.example", d1))
	want := swing(t, c, entryOf("a", "a.example", d2))

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	_, address := spawn(t, dir, socket)
	for host, release := range map[string]string{"a.example": "d2", "b.example": "d1"} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address, nil)
		req.Host = host
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil || resp.Header.Get("X-Release") != release {
			t.Errorf("%s: %s from %q, want %s (%v)", host, resp.Status, resp.Header.Get("X-Release"), release, err)
		}
	}
	until(t, "control socket", func() bool { _, err := c.Health(t.Context()); return err == nil })
	if e, err := c.Entry(t.Context(), "id-a"); err != nil || e.Version != want.Version {
		t.Errorf("version %d after the restart, want %d (%v)", e.Version, want.Version, err)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}
