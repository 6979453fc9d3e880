package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/github/githubtest"
	"github.com/swingbridge/swingbridge/pipeline/github/minihub"
	"github.com/swingbridge/swingbridge/pipeline/source/gitserver"
	"github.com/swingbridge/swingbridge/pipeline/source/sourcetest"
	"github.com/swingbridge/swingbridge/server/api"
	"github.com/swingbridge/swingbridge/server/api/client"
)

// TestMain puts this very program on PATH, as the processes that the tests
// start, kill and start again: they are as the tests were built, race detector
// included.
func TestMain(m *testing.M) {
	testscript.Main(house{m}, map[string]func(){"swingbridge": main, "swingbridge-serve": serveLabelled})
}

// house removes what all tests shared.
type house struct{ m *testing.M }

func (h house) Run() int {
	code := h.m.Run()
	if err := removeShared(); err != nil {
		fmt.Fprintln(os.Stderr, "clean up:", err)
		return max(code, 1)
	}
	return code
}

// labelsEnv holds the labels of serveLabelled, as name=value with commas.
const labelsEnv = "E2E_LABELS"

// serveLabelled is swingbridge serve, whose things on the engine are marked as
// a test's.
func serveLabelled() {
	labels := map[string]string{}
	for pair := range strings.SplitSeq(os.Getenv(labelsEnv), ",") {
		name, value, _ := strings.Cut(pair, "=")
		labels[name] = value
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	cfg, err := loadConfig(os.Environ())
	if err == nil {
		err = serve(ctx, cfg, serveOptions{out: os.Stderr, log: logger(os.Stderr), labels: labels})
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitFailed)
	}
}

const (
	testLabel = "dev.swingbridge.test"
	siteLabel = "dev.swingbridge.test.site"
	appName   = "harbor"
	appRepo   = "octocat/harbor"
	appHost   = "harbor.localhost"
	// ample is how long anything may take that is waited for; far more than it
	// takes on a busy machine.
	ample = 90 * time.Second
)

// sites counts the sites of this process, for addresses of their own.
//
//nolint:gochecknoglobals // a counter of the process
var sites atomic.Int32

// site is an installation of Swingbridge with a forge, a GitHub and visitors.
// Everything but the engine is its own: ports, data, subnets.
type site struct {
	t     *testing.T
	id    string // value of siteLabel
	dir   string
	web   string // address that visitors dial
	url   string // of pages, API and webhooks
	token string

	secret string
	forge  *sourcetest.Forge
	hub    *minihub.Hub
	repos  map[string]*gitserver.Repo
	env    map[string]string

	api   *client.Client
	serve *process // the server that runs now, or ran last
	plane *process // a proxy of its own, where there is one
}

