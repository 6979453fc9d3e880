package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/client"
)

func TestDemo_HoldsAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "swingbridge")
	// As make build does: the demo's app is the program itself, in an empty image.
	build := exec.Command("go", goBuild("dev", "unknown", program)...)
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	watched := watchEngine(t, dir)
	demo := exec.Command(program, "demo")
	demo.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "DOCKER_HOST=" + watched.host, "SWINGBRIDGE_SUBNETS=10.127.0.0/16"}
	var out bytes.Buffer
	demo.Stdout, demo.Stderr = &out, &out
	if err := demo.Run(); err != nil {
		t.Fatalf("demo: %v\n%s", err, &out)
	}
	for _, line := range []string{"All of it held", " 0 failed", "PAYMENT_URL is not set"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("the demo does not say %q:\n%s", line, &out)
		}
	}
	installation := watched.installation(t)
	left, err := machine(t).things(t.Context(), "dev.swingbridge.installation="+installation)
	if err != nil {
		t.Fatal(err)
	}
	if !left.empty() {
		t.Errorf("the demo left %+v behind", left)
		if err := machine(t).remove(t.Context(), left); err != nil {
			t.Errorf("clean up: %v", err)
		}
	}
	if made := watched.created(); made < 4 {
		t.Errorf("the demo made %d things on the engine, who watched that?", made)
	}
	if files, err := filepath.Glob(filepath.Join(dir, "swingbridge-demo-*")); err != nil || len(files) > 0 {
		t.Errorf("the demo left %v behind, %v", files, err)
	}
}

// watchedEngine passes everything on to the engine and remembers what was made.
type watchedEngine struct {
	host string

	mu    sync.Mutex
	made  int
	owner map[string]bool // installations that made networks
}

func watchEngine(t *testing.T, dir string) *watchedEngine {
	t.Helper()
	api, err := client.NewClientWithOpts(client.FromEnv)
	if err != nil {
		t.Fatal(err)
	}
	w := &watchedEngine{host: "unix://" + filepath.Join(dir, "engine.sock"), owner: map[string]bool{}}
	listener, err := net.Listen("unix", strings.TrimPrefix(w.host, "unix://"))
	if err != nil {
		t.Fatal(err)
	}
	dial := api.Dialer()
	pass := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "engine"})
	pass.FlushInterval = -1
	pass.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}
	server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.note(r)
		pass.ServeHTTP(rw, r)
	})}
	go func() { _ = server.Serve(listener) }() // ends with Close
	t.Cleanup(func() { _ = server.Close() })
	return w
}

func (w *watchedEngine) note(r *http.Request) {
	if r.Method != http.MethodPost {
		return
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/networks/create"):
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		var order struct{ Labels map[string]string }
		if json.Unmarshal(body, &order) == nil {
			w.mu.Lock()
			w.owner[order.Labels["dev.swingbridge.installation"]] = true
			w.mu.Unlock()
		}
	case strings.HasSuffix(r.URL.Path, "/containers/create"), strings.HasSuffix(r.URL.Path, "/images/create"), strings.HasSuffix(r.URL.Path, "/build"):
	default:
		return
	}
	w.mu.Lock()
	w.made++
	w.mu.Unlock()
}

func (w *watchedEngine) created() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.made
}

// installation is the one that made networks.
func (w *watchedEngine) installation(t *testing.T) string {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.owner) != 1 {
		t.Fatalf("networks were made for installations %v", w.owner)
	}
	for id := range w.owner {
		return id
	}
	return ""
}
