package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
	"github.com/swingbridge/swingbridge/server/api/client"
)

func TestRollback_NeedsNeitherForgeNorGitHub(t *testing.T) {
	t.Parallel()
	s := live(t)
	s.mustBe(s.await(s.push(release{version: "version 2"}, "Regret this")), pipeline.Live)
	crowd := s.visit(appHost)
	s.forge.Down(true)
	s.hub.SetDown(true)
	asked := s.forge.Requests()
	d, err := s.api.Rollback(t.Context(), appName, "")
	if err != nil {
		t.Fatal(err)
	}
	end := s.mustBe(s.await(d.ID), pipeline.Live)
	crowd.served(time.Now(), "version 1")
	if end.Trigger != pipeline.Rollback || s.forge.Requests() != asked {
		t.Errorf("a %s asked the forge %d times", end.Trigger, s.forge.Requests()-asked)
	}
	s.only(d.ID)
	s.forge.Down(false)
	s.hub.SetDown(false)
	s.check(d.ID, "success")
	s.record(d.ID, "success")
}

func TestRollback_OfWhatIsBeingWatchedSwingsBackAtOnce(t *testing.T) {
	t.Parallel()
	s := live(t)
	crowd := s.visit(appHost)
	id := s.push(release{version: "version 2", guard: "60s"}, "Be doubted")
	s.awaitUntil(id, "watching", func(d api.Deployment) bool { return d.State == pipeline.Watching })
	d, err := s.api.Rollback(t.Context(), appName, "")
	if err != nil || d.ID != id {
		t.Fatalf("the rollback is deployment %s, %v; want %s itself", d.ID, err, id)
	}
	end := s.mustBe(s.await(id), pipeline.RolledBack)
	if code := codeOf(end); code != exitSuperseded {
		t.Errorf("whoever waits for it gets exit code %d for %q", code, end.Reason)
	}
	crowd.served(time.Now(), "version 1")
	s.check(id, "failure")
	if there := s.containers(); len(there) != 1 {
		t.Errorf("containers of %d deployments are there", len(there))
	}
}

func TestCancel_UndoesADeploymentThatRuns(t *testing.T) {
	t.Parallel()
	s := live(t)
	crowd, before := s.visit(appHost), s.containers()
	id := s.push(release{version: "version 2", args: []string{"-slow", "60s"}}, "Never mind")
	s.awaitStep(id, "probe")
	waits := s.push(release{version: "version 3"}, "Wait for it")
	if _, err := s.api.Cancel(t.Context(), waits); err != nil {
		t.Fatal(err)
	}
	s.mustBe(s.await(waits), pipeline.Canceled)
	if _, err := s.api.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	s.mustBe(s.await(id), pipeline.Canceled)
	crowd.served(time.Time{}, "version 1")
	if diff := cmp.Diff(before, s.containers()); diff != "" {
		t.Errorf("containers changed (-before +after):\n%s", diff)
	}
	s.check(id, "cancelled")
	s.check(waits, "cancelled")
	_, err := s.api.Cancel(t.Context(), id)
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Status != http.StatusConflict {
		t.Errorf("canceling what ended was answered %v, want a conflict", err)
	}
}

func TestCancel_OfWhatIsBeingWatchedIsNoFailure(t *testing.T) {
	t.Parallel()
	s := live(t)
	crowd := s.visit(appHost)
	id := s.push(release{version: "version 2", guard: "60s"}, "Think again")
	s.awaitUntil(id, "watching", func(d api.Deployment) bool { return d.State == pipeline.Watching })
	if _, err := s.api.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	end := s.mustBe(s.await(id), pipeline.RolledBack)
	if code := codeOf(end); code != exitSuperseded {
		t.Errorf("whoever waits for it gets exit code %d for %q", code, end.Reason)
	}
	crowd.served(time.Now(), "version 1")
}

func TestEnvironment_ReachesTheContainerAndNobodyElse(t *testing.T) {
	t.Parallel()
	const name, canary, second = "HARBOR_KEY", "tern-4417-\"quay\"&more", "gull-9902-kept-out"
	s := live(t)
	if _, err := s.api.SetEnv(t.Context(), appName, name, canary); err != nil {
		t.Fatal(err)
	}
	said := s.push(release{version: "version 2", args: []string{"-say", name, "-fail", "no luck"}}, "Say too much")
	s.mustBe(s.await(said), pipeline.Failed)
	with := s.push(release{version: "version 3", args: []string{"-say", name}}, "Need a key")
	s.mustBe(s.await(with), pipeline.Live)
	s.wantVariable(name, canary)
	s.wantMasked(name, canary)

	if _, err := s.api.SetEnv(t.Context(), appName, name, second); err != nil {
		t.Fatal(err)
	}
	s.wantVariable(name, canary) // until the next deployment
	s.wantMasked(name, canary)
	s.deploy()
	s.wantVariable(name, second)
	if _, err := s.api.UnsetEnv(t.Context(), appName, name); err != nil {
		t.Fatal(err)
	}
	s.deploy()
	s.wantVariable(name, "")
	back, err := s.api.Rollback(t.Context(), appName, with)
	if err != nil {
		t.Fatal(err)
	}
	s.mustBe(s.await(back.ID), pipeline.Live)
	s.wantVariable(name, canary)

	run := s.check(said, "failure")
	if !strings.Contains(run.Text, name+" is ") || !strings.Contains(s.logOf(said), name+" is ") {
		t.Errorf("the line that has the value is not there at all:\n%s\n%s", run.Text, s.logOf(said))
	}
	for where, text := range s.everything() {
		for _, value := range spellings(canary, second) {
			if bytes.Contains(text, []byte(value)) {
				t.Errorf("%s tells the value as %s", where, value)
			}
		}
	}
}

