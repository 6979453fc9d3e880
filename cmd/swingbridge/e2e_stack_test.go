package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
)

// stackOverlay is what an operator adds to the files of a stack that were never
// written for Swingbridge.
const stackOverlay = `
x-swingbridge:
  release: {service: web, command: [python3, manage.py, migrate, --noinput]}
  guard: %s
services:
  web:
    x-swingbridge: {probe: {path: /health, within: %s}}
`

func TestStack_OfDjangoAndItsDatabaseLosesNoRowOverThreeMigrationsAndThreeBrokenReleases(t *testing.T) {
	t.Parallel()
	if os.Getenv(drillInside) == "" {
		besideAStackEngine(t)
		return
	}
	importStack(t)
	files := func(version string, folders ...string) map[string]string { return stackFiles(t, version, folders...) }
	s := newSite(t)
	s.start()
	s.addApp(appName, appRepo, appHost)
	if _, err := s.api.SetEnv(t.Context(), appName, "SECRET_KEY", "harbor-secret-key"); err != nil {
		t.Fatal(err)
	}
	s.overlay(fmt.Sprintf(stackOverlay, "3s", "60s"))
	s.mustBe(s.await(s.pushFiles(appRepo, files("version 1", "first"), "Open the harbor")), pipeline.Live)
	was := s.whole()

	// Three releases with a migration each, all under traffic.
	crowd, fleet := s.visit(appHost), s.sail()
	second := s.mustBe(s.await(s.pushFiles(appRepo, files("version 2", "second"), "Add a second quay")), pipeline.Live)
	s.keptSince(was, second)
	fleet.more(20)
	third := s.mustBe(s.await(s.pushFiles(appRepo, files("version 3", "third"), "Note arrivals")), pipeline.Live)
	s.keptSince(was, third)
	fleet.more(20)
	fourth := s.mustBe(s.await(s.pushFiles(appRepo, files("version 4", "fourth"), "Send pilots")), pipeline.Live)
	is := s.keptSince(was, fourth)
	fleet.more(20)

	// Each broken release leaves the fourth as it was, down to its containers.
	for _, c := range []struct {
		folder, guard, within string
		state                 pipeline.State
		reason                []string
	}{
		{"sickweb", "3s", "8s", pipeline.Failed, []string{"web", "500"}},
		{"deadworker", "60s", "60s", pipeline.RolledBack, []string{"work", "exit code 1"}},
		{"badmigration", "3s", "60s", pipeline.Failed, []string{"migrate", "exit code 1"}},
	} {
		s.overlay(fmt.Sprintf(stackOverlay, c.guard, c.within))
		good := files("version 5", "first", "second", "third", "fourth")
		maps.Copy(good, files("version 5", c.folder))
		end := s.mustBe(s.await(s.pushFiles(appRepo, good, "Break it: "+c.folder)), c.state)
		for _, part := range c.reason {
			if !strings.Contains(end.Reason, part) {
				t.Errorf("%s: the reason %q does not name %q", c.folder, end.Reason, part)
			}
		}
		s.eventually("the containers of the fourth release alone, after "+c.folder, func() bool {
			return cmp.Equal(s.services(), is)
		})
		fleet.more(20)
		if got, err := s.get(appHost, "/"); err != nil || got != "version 4" {
			t.Errorf("after %s visitors see %q, %v", c.folder, got, err)
		}
	}

	answers := crowd.leave()
	if err := lost(answers); err != nil {
		t.Error(err)
	}
	t.Logf("%d visitors", len(answers))
	s.landed(fleet)
}

