package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

const (
	// drillInside tells the test that it runs beside the engine that it may stop.
	drillInside = "SWINGBRIDGE_DRILL_INSIDE"
	// drillLimit is how long visitors may be without the app once everything
	// was started again.
	drillLimit = 30 * time.Second
)

// act is one of the things that a drill does, each once.
type act string

const (
	stopEngine  act = "stop the engine"
	startEngine act = "start the engine"
	stopServer  act = "stop the server"
	startServer act = "start the server"
	stopProxy   act = "stop the proxy" // where it is a process of its own
	startProxy  act = "start the proxy"
)

// orders are all in which engine and server can be stopped and started again.
func orders() [][]act {
	return [][]act{
		{stopEngine, startEngine, stopServer, startServer},
		{stopServer, startServer, stopEngine, startEngine},
		{stopEngine, stopServer, startEngine, startServer},
		{stopServer, stopEngine, startServer, startEngine},
		{stopEngine, stopServer, startServer, startEngine},
		{stopServer, stopEngine, startEngine, startServer},
	}
}

// The engine's restart is a promise of its own: with a wrong restart policy the
// old color comes back with it and takes the live one's address.
func TestDrill_RestartsOfEngineAndServerInEitherOrderBringTheLiveColorBackAlone(t *testing.T) {
	t.Parallel()
	if os.Getenv(drillInside) == "" {
		besideAnEngine(t)
		return
	}
	d := &drill{site: live(t), home: os.Getenv("ENGINE_HOME")}
	d.only(d.mustBe(d.await(d.push(release{version: "version 2"}, "Add a second quay")), pipeline.Live).ID)
	since, now := time.Now(), d.liveNow()
	crowd := d.visit(appHost)
	for i := range 10 { // 5 times each first
		d.round(orders()[i%len(orders())], i%4 < 2, i%3 > 0)
		d.holds(now, "version 2", since)
	}
	if err := stale(crowd.leave(), since, "version 2"); err != nil {
		t.Error("the old color came back: ", err)
	}
	d.deploymentsAre(2)
	d.only(d.mustBe(d.await(d.push(release{version: "version 3"}, "Open a third quay")), pipeline.Live).ID)
	d.sees(appHost, "version 3")
}

// While the guard watches both colors are there, and only the journal knows
// which one visitors belong to.
func TestDrill_RestartsOfEngineAndServerDuringTheGuardLeaveOneColor(t *testing.T) {
	t.Parallel()
	if os.Getenv(drillInside) == "" {
		besideAnEngine(t)
		return
	}
	d := &drill{site: live(t), home: os.Getenv("ENGINE_HOME")}
	was, version := d.liveNow(), "version 1"
	for i, order := range orders() {
		next := fmt.Sprintf("version %d", i+2)
		id := d.push(release{version: next, guard: "6s"}, "Push, "+next)
		d.awaitStep(id, "guard")
		d.round(order, i%4 < 2, i%3 > 0)
		switch end := d.await(id); end.State {
		case pipeline.Live:
			was, version = id, next
		case pipeline.RolledBack: // the restart ended the new color while it was watched
		default:
			t.Fatalf("%s: deployment %s ended %s: %s", order, id, end.State, end.Reason)
		}
		d.holds(was, version, time.Now())
	}
}

// besideAnEngine runs this very test again beside an engine of its own. Its
// servers and its visitors are there too: containers are reachable only there.
func besideAnEngine(t *testing.T, env ...string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := append([]string{"env", drillInside + "=1"}, env...)
	command = append(command, self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=30m")
	cmd := exec.CommandContext(t.Context(), "../../.ci/engine", command...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it ends what it started
	cmd.WaitDelay = time.Minute
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("beside an engine of its own: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("the test did not run beside its engine:\n%s", out)
	}
	t.Logf("%s", out)
}

// drill is a site on an engine that is stopped and started.
type drill struct {
	*site
	home string // of the engine, see .ci/engine
}

// round does the things in the order given. A gentle stop is SIGTERM, any other
// SIGKILL; the proxy is stopped as the server is.
func (d *drill) round(order []act, gentleEngine, gentleServer bool) {
	d.t.Helper()
	begun := time.Now()
	for _, what := range order {
		switch what {
		case stopEngine:
			d.stopEngine(gentleEngine)
		case startEngine:
			d.startEngine()
		case stopServer:
			d.serve.stop(d.t, gentleServer)
		case stopProxy:
			d.plane.stop(d.t, gentleServer)
		case startProxy:
			d.startPlane()
		case startServer:
			d.serve = d.spawn("swingbridge-serve") // ready only with an engine
		}
	}
	d.t.Logf("%s (engine gentle %t, server gentle %t) took %s", order, gentleEngine, gentleServer, time.Since(begun).Round(time.Millisecond))
}

func (d *drill) stopEngine(gentle bool) {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.home, "docker.pid"))
	if err != nil {
		d.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		d.t.Fatal(err)
	}
	signal := syscall.SIGKILL
	if gentle {
		signal = syscall.SIGTERM
	}
	if err := syscall.Kill(pid, signal); err != nil {
		d.t.Fatalf("stop the engine: %v", err)
	}
	d.eventually("the engine to end", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
}

func (d *drill) startEngine() {
	d.t.Helper()
	cmd := exec.Command(filepath.Join(d.home, "start"))
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	if err := cmd.Start(); err != nil {
		d.t.Fatalf("start the engine: %v", err)
	}
	go func() { _ = cmd.Wait() }() // ends with the engine, which the namespace ends
	d.eventually("the engine to answer", func() bool {
		ctx, cancel := context.WithTimeout(d.t.Context(), time.Second)
		defer cancel()
		e, err := openEngine(ctx)
		if err != nil {
			return false
		}
		_ = e.Close()
		return true
	})
}

// liveNow is the deployment that is live.
func (d *drill) liveNow() string {
	d.t.Helper()
	services, err := d.api.Services(d.t.Context(), appName)
	if err != nil || len(services) != 1 || !services[0].Live {
		d.t.Fatalf("services: %+v, %v", services, err)
	}
	return services[0].Deployment
}

// holds waits until visitors see the version, and makes sure that one container
// is there, running, of that deployment.
func (d *drill) holds(deployment, version string, since time.Time) {
	d.t.Helper()
	started := time.Now()
	ctx, cancel := context.WithTimeout(d.t.Context(), drillLimit)
	defer cancel()
	for {
		got, err := d.get(appHost, "/")
		if err == nil && got != version && since.Before(started) {
			d.t.Fatalf("visitors see %q, want %q", got, version)
		}
		if err == nil && got == version {
			break
		}
		if pause(ctx) != nil {
			d.t.Fatalf("visitors are without the app %s after the last start: %v", drillLimit, err)
		}
	}
	served := time.Since(started)
	d.ready()
	c := d.only(deployment)
	there, err := machine(d.t).ContainerInspect(d.t.Context(), c.ID)
	if err != nil || !there.State.Running || there.HostConfig.RestartPolicy.Name != "always" {
		d.t.Fatalf("the live container: %+v, restart policy %v, %v", there.State, there.HostConfig, err)
	}
	d.t.Logf("%s served %s after the last start, by its one container", version, served.Round(time.Millisecond))
}