func TestRemove_TakesTheAppOutForGoodHoweverLongItsServerTakes(t *testing.T) {
	t.Parallel()
	s := running(t)
	// It ends so late that the server's look at what runs falls in between.
	late := reconcileEvery + 3*time.Second
	id := s.push(release{version: "version 1", args: []string{"-linger", late.String()}, grace: "60s"}, "Linger")
	s.mustBe(s.await(id), pipeline.Live)
	if err := s.api.RemoveApp(t.Context(), appName); err != nil {
		t.Fatal(err)
	}
	if _, err := s.get(appHost, "/"); err == nil || err.Error() != "status 404" {
		t.Errorf("the removed app's host is answered %v, want 404 as any unknown one", err)
	}
	if left := s.labelled(); len(left.containers)+len(left.images) > 0 || len(left.networks) != 1 {
		t.Errorf("the removed app left %+v behind", left)
	}
	// Its name is free, and what comes next is not mistaken for it.
	s.addApp(appName, appRepo, appHost)
	s.mustBe(s.await(s.push(release{version: "version 2"}, "Begin anew")), pipeline.Live)
	s.sees(appHost, "version 2")
}

// deploy deploys the branch head anew and waits until it is live.
func (s *site) deploy() {
	s.t.Helper()
	d, err := s.api.Deploy(s.t.Context(), appName, "")
	if err != nil {
		s.t.Fatal(err)
	}
	s.mustBe(s.await(d.ID), pipeline.Live)
}

func (s *site) wantVariable(name, want string) {
	s.t.Helper()
	if got, err := s.get(appHost, "/env?name="+name); err != nil || got != want {
		s.t.Errorf("the app has %s=%q, %v; want %q", name, got, err, want)
	}
}

// wantMasked fails the test unless the app's own output is shown without the
// value that it printed.
func (s *site) wantMasked(name, value string) {
	s.t.Helper()
	log, err := s.api.ServiceLog(s.t.Context(), appName, "web", client.LogPart{})
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := io.ReadAll(log)
	if err := errors.Join(err, log.Close()); err != nil {
		s.t.Fatal(err)
	}
	if !strings.Contains(string(text), name+" is ***") || strings.Contains(string(text), value) {
		s.t.Errorf("the output of the app is shown as %q", text)
	}
}

// spellings are values as they would stand in text, in JSON and in Go's %q.
func spellings(values ...string) []string {
	out := values
	for _, v := range values {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err) // of a string
		}
		out = append(out, strings.Trim(string(text), `"`), strings.ReplaceAll(v, `"`, `\"`))
	}
	return out
}

// everything is what a stranger may get to see: answers of the API, what
// GitHub was told, the servers' logs, and each file of the data folder.
func (s *site) everything() map[string][]byte {
	s.t.Helper()
	out := map[string][]byte{}
	put := func(name string, v any, err error) {
		text, encodeErr := json.Marshal(v)
		if err := errors.Join(err, encodeErr); err != nil {
			s.t.Errorf("%s: %v", name, err)
		}
		out[name] = text
	}
	ctx := s.t.Context()
	all, err := s.api.Deployments(ctx, appName, client.Part{Limit: 100})
	put("list of deployments", all, err)
	for _, d := range all.Items {
		out["log of deployment "+d.ID] = []byte(s.logOf(d.ID))
	}
	vars, err := s.api.Env(ctx, appName)
	put("list of variables", vars, err)
	audit, err := s.api.Audit(ctx, client.Part{Limit: 200})
	put("audit", audit, err)
	plan, err := s.api.Plan(ctx, appName, "")
	put("plan", plan, err)
	services, err := s.api.Services(ctx, appName)
	put("services", services, err)
	put("check runs", s.hub.CheckRuns(), nil)
	put("deployment records", s.hub.Deployments(), nil)
	for name, text := range s.logs() {
		out[name] = []byte(text)
	}
	for _, id := range s.labelled().images {
		image, err := machine(s.t).ImageInspect(ctx, id)
		put("image "+id, image, err)
	}
	err = filepath.WalkDir(s.env["SWINGBRIDGE_DATA"], func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		out["file "+d.Name()], err = os.ReadFile(path)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Error(err)
	}
	return out
}
