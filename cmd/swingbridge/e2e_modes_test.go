package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
	"github.com/swingbridge/swingbridge/server/api"
)

func TestModes_MeetVisitorsAsAnOperatorSays(t *testing.T) {
	t.Parallel()
	s := running(t)
	// Before anything is there to be met: stored, and in force with the first deployment.
	page := "<h1>Back at ten</h1>"
	if set := s.mode(api.ModeChange{Kind: "maintenance", Page: page}); set.Applied || set.Pending == "" {
		t.Errorf("for an app without a deployment: %+v", set)
	}
	s.mustBe(s.await(s.push(release{version: "version 1"}, "Open the harbor")), pipeline.Live)
	status, body, head := s.fetch(t.Context(), appHost, "/")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, page) || head.Get("Retry-After") == "" {
		t.Errorf("in maintenance visitors get %d, %v: %s", status, head, body)
	}
	if a, err := s.api.App(t.Context(), appName); err != nil || a.Mode.Kind != "maintenance" || a.Mode.Page != page {
		t.Errorf("the app's mode is %+v, %v", a.Mode, err)
	}

	// A deployment is proved, and changes nothing about it.
	s.mustBe(s.await(s.push(release{version: "version 2"}, "Add a second quay")), pipeline.Live)
	if status, _, _ = s.fetch(t.Context(), appHost, "/"); status != http.StatusServiceUnavailable {
		t.Errorf("after a deployment visitors get %d", status)
	}
	if set := s.mode(api.ModeChange{Kind: "serve"}); !set.Applied {
		t.Errorf("serving again: %+v", set)
	}
	s.sees(appHost, "version 2")

	// Who is held is answered when that ends.
	s.mode(api.ModeChange{Kind: "hold", Wait: "60s", For: "5m"})
	held := make(chan string, 1)
	go func() {
		_, body, _ := s.fetch(context.WithoutCancel(t.Context()), appHost, "/")
		held <- body
	}()
	select {
	case body := <-held:
		t.Errorf("while requests are held one is answered %q", body)
	case <-time.After(time.Second):
	}
	s.mode(api.ModeChange{Kind: "serve"})
	if body := <-held; !strings.Contains(body, "version 2") {
		t.Errorf("the held request was answered %q", body)
	}
}

func TestRedirects_SendVisitorsOnFromTheNextDeployment(t *testing.T) {
	t.Parallel()
	s := live(t)
	redirects := []stack.Redirect{{Host: "www." + appHost, To: "http://" + appHost}}
	if _, err := s.api.UpdateApp(t.Context(), appName, api.AppChange{Redirects: &redirects}); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := s.fetch(t.Context(), "www."+appHost, "/"); status != http.StatusNotFound {
		t.Errorf("before a deployment the new host is answered %d", status)
	}
	s.deploy()
	status, _, head := s.fetch(t.Context(), "www."+appHost, "/quays?n=2")
	if to := head.Get("Location"); status != http.StatusPermanentRedirect || to != "http://"+appHost+"/quays?n=2" {
		t.Errorf("after it: %d to %s", status, to)
	}
	s.sees(appHost, "version 1")
}

func (s *site) mode(change api.ModeChange) api.ModeSet {
	s.t.Helper()
	set, err := s.api.SetMode(s.t.Context(), appName, change)
	if err != nil {
		s.t.Fatal(err)
	}
	return set
}

// fetch is one request of a visitor with a browser, whatever it is answered.
func (s *site) fetch(ctx context.Context, host, path string) (status int, body string, head http.Header) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.web+path, nil)
	if err != nil {
		s.t.Error(err)
		return 0, "", nil
	}
	req.Host = host
	req.Header.Set("Accept", "text/html")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		s.t.Error(err)
		return 0, "", nil
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Error(err)
	}
	return resp.StatusCode, string(text), resp.Header
}
