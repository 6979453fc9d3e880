package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
	"github.com/swingbridge/swingbridge/server/api/client"
)

func TestKill_AtAnyStepTheDeploymentGoesOnUnderItsOwnID(t *testing.T) {
	t.Parallel()
	s := live(t)
	pushed := 1
	for _, step := range []string{"fetch", "build", "start", "probe", "cut over", "guard", "drain", "stop old"} {
		pushed++
		version := "killed at " + step
		id := s.push(release{version: version, args: []string{"-slow", "300ms"}}, "Push, "+version)
		s.awaitStep(id, step)
		s.serve.kill(t)
		s.start()
		end := s.mustBe(s.await(id), pipeline.Live)
		if end.Attempt < 1 || end.Attempt > 2 {
			t.Errorf("%s: the deployment has attempt %d", version, end.Attempt)
		}
		s.check(id, "success")
		s.sees(appHost, version)
		s.only(id)
	}
	s.deploymentsAre(pushed)
}

// deploymentsAre fails the test unless the app has so many deployments, of as
// many commits.
func (s *site) deploymentsAre(want int) {
	s.t.Helper()
	all, err := s.api.Deployments(s.t.Context(), appName, client.Part{Limit: 100})
	if err != nil {
		s.t.Fatal(err)
	}
	commits := map[string]bool{}
	for _, d := range all.Items {
		commits[d.Commit] = true
	}
	if len(all.Items) != want || len(commits) != want {
		s.t.Errorf("there are %d deployments of %d commits, want %d", len(all.Items), len(commits), want)
	}
}

func TestKill_WithAQueueLosesNoPush(t *testing.T) {
	t.Parallel()
	s := live(t)
	first := s.push(release{version: "version 2", args: []string{"-slow", "2s"}}, "The one that runs")
	s.awaitStep(first, "probe")
	second := s.push(release{version: "version 3"}, "The one that waits")
	s.serve.kill(t)
	s.start()
	s.mustBe(s.await(second), pipeline.Live)
	end := s.await(first)
	switch end.State {
	case pipeline.Retired: // it was live before the other one
		s.check(first, "success")
	case pipeline.Superseded: // run again, it found the branch moved on
		s.check(first, "neutral")
	default:
		t.Errorf("the interrupted deployment ended %s: %s", end.State, end.Reason)
	}
	s.check(second, "success")
	s.sees(appHost, "version 3")
	s.only(second)
	s.deploymentsAre(3)
}

func TestKill_WhileAFailureIsUndoneEndsInTheFailure(t *testing.T) {
	t.Parallel()
	s := live(t)
	before := s.containers()
	id := s.push(release{version: "version 2", args: []string{"-fail", "no luck"}}, "Hope for luck")
	s.awaitStep(id, "undo start")
	s.serve.kill(t)
	s.start()
	s.mustBe(s.await(id), pipeline.Failed)
	s.check(id, "failure")
	s.sees(appHost, "version 1")

	// And while visitors are on their way back: one of them takes his time.
	id = s.push(release{version: "version 3", guard: "60s"}, "Be doubted")
	s.awaitUntil(id, "watching", func(d api.Deployment) bool { return d.State == pipeline.Watching })
	slow := s.linger("8s")
	if _, err := s.api.Rollback(t.Context(), appName, ""); err != nil {
		t.Fatal(err)
	}
	s.awaitStep(id, "undo cut over")
	s.serve.kill(t)
	if slow() == nil {
		t.Error("a request outlived the proxy, which was in the killed process")
	}
	s.start()
	s.mustBe(s.await(id), pipeline.RolledBack)
	s.check(id, "failure")
	s.sees(appHost, "version 1")
	if diff := cmp.Diff(before, s.containers()); diff != "" {
		t.Errorf("containers changed (-before +after):\n%s", diff)
	}
	s.deploymentsAre(3)
}

func TestTerminate_EndsTheServerInTimeAndTheNextStartGoesOn(t *testing.T) {
	t.Parallel()
	s := live(t)
	id := s.push(release{version: "version 2", args: []string{"-slow", "3s"}}, "Take your time")
	s.awaitStep(id, "probe")
	s.serve.terminate(t)
	if there := s.containers(); len(there) == 0 {
		t.Error("the live container went with the server")
	}
	s.start()
	s.mustBe(s.await(id), pipeline.Live)
	s.check(id, "success")
	s.sees(appHost, "version 2")
	s.only(id)

	// Also in the middle of the watch, with somebody who follows.
	id = s.push(release{version: "version 3", guard: "3s"}, "Be watched")
	s.awaitStep(id, "guard")
	events, stop := s.api.Events(t.Context()), make(chan struct{})
	go func() {
		defer close(stop)
		for range events {
		}
	}()
	s.serve.terminate(t)
	<-stop
	s.start()
	s.mustBe(s.await(id), pipeline.Live)
	s.check(id, "success")
	s.only(id)
	s.deploymentsAre(3)
}
