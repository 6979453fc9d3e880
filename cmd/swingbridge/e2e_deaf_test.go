package main

import (
	"os"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
)

// deaf is a release whose start script forgot exec: the shell is ended by
// SIGTERM, the init process with it, and the server hears of nothing.
func (s *site) deaf(version, drain string) map[string]string {
	s.t.Helper()
	return map[string]string{
		"Dockerfile": "FROM " + stackName + ":python\nCOPY --from=" + baseImage(s.t) + " /app /app\n" +
			"COPY page.txt start.sh /\nCMD [\"sh\", \"/start.sh\"]\n",
		"start.sh": "/app\necho the server ended\n",
		"page.txt": version + "\n",
		"compose.yml": "services:\n  web:\n    build: .\n    init: true\n    stop_grace_period: 10s\n" +
			"    x-swingbridge: {drain: " + drain + ", probe: {interval: 100ms}}\nx-swingbridge: {guard: 1s}\n",
	}
}

func TestStack_WhoseStartScriptLacksExecLosesNoRequest(t *testing.T) {
	t.Parallel()
	if os.Getenv(drillInside) == "" {
		besideAStackEngine(t)
		return
	}
	importStack(t)
	s := running(t)
	s.mustBe(s.await(s.pushFiles(appRepo, s.deaf("version 1", "30s"), "Open the harbor")), pipeline.Live)

	// Whoever is in the middle of a request when the old color is done with is
	// answered, for it is drained before it is stopped.
	crowd := s.visit(appHost)
	id := s.pushFiles(appRepo, s.deaf("version 2", "10ms"), "Add a second quay")
	s.awaitStep(id, "start")
	slow := s.lingering("8s")
	end := s.mustBe(s.await(id), pipeline.Live)
	for i, answered := range slow {
		if err := answered(); err != nil {
			t.Errorf("slow request %d: %v", i, err)
		}
	}
	for _, step := range end.Steps {
		if step.Name == "drain" && step.MS < 500 {
			t.Errorf("the drain took %d ms: nobody was in the middle of a slow request", step.MS)
		}
	}
	s.only(id)
	if err := lost(crowd.leave()); err != nil {
		t.Error(err)
	}

	// It is the drain that did it: without one the same request is lost.
	slow = s.lingering("60s")
	s.mustBe(s.await(s.pushFiles(appRepo, s.deaf("version 3", "30s"), "And a third")), pipeline.Live)
	for i, answered := range slow {
		if answered() == nil {
			t.Errorf("without a drain the slow request %d was answered: the server was told of its end", i)
		}
	}
}

// lingering opens some requests that take their time.
func (s *site) lingering(d string) []func() error {
	s.t.Helper()
	var out []func() error
	for range 6 {
		out = append(out, s.linger(d))
	}
	return out
}