// stackFiles are the files of testdata/stack, of several folders over each
// other, and the version.
func stackFiles(t *testing.T, version string, folders ...string) map[string]string {
	t.Helper()
	out := map[string]string{"version.txt": version + "\n"}
	for _, folder := range folders {
		files := os.DirFS(filepath.Join("testdata", "stack", folder))
		err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := fs.ReadFile(files, path)
			out[path] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func (s *site) overlay(text string) {
	s.t.Helper()
	if _, err := s.api.UpdateApp(s.t.Context(), appName, api.AppChange{Overlay: &text}); err != nil {
		s.t.Fatalf("set the overlay: %v", err)
	}
}

// service is a container of a stack, as the engine tells it.
type service struct {
	ID, StartedAt, Deployment, Commit, State string
	Restarts                                 int
}

// services are all containers of the site's app by service and number, those
// that do not run included.
func (s *site) services() map[string]service {
	s.t.Helper()
	out := map[string]service{}
	for _, c := range s.inspected() {
		label := c.Config.Labels
		name := label["dev.swingbridge.service"]
		for _, twice := out[name]; twice; _, twice = out[name] {
			name += "+"
		}
		out[name] = service{c.ID, c.State.StartedAt, label["dev.swingbridge.deployment"], label["dev.swingbridge.commit"], c.State.Status, c.RestartCount}
	}
	return out
}

// whole waits until the stack is there: one running container of each of the
// four services and nothing else, web and worker of one commit.
func (s *site) whole() map[string]service {
	s.t.Helper()
	var now map[string]service
	s.eventually("a whole stack", func() bool {
		now = s.services()
		for _, c := range now {
			if c.State != container.StateRunning {
				return false
			}
		}
		return slices.Equal(slices.Sorted(maps.Keys(now)), []string{"db", "redis", "web", "work"}) &&
			now["web"].Commit != "" && now["web"].Commit == now["work"].Commit
	})
	return now
}

// keptSince waits for the whole stack of the deployment, and fails the test
// unless the kept services are the very containers that they were.
func (s *site) keptSince(was map[string]service, live api.Deployment) map[string]service {
	s.t.Helper()
	var now map[string]service
	s.eventually("the stack of "+live.ID, func() bool {
		now = s.whole()
		return now["web"].Deployment == live.ID && now["work"].Deployment == live.ID
	})
	for _, name := range []string{"db", "redis"} {
		if diff := cmp.Diff(was[name], now[name]); diff != "" {
			s.t.Errorf("%s is another container, or was started again (-was +now):\n%s", name, diff)
		}
	}
	return now
}

// fleet are visitors that write: each ship that arrives is a row, and a job for
// the worker.
type fleet struct {
	t    *testing.T
	stop context.CancelFunc
	gone chan struct{}

	mu      sync.Mutex
	arrived []string // that the app acknowledged
	failed  []error
}

// sail sends ships, without a pause and without any retry, until the fleet is
// asked for what arrived.
func (s *site) sail() *fleet {
	s.t.Helper()
	f := &fleet{t: s.t, gone: make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	go func() {
		defer close(f.gone)
		var wg sync.WaitGroup
		for i := range 2 {
			wg.Go(func() {
				for n := 0; ctx.Err() == nil && pause(ctx) == nil; n++ {
					f.note(s.arrive(fmt.Sprintf("ship-%d-%d", i, n)))
				}
			})
		}
		wg.Wait()
	}()
	s.t.Cleanup(func() { stop(); <-f.gone })
	f.more(10)
	return f
}

// arrive sends one ship.
func (s *site) arrive(name string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.web+"/ships?name="+name, strings.NewReader("cargo"))
	if err != nil {
		return name, err
	}
	req.Host, req.GetBody = appHost, nil // what net/http cannot replay, it does not hide
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return name, err
	}
	if err := resp.Body.Close(); err != nil {
		return name, err
	}
	if resp.StatusCode != http.StatusCreated {
		return name, fmt.Errorf("%s: status %d", name, resp.StatusCode)
	}
	return name, nil
}

func (f *fleet) note(name string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.failed = append(f.failed, err)
		return
	}
	f.arrived = append(f.arrived, name)
}

// more waits until so many further ships arrived.
func (f *fleet) more(n int) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), ample)
	defer cancel()
	count := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.arrived)
	}
	for want := count() + n; count() < want; {
		if err := pause(ctx); err != nil {
			f.t.Fatalf("waited in vain for %d more ships; failed: %v", n, f.failed)
		}
	}
}

// landed ends the fleet and fails the test unless every ship arrived, is one
// row of the database, and was unloaded once.
func (s *site) landed(f *fleet) {
	s.t.Helper()
	f.stop()
	<-f.gone
	if len(f.failed) > 0 {
		s.t.Errorf("%d of %d writes failed, the first with: %v", len(f.failed), len(f.failed)+len(f.arrived), f.failed[0])
	}
	want := slices.Sorted(slices.Values(f.arrived))
	if diff := cmp.Diff(want, s.query("SELECT name FROM harbor_ship")); diff != "" {
		s.t.Errorf("rows of the database (-acknowledged +there):\n%s", diff)
	}
	var unloaded []string
	s.eventually("the worker to have done all", func() bool {
		unloaded = s.query("SELECT ship FROM harbor_unloading")
		return len(unloaded) >= len(want)
	})
	if diff := cmp.Diff(want, unloaded); diff != "" {
		s.t.Errorf("ships that the workers unloaded (-arrived +unloaded):\n%s", diff)
	}
	s.t.Logf("%d rows; unloaded by %v", len(want), s.query("SELECT version||': '||count(*) FROM harbor_unloading GROUP BY version"))
}

// query asks the database for one column, without any code of the app. The
// lines are sorted.
func (s *site) query(sql string) []string {
	s.t.Helper()
	out, err := machine(s.t).exec(s.t.Context(), s.services()["db"].ID, "psql", "-h", "127.0.0.1", "-U", "postgres", "-Atc", sql)
	if err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	lines := strings.Fields(strings.ReplaceAll(out, " ", "_"))
	slices.Sort(lines)
	return lines
}

// exec runs a command in a container and returns what it prints.
func (e engine) exec(ctx context.Context, id string, command ...string) (string, error) {
	ran, err := e.ContainerExecCreate(ctx, id, container.ExecOptions{Cmd: command, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return "", err
	}
	stream, err := e.ContainerExecAttach(ctx, ran.ID, container.ExecAttachOptions{})
	if err != nil {
		return "", err
	}
	defer stream.Close()
	var out, problems bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &problems, stream.Reader); err != nil {
		return "", err
	}
	end, err := e.ContainerExecInspect(ctx, ran.ID)
	if err == nil && end.ExitCode != 0 {
		err = errors.New(problems.String())
	}
	return out.String(), err
}
