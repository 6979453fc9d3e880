package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/cmd/bench/subcommand"
	"github.com/swingbridge/swingbridge/server/proxy"
)

// childArgs, where set, makes the test binary this program, with these
// arguments.
const childArgs = "CUTOVER_TEST_ARGS"

func TestMain(m *testing.M) {
	if args := os.Getenv(childArgs); args != "" {
		if err := subcommand.Run(context.Background(), "", commands(), strings.Fields(args), os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// spawn runs the program until the test ends.
func spawn(t *testing.T, args string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), childArgs+"="+args), os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
}

// freeAddress is one that nobody listens on.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serve answers until the test ends.
func serve(t *testing.T, h http.Handler) netip.AddrPort {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

func serveColors(t *testing.T) colors {
	return colors{
		own:   [2]netip.AddrPort{serve(t, color{"blue"}.handler()), serve(t, color{"green"}.handler())},
		other: serve(t, color{"other"}.handler()),
	}
}

// serveProxy runs a proxy until the test ends.
func serveProxy(t *testing.T) (visitors, socket string) {
	t.Helper()
	p, err := proxy.New(proxy.Options{HTTP: "127.0.0.1:0", DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	socket = shortSocket(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- p.Run(ctx) }()
	go func() { ended <- p.ServeControl(ctx, socket) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	c := proxy.NewClient(socket)
	defer c.Close()
	eventually(t, "the proxy serves", func() bool {
		h, err := c.Health(t.Context())
		visitors = h.Public.HTTP
		return err == nil && h.Ready
	})
	return visitors, socket
}

// shortSocket is a path that fits a unix socket, which t.TempDir often does not.
func shortSocket(t *testing.T) string {
	dir, err := os.MkdirTemp("", "cut")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
		if err := wait(t.Context(), 5*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}
