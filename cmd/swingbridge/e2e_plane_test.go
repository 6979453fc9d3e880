package main

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

func TestProxyProcess_OutlivesTheServerAndStartsWithoutIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startPlane()
	s.start()
	s.addApp(appName, appRepo, appHost)
	first := s.push(release{version: "version 1"}, "Open the harbor")
	s.mustBe(s.await(first), pipeline.Live)

	// The server is killed while visitors come, one of whom takes his time, and
	// in the middle of a deployment.
	crowd := s.visit(appHost)
	slow := s.linger("3s")
	second := s.push(release{version: "version 2", args: []string{"-slow", "1s"}}, "Add a second quay")
	s.awaitStep(second, "probe")
	s.serve.kill(t)
	crowd.more(100)
	if err := slow(); err != nil {
		t.Errorf("a request that was open while the server was killed: %v", err)
	}
	s.start()
	s.mustBe(s.await(second), pipeline.Live)
	crowd.served(time.Now(), "version 2")
	s.check(second, "success")
	s.only(second)

	// Both are gone; the proxy alone serves again what it served.
	s.serve.kill(t)
	s.plane.kill(t)
	if _, err := s.get(appHost, "/"); err == nil {
		t.Error("somebody answers though the proxy is gone")
	}
	s.startPlane()
	s.eventually("the proxy to serve again", func() bool {
		s.plane.mustRun(t)
		version, err := s.get(appHost, "/")
		return err == nil && version == "version 2"
	})
	crowd = s.visit(appHost)
	s.start()
	third := s.push(release{version: "version 3"}, "And a third")
	s.mustBe(s.await(third), pipeline.Live)
	crowd.served(time.Now(), "version 3")

	// The proxy is killed under a server that runs on.
	s.plane.kill(t)
	s.startPlane()
	s.ready()
	s.sees(appHost, "version 3")
	fourth := s.push(release{version: "version 4"}, "Enough quays")
	s.mustBe(s.await(fourth), pipeline.Live)
	s.sees(appHost, "version 4")
	s.only(fourth)
}

func TestProxyProcess_RefusesToBeTwoOnOneFolder(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startPlane()
	first := s.plane
	s.eventually("the proxy to answer", func() bool {
		first.mustRun(t)
		_, err := s.get("nobody.localhost", "/")
		return err != nil && strings.Contains(err.Error(), "status")
	})
	s.startPlane()
	second := s.plane
	s.plane = first
	<-second.ended
	if second.cmd.ProcessState.ExitCode() == 0 {
		t.Error("a second proxy on the same folder ended well")
	}
	first.mustRun(t)
}

func TestProxyProcess_IsTakenOverUnderVisitorsAndDeployments(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startPlane()
	s.start()
	s.addApp(appName, appRepo, appHost)
	s.mustBe(s.await(s.push(release{version: "version 1"}, "Open the harbor")), pipeline.Live)
	crowd := s.visit(appHost)
	slow := s.linger("3s")

	// The next one is to be restarted whatever it does, so it stays when its
	// own turn is over.
	first := s.plane
	s.plane = s.spawn("swingbridge", "proxy", "--take-over", "--stay")
	<-first.ended
	if code := first.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the proxy that was taken over ended with %s", first.cmd.ProcessState)
	}
	if err := slow(); err != nil {
		t.Errorf("a request that was open during the take-over: %v", err)
	}

	// Once more in the middle of a deployment, whose server knows of nothing.
	id := s.push(release{version: "version 2", args: []string{"-slow", "300ms"}}, "Add a second quay")
	s.awaitStep(id, "probe")
	second := s.plane
	s.plane = s.spawn("swingbridge", "proxy", "--take-over")
	s.mustBe(s.await(id), pipeline.Live)
	crowd.served(time.Now(), "version 2")
	s.eventually("the second proxy to be idle", func() bool {
		second.mustRun(t)
		return strings.Contains(s.logs()["swingbridge-proxy---take-over---stay.log"], "idle until stopped")
	})
	more := s.visit(appHost)
	second.terminate(t)
	more.more(100)
	more.served(time.Now(), "version 2")
	s.plane.mustRun(t)
}

func TestProxyProcess_SaysThatAServeCannotBeTakenOver(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start()
	p := s.spawn("swingbridge", "proxy", "--take-over")
	<-p.ended
	if p.cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("it ended with %s", p.cmd.ProcessState)
	}
	if said := s.logs()["swingbridge-proxy---take-over.log"]; !strings.Contains(said, "a serve with its data plane in process cannot be taken over") {
		t.Errorf("it said: %s", said)
	}
	s.serve.mustRun(t)
}

func TestProxyProcess_TellsTheServiceManagerWhenItServes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(s.dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	s.env["NOTIFY_SOCKET"] = manager.LocalAddr().String()
	for _, command := range [][]string{{"swingbridge", "proxy"}, {"swingbridge", "proxy", "--take-over"}} {
		p := s.spawn(command...)
		t.Cleanup(func() {
			if p.runs() { // the first one was taken over
				p.kill(t)
			}
		})
		said := make([]byte, 100)
		if err := manager.SetReadDeadline(time.Now().Add(ample)); err != nil {
			t.Fatal(err)
		}
		n, err := manager.Read(said)
		if err != nil || string(said[:n]) != "READY=1" {
			t.Fatalf("%v said %q (%v)", command, said[:n], err)
		}
		if _, err := s.get("nobody.localhost", "/"); err == nil || !strings.Contains(err.Error(), "status") {
			t.Errorf("%v said that it serves: %v", command, err)
		}
	}
}
