package main

import (
	"errors"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

func TestPush_ThatTurnsTo5xxAfterTheCutoverSwingsVisitorsBack(t *testing.T) {
	t.Parallel()
	s := live(t)
	crowd := s.visit(appHost)
	crowd.more(400) // something to compare with
	id := s.push(release{version: "version 2", args: []string{"-sour", "2s"}, guard: "60s"}, "Keep the milk in the sun")
	end := s.mustBe(s.await(id), pipeline.RolledBack)
	back := time.Now()
	var before, after []answer
	var sour, sweet time.Time // first and last answer that was an error
	bad, seen := 0, false
	for _, a := range crowd.leave() {
		switch seen = seen || a.version == "version 2"; {
		case a.err == nil && !seen:
			before = append(before, a)
		case a.err != nil:
			if bad++; sour.IsZero() {
				sour = a.ended
			}
			sweet = a.ended
		}
		if a.begun.After(back) {
			after = append(after, a)
		}
	}
	if !seen || bad == 0 {
		t.Fatalf("visitors saw the release: %t; %d answers were errors", seen, bad)
	}
	t.Logf("%d visitors met an error, within %s", bad, sweet.Sub(sour).Round(time.Millisecond))
	if err := errors.Join(lost(before), lost(after), stale(after, back, "version 1")); err != nil {
		t.Error(err)
	}
	for _, said := range []string{"5xx or no answer: ", "% of ", "after the cutover; 0% before it"} {
		if !strings.Contains(end.Reason, said) {
			t.Errorf("the reason %q lacks %q", end.Reason, said)
		}
	}
	if run := s.check(id, "failure"); !strings.Contains(run.Summary+run.Text, "0% before it") {
		t.Errorf("the check lacks the evidence:\n%s\n%s", run.Summary, run.Text)
	}
}

// A release whose server fails only once visitors are on it, at an hour when
// there are none.
func TestPush_ThatFailsWithoutVisitorsIsFoundOutByAsking(t *testing.T) {
	t.Parallel()
	s := live(t)
	id := s.push(release{version: "version 2", args: []string{"-sour", "2s"}, guard: "60s"}, "Keep the milk in the sun")
	s.awaitStep(id, "guard")
	if got, err := s.get(appHost, "/"); err != nil || got != "version 2" { // the one visitor, who makes it turn
		t.Fatalf("%q, %v", got, err)
	}
	end := s.mustBe(s.await(id), pipeline.RolledBack)
	if !strings.Contains(end.Reason, "3 requests in a row that Swingbridge made itself") || !strings.Contains(end.Reason, "500") {
		t.Errorf("the reason is %q", end.Reason)
	}
	s.sees(appHost, "version 1")
}

func TestReplicas_NobodyNoticesTheEndOfOne(t *testing.T) {
	t.Parallel()
	s := live(t)
	id := s.push(release{version: "version 2", replicas: 2}, "Two of a kind")
	s.mustBe(s.await(id), pipeline.Live)
	s.eventually("two containers", func() bool { return len(s.labelled().containers) == 2 })
	crowd := s.visit(appHost)
	e, one := machine(t), s.labelled().containers[0]
	was, err := e.ContainerInspect(t.Context(), one)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(was.State.Pid, syscall.SIGKILL); err != nil { // as the kernel would: the engine was not asked
		t.Fatal(err)
	}
	killed := time.Now()
	s.eventually("the container to be started again", func() bool {
		now, err := e.ContainerInspect(t.Context(), one)
		return err == nil && now.State.Running && now.RestartCount > was.RestartCount
	})
	var after []answer
	for _, a := range crowd.leave() {
		if a.begun.After(killed) { // what was open on it when it was killed is lost
			after = append(after, a)
		}
	}
	if err := errors.Join(lost(after), stale(after, killed, "version 2")); err != nil {
		t.Error(err)
	}
}

func TestPreview_ShowsTheOldColorWhileTheNewOneIsWatched(t *testing.T) {
	t.Parallel()
	s := live(t)
	const host = "green.example.test"
	id := s.push(release{version: "version 2", guard: "6s", preview: host}, "Show the other side")
	s.awaitStep(id, "guard")
	old, err := s.get(host, "/")
	if err != nil || old != "version 1" {
		t.Errorf("the preview shows %q, %v", old, err)
	}
	s.sees(appHost, "version 2")
	s.mustBe(s.await(id), pipeline.Live)
	s.only(id)
	if status, _, _ := s.fetch(t.Context(), host, "/"); status != http.StatusNotFound {
		t.Errorf("the preview's host answers %d when the old color is gone", status)
	}
}
