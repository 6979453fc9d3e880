package main

import (
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
)

// prepared is an app whose web waits for a task that leaves a note each time that
// it runs.
func (s *site) prepared(version string) map[string]string {
	s.t.Helper()
	files := s.files(release{version: version})
	files["compose.yml"] = `
services:
  web:
    build: .
    volumes: ["data:/data"]
    depends_on: {prepare: {condition: service_completed_successfully}}
    x-swingbridge: {probe: {interval: 100ms}}
  prepare:
    build: .
    entrypoint: [/app, -note, /data]
    volumes: ["data:/data"]
volumes: {data: {}}
x-swingbridge: {guard: 1s}
`
	return files
}

func TestTask_ThatTheWebWaitsForRunsOncePerRelease(t *testing.T) {
	t.Parallel()
	s := running(t)
	ran := func(want int, after string) {
		t.Helper()
		got, err := s.get(appHost, "/list?in=/data")
		if n := len(strings.Fields(got)); err != nil || n != want {
			t.Errorf("after %s it ran %d times (%q, %v), want %d", after, n, got, err, want)
		}
	}
	first := s.mustBe(s.await(s.pushFiles(appRepo, s.prepared("version 1"), "Open the harbor")), pipeline.Live)
	ran(1, "the first push")
	if text := s.logOf(first.ID); !strings.Contains(text, "noted in /data/note-") {
		t.Errorf("its output is not in the deployment's log:\n%s", text)
	}
	again, err := s.api.Deploy(t.Context(), appName, first.Commit)
	if err != nil {
		t.Fatal(err)
	}
	s.mustBe(s.await(again.ID), pipeline.Live)
	ran(1, "the same release again")
	s.mustBe(s.await(s.pushFiles(appRepo, s.prepared("version 1"), "Say it in other words")), pipeline.Live)
	ran(1, "a push that changes nothing")
	s.mustBe(s.await(s.pushFiles(appRepo, s.prepared("version 2"), "Add a second quay")), pipeline.Live)
	ran(2, "the next release")
	s.eventually("the web alone", func() bool { return len(s.labelled().containers) == 1 })
}
