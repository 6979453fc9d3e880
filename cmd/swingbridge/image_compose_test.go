package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/container"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/swingbridge/swingbridge/server/store"
)

// hosted is a site whose server and proxy are the services of compose.yml.
type hosted struct {
	*site
	project *types.Project
	running map[string]testcontainers.Container
}

// newHosted reads compose.yml with the site's settings, and TLS where there are
// more of them.
func newHosted(t *testing.T, ref string, more ...string) *hosted {
	t.Helper()
	h := &hosted{site: newSite(t), running: map[string]testcontainers.Container{}}
	// Below 1024, for the one capability that the proxy has.
	host, _, _ := strings.Cut(h.web, ":")
	h.web = host + ":617"
	h.env["SWINGBRIDGE_HTTP"] = h.web
	for _, kv := range more {
		name, value, _ := strings.Cut(kv, "=")
		h.env[name], h.env["SWINGBRIDGE_HTTPS"] = value, host+":618"
	}
	settings := types.Mapping{"IMAGE": ref, "PROXY_IMAGE": ref}
	for name, value := range h.env {
		if strings.HasPrefix(name, "SWINGBRIDGE_") {
			settings[name] = value
		}
	}
	if socket, ok := strings.CutPrefix(os.Getenv("DOCKER_HOST"), "unix://"); ok {
		settings["DOCKER_SOCKET"] = socket
	}
	file := filepath.Join("..", "..", "compose.yml")
	var err error
	h.project, err = loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: filepath.Dir(file), ConfigFiles: []types.ConfigFile{{Filename: file}}, Environment: settings,
	}, func(o *loader.Options) { o.SetProjectName("swingbridge", true) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.down)
	return h
}

// up starts a service as compose.yml describes it and waits until it is
// healthy.
func (h *hosted) up(name string) testcontainers.Container {
	h.t.Helper()
	return h.upAs(name, name)
}

// another starts one more container of a service, as --scale does.
func (h *hosted) another(name string) testcontainers.Container {
	h.t.Helper()
	return h.upAs(name, name+"-2")
}

func (h *hosted) upAs(name, as string) testcontainers.Container {
	h.t.Helper()
	c, err := testcontainers.GenericContainer(h.t.Context(), testcontainers.GenericContainerRequest{
		Started: true, Logger: log.TestLogger(h.t), ContainerRequest: h.request(name),
	})
	if c != nil {
		h.running[as] = c
	}
	if err != nil {
		h.t.Fatalf("start %s: %v", name, err)
	}
	return c
}

// request is a service in testcontainers' words. What the file says and this
// does not know fails the test: it would be a file that nobody tested.
func (h *hosted) request(name string) testcontainers.ContainerRequest {
	h.t.Helper()
	s, err := h.project.GetService(name)
	if err != nil {
		h.t.Fatal(err)
	}
	req := testcontainers.ContainerRequest{
		Image: s.Image, Cmd: s.Command, Env: map[string]string{}, WaitingFor: wait.ForHealthCheck().WithStartupTimeout(ample),
		Labels:             map[string]string{testLabel: "1", siteLabel: h.id},
		ConfigModifier:     func(c *container.Config) { configure(c, s) },
		HostConfigModifier: func(c *container.HostConfig) { confine(c, s) },
	}
	for key, value := range s.Environment {
		if value != nil {
			req.Env[key] = *value
		}
	}
	known := types.ServiceConfig{Name: s.Name, Restart: s.Restart}
	known.ContainerSpec = types.ContainerSpec{
		CapAdd: s.CapAdd, CapDrop: s.CapDrop, Command: s.Command, Environment: s.Environment, Image: s.Image, Logging: s.Logging,
		NetworkMode: s.NetworkMode, ReadOnly: s.ReadOnly, SecurityOpt: s.SecurityOpt, StopGracePeriod: s.StopGracePeriod,
		Tmpfs: s.Tmpfs, User: s.User, Volumes: s.Volumes,
	}
	known.HealthCheck = s.HealthCheck
	if !reflect.DeepEqual(known, s) {
		h.t.Fatalf("compose.yml says more of %s than this test knows:\n%+v\nknown:\n%+v", name, s, known)
	}
	return req
}

func configure(c *container.Config, s types.ServiceConfig) {
	grace := int(time.Duration(*s.StopGracePeriod).Seconds())
	c.User, c.StopTimeout = s.User, &grace
	c.Healthcheck = &container.HealthConfig{
		Test: s.HealthCheck.Test, Retries: int(*s.HealthCheck.Retries), Interval: time.Duration(*s.HealthCheck.Interval),
		Timeout: time.Duration(*s.HealthCheck.Timeout), StartPeriod: time.Duration(*s.HealthCheck.StartPeriod),
	}
}

func confine(c *container.HostConfig, s types.ServiceConfig) {
	c.NetworkMode = container.NetworkMode(s.NetworkMode)
	c.ReadonlyRootfs = s.ReadOnly
	c.CapAdd, c.CapDrop, c.SecurityOpt = s.CapAdd, s.CapDrop, s.SecurityOpt
	c.RestartPolicy = container.RestartPolicy{Name: container.RestartPolicyMode(s.Restart)}
	c.LogConfig = container.LogConfig{Type: s.Logging.Driver, Config: s.Logging.Options}
	c.Tmpfs = map[string]string{}
	for _, path := range s.Tmpfs {
		c.Tmpfs[path] = ""
	}
	for _, v := range s.Volumes {
		c.Binds = append(c.Binds, v.Source+":"+v.Target)
	}
}