// newSite makes a site without starting its server. What it makes on the
// engine is gone after the test.
func newSite(t *testing.T) *site {
	t.Helper()
	n, pid := int(sites.Add(1)), os.Getpid()
	// An address of its own keeps ports free between a kill and the restart.
	ip := fmt.Sprintf("127.%d.%d.%d", 1+pid/250%250, 1+pid%250, n)
	// The sites of one process have neighbouring subnets, in a range that
	// nothing else here takes.
	at := (pid*16 + n) % 256
	s := &site{
		t: t, id: strings.ToLower(rand.Text()[:10]), dir: t.TempDir(), web: ip + ":17000", url: "http://" + ip + ":17080",
		token: pipeline.NewID(time.Now()), secret: rand.Text(), forge: sourcetest.NewForge(t), hub: minihub.New(),
		repos: map[string]*gitserver.Repo{},
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s.hub.AddApp(minihub.App{ID: 1, Key: &key.PublicKey})
	hub := httptest.NewServer(githubtest.Validate(t, s.hub))
	t.Cleanup(hub.Close)
	s.env = map[string]string{
		"SWINGBRIDGE_DATA": filepath.Join(s.dir, "data"), "SWINGBRIDGE_LISTEN": ip + ":17080",
		"SWINGBRIDGE_HTTP": s.web, "SWINGBRIDGE_HTTPS": "",
		"SWINGBRIDGE_ADMIN_TOKEN": s.token, "SWINGBRIDGE_WEBHOOK_SECRET": s.secret,
		"SWINGBRIDGE_GITHUB_APP_ID": "1", "SWINGBRIDGE_GITHUB_APP_KEY": pemOf(key),
		"SWINGBRIDGE_GITHUB_API_URL": hub.URL, "SWINGBRIDGE_GITHUB_CLONE_URL": s.forge.URL,
		"SWINGBRIDGE_SUBNETS": fmt.Sprintf("10.%d.%d.0/18", 128+at/4, at%4*64),
		labelsEnv:             testLabel + "=1," + siteLabel + "=" + s.id,
		"HOME":                s.dir,
	}
	if s.api, err = client.New(s.url, s.token); err != nil {
		t.Fatal(err)
	}
	s.api.Pause = func(ctx context.Context, _ time.Duration) error { return pause(ctx) }
	t.Cleanup(s.cleanUp)
	return s
}

func pemOf(key *rsa.PrivateKey) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

// running is a site whose server runs and has the app.
func running(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	s.start()
	s.addApp(appName, appRepo, appHost)
	return s
}

// live is a running site where version 1 of the app is live.
func live(t *testing.T) *site {
	t.Helper()
	s := running(t)
	s.mustBe(s.await(s.push(release{version: "version 1"}, "Open the harbor")), pipeline.Live)
	return s
}

// start starts the server and waits until it is ready.
func (s *site) start() {
	s.t.Helper()
	s.serve = s.spawn("swingbridge-serve")
	s.ready()
}

// startPlane starts a proxy process, which the server uses from then on.
func (s *site) startPlane() {
	s.t.Helper()
	s.env["SWINGBRIDGE_PROXY"] = "unix:" + filepath.Join(s.dir, "data", "proxy.sock")
	s.plane = s.spawn("swingbridge", "proxy")
}

func (s *site) ready() {
	s.t.Helper()
	s.eventually("the server to be ready", func() bool {
		s.serve.mustRun(s.t)
		resp, err := http.Get(s.url + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// addApp adds an app with one route.
func (s *site) addApp(name, repo, host string) api.App {
	s.t.Helper()
	if s.repos[repo] == nil {
		s.repos[repo] = s.forge.Create(repo)
		s.hub.SetHead(repo, "main", "") // the repository is there, the branch is not
	}
	compose, routes := []string{"compose.yml"}, []pipeline.Route{{Host: host, Service: "web", Port: 8000}}
	a, err := s.api.CreateApp(s.t.Context(), api.AppChange{Name: &name, Repo: &repo, Compose: &compose, Routes: &routes})
	if err != nil {
		s.t.Fatalf("add app %s: %v", name, err)
	}
	return a
}

// cleanUp removes the apps through the API, ends the processes, and sees to it
// that the engine has nothing left. It looks for races and for the token in
// the servers' logs.
func (s *site) cleanUp() {
	ctx, cancel := context.WithTimeout(context.Background(), ample)
	defer cancel()
	s.forge.Down(false)
	s.hub.SetDown(false)
	removed := s.serve != nil && s.serve.runs()
	if removed {
		s.removeApps(ctx)
	}
	for _, p := range []*process{s.serve, s.plane} {
		if p != nil && p.runs() {
			p.terminate(s.t)
		}
	}
	e, err := openEngine(ctx)
	if err != nil {
		s.t.Errorf("clean up: %v", err)
		return
	}
	defer e.Close()
	left, err := e.things(ctx, siteLabel+"="+s.id)
	if err == nil && removed && len(left.containers)+len(left.images) > 0 {
		s.t.Errorf("the removed apps left containers %v and images %v behind", left.containers, left.images)
	}
	if err := errors.Join(err, e.remove(ctx, left)); err != nil {
		s.t.Errorf("clean up: %v", err)
	}
	s.checkLogs()
}

func (s *site) removeApps(ctx context.Context) {
	apps, err := s.api.AllApps(ctx)
	if err != nil {
		s.t.Errorf("clean up: list apps: %v", err)
	}
	for _, a := range apps {
		if err := s.api.RemoveApp(ctx, a.Name); err != nil {
			s.t.Errorf("clean up: remove app %s: %v", a.Name, err)
		}
	}
}