// ready waits until all that the server needs answers.
func (h *hosted) ready() {
	h.t.Helper()
	h.eventually("the server to be ready", func() bool {
		resp, err := http.Get(h.url + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// stop ends a service in its own time and wants it to end well.
func (h *hosted) stop(c testcontainers.Container) {
	h.t.Helper()
	if err := c.Stop(h.t.Context(), nil); err != nil {
		h.t.Fatal(err)
	}
	state, err := c.State(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	if state.Running || state.ExitCode != 0 {
		h.t.Errorf("after the stop it is %s, exit code %d", state.Status, state.ExitCode)
	}
}

// startAgain starts a stopped service; it waits until it is healthy, as up does.
func (h *hosted) startAgain(c testcontainers.Container) {
	h.t.Helper()
	if err := c.Start(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

// confined looks at what the two processes may do, as the kernel has it.
func (h *hosted) confined(plane, server testcontainers.Container) {
	h.t.Helper()
	const bindLowPorts = "0000000000000400" // CAP_NET_BIND_SERVICE, bit 10
	for _, want := range []struct {
		name         string
		c            testcontainers.Container
		capabilities string
		mounts       int
		socket       bool
	}{
		{"proxy", plane, bindLowPorts, 1, false},
		{"server", server, "0000000000000000", 2, true},
	} {
		info, err := want.c.Inspect(h.t.Context())
		if err != nil {
			h.t.Fatal(err)
		}
		socket := false
		for _, m := range info.Mounts {
			socket = socket || strings.HasSuffix(m.Destination, "docker.sock")
			if strings.HasSuffix(m.Destination, "/proxy") != (want.name == "proxy") && !strings.HasSuffix(m.Destination, "docker.sock") {
				h.t.Errorf("%s sees %s", want.name, m.Destination)
			}
			if m.Source != m.Destination && !socket {
				h.t.Errorf("%s has %s at %s", want.name, m.Source, m.Destination)
			}
		}
		if socket != want.socket || len(info.Mounts) != want.mounts {
			h.t.Errorf("%s has the mounts %+v", want.name, info.Mounts)
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", info.State.Pid))
		if err != nil {
			h.t.Fatal(err)
		}
		for _, line := range []string{"CapEff:\t" + want.capabilities, "CapBnd:\t" + want.capabilities, "NoNewPrivs:\t1", "Uid:\t0\t0\t0\t0"} {
			if !strings.Contains(string(status), line+"\n") {
				h.t.Errorf("the %s's process is without %q:\n%s", want.name, line, status)
			}
		}
		if !info.HostConfig.ReadonlyRootfs || info.State.Health.Status != container.Healthy {
			h.t.Errorf("%s: read only %v, health %s", want.name, info.HostConfig.ReadonlyRootfs, info.State.Health.Status)
		}
	}
}

// down removes the apps and the services, and what the server made on the
// engine: the program in the image marks nothing as a test's, so it is found by
// the installation.
func (h *hosted) down() {
	ctx, cancel := context.WithTimeout(context.Background(), ample)
	defer cancel()
	if c := h.running["server"]; c != nil && c.IsRunning() {
		h.removeApps(ctx)
	}
	for name, c := range h.running {
		if err := h.keepLog(ctx, name, c); err != nil {
			h.t.Errorf("read the log of %s: %v", name, err)
		}
		if err := c.Terminate(ctx, testcontainers.StopTimeout(0)); err != nil {
			h.t.Errorf("remove %s: %v", name, err)
		}
	}
	if err := h.sweep(ctx); err != nil {
		h.t.Errorf("clean up: %v", err)
	}
}

// keepLog puts what a service said where the site looks for logs.
func (h *hosted) keepLog(ctx context.Context, name string, c testcontainers.Container) error {
	said, err := c.Logs(ctx)
	if err != nil {
		return err
	}
	defer said.Close()
	text, err := io.ReadAll(said)
	return errors.Join(err, os.WriteFile(filepath.Join(h.dir, name+".log"), text, 0o600))
}

func (h *hosted) sweep(ctx context.Context) error {
	if h.running["server"] == nil {
		return nil
	}
	db, err := store.OpenDatabase(ctx, h.env["SWINGBRIDGE_DATA"])
	if err != nil {
		return err
	}
	s := store.New(db, store.Options{})
	installation, err := s.Installation(ctx)
	if err = errors.Join(err, s.Close(), db.Close()); err != nil {
		return err
	}
	e, err := openEngine(ctx)
	if err != nil {
		return err
	}
	left, err := e.things(ctx, "dev.swingbridge.installation="+installation)
	if len(left.containers)+len(left.images) > 0 {
		h.t.Errorf("the removed apps left containers %v and images %v behind", left.containers, left.images)
	}
	return errors.Join(err, e.remove(ctx, left), e.Close())
}
