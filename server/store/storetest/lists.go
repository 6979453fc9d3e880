package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/store"
)

func testSteps(t *testing.T, open Open) {
	w := Setup(t, open)
	d := w.Queue(t, w.App(t, "shop"), pipeline.Push, sha("a"))
	w.Changes()
	begun := w.Clock.Add(time.Second)
	fetch := pipeline.StepRecord{Attempt: 1, Name: "fetch", State: pipeline.StepRunning, StartedAt: begun, LogOffset: 12}
	write := func(r ...pipeline.StepRecord) {
		must(t, w.Record(t.Context(), pipeline.Record{Deployment: d.ID, Steps: r}))
	}
	write(fetch)
	if diff := cmp.Diff([]pipeline.StepRecord{fetch}, w.Get(t, d.ID).Steps); diff != "" {
		t.Error(diff)
	}
	if got := w.Changes(); len(got) != 1 || got[0].Step != "fetch" || got[0].State != pipeline.Queued {
		t.Errorf("announced %+v", got)
	}
	write(pipeline.StepRecord{Attempt: 1, Name: "build", State: pipeline.StepRunning, StartedAt: begun},
		pipeline.StepRecord{Attempt: 1, Name: "fetch", State: pipeline.StepDone, Detail: "12 objects", EndedAt: begun})
	write(pipeline.StepRecord{Attempt: 1, Name: "build", State: pipeline.StepFailed, Error: "Dockerfile: no such file", StartedAt: begun, EndedAt: begun})
	write(pipeline.StepRecord{Attempt: 2, Name: "build", State: pipeline.StepRunning, StartedAt: begun})
	fetch.State, fetch.Detail, fetch.EndedAt = pipeline.StepDone, "12 objects", begun
	want := []pipeline.StepRecord{
		fetch,
		{Attempt: 1, Name: "build", State: pipeline.StepFailed, Error: "Dockerfile: no such file", StartedAt: begun, EndedAt: begun},
		{Attempt: 2, Name: "build", State: pipeline.StepRunning, StartedAt: begun},
	}
	if diff := cmp.Diff(want, w.Get(t, d.ID).Steps); diff != "" {
		t.Error(diff)
	}
	wantErr(t, w.Record(t.Context(), pipeline.Record{Deployment: "none", Steps: want[:1]}), pipeline.ErrNotFound)
}

func testLists(t *testing.T, open Open) {
	t.Run("pages of deployments meet without gap or overlap", func(t *testing.T) {
		w := Setup(t, open)
		a, b := w.App(t, "shop"), w.App(t, "blog")
		var want []string
		for i := range 7 {
			d := w.Queue(t, a, pipeline.Manual, sha("a"))
			step := pipeline.StepRecord{Attempt: 1, Name: fmt.Sprint("step", i), State: pipeline.StepDone, StartedAt: d.CreatedAt}
			must(t, w.Record(t.Context(), pipeline.Record{Deployment: d.ID, Steps: []pipeline.StepRecord{step}}))
			want = append([]string{d.ID}, want...)
			w.Queue(t, b, pipeline.Manual, sha("b"))
		}
		var got []string
		q := pipeline.DeploymentQuery{AppID: a.ID, Page: pipeline.Page{Limit: 3}}
		for {
			list, err := w.Deployments(t.Context(), q)
			must(t, err)
			if len(list) == 0 {
				break
			}
			for _, d := range list {
				got = append(got, d.ID)
				if len(d.Steps) != 1 {
					t.Errorf("%s has steps %+v", d.ID, d.Steps)
				}
			}
			q.After = got[len(got)-1]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		all, err := w.Deployments(t.Context(), pipeline.DeploymentQuery{})
		must(t, err)
		if len(all) != 14 {
			t.Errorf("%d deployments of all apps, want 14", len(all))
		}
	})
	t.Run("states select", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		live, running, queued := w.Queue(t, a, pipeline.Manual, sha("a")), w.Queue(t, a, pipeline.Manual, sha("b")), w.Queue(t, a, pipeline.Manual, sha("c"))
		w.GoLive(t, live.ID)
		w.Walk(t, running.ID, pipeline.Running)
		list, err := w.Deployments(t.Context(), pipeline.DeploymentQuery{AppID: a.ID, States: []pipeline.State{pipeline.Queued, pipeline.Running}})
		must(t, err)
		if diff := cmp.Diff([]string{queued.ID, running.ID}, ids(list)); diff != "" {
			t.Error(diff)
		}
		active, err := w.Active(t.Context())
		must(t, err)
		if diff := cmp.Diff([]string{live.ID, running.ID}, ids(active)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("an app without a live deployment says so", func(t *testing.T) {
		w := Setup(t, open)
		_, err := w.LiveDeployment(t.Context(), w.App(t, "shop").ID)
		wantErr(t, err, pipeline.ErrNotFound)
	})
}

func ids(list []pipeline.Deployment) []string {
	var out []string
	for _, d := range list {
		out = append(out, d.ID)
	}
	return out
}

func testReports(t *testing.T, open Open) {
	w := Setup(t, open)
	d := w.Queue(t, w.App(t, "shop"), pipeline.Push, sha("a"))
	now := w.Clock.Now()
	due := func(at time.Time) []pipeline.Report {
		list, err := w.DueReports(t.Context(), at, 10)
		must(t, err)
		return list
	}
	check := due(now)[0]
	w.Walk(t, d.ID, pipeline.Running)
	must(t, w.ReportSent(t.Context(), check, check.Wanted, 77))
	if got := due(now)[0]; got.Wanted != 2 || got.Sent != 1 || got.RemoteID != 77 {
		t.Errorf("a change while sending was lost: %+v", got)
	}
	later := w.Clock.Add(time.Minute)
	must(t, w.ReportFailed(t.Context(), check, later, "502 Bad Gateway"))
	w.Walk(t, d.ID, pipeline.Failed)
	if got := due(now); len(got) != 1 || got[0].Target != pipeline.ReportDeployment {
		t.Errorf("due before its time: %+v", got)
	}
	want := pipeline.Report{
		Deployment: d.ID, Target: pipeline.ReportCheck, Wanted: 3, Sent: 1, RemoteID: 77, Tries: 1, NextAt: later, LastError: "502 Bad Gateway",
	}
	if diff := cmp.Diff(want, due(later)[1]); diff != "" {
		t.Error(diff)
	}
	must(t, w.ReportSent(t.Context(), check, 3, 0))
	must(t, w.ReportSent(t.Context(), check, 2, 0))
	if got := due(later); len(got) != 1 {
		t.Errorf("sent, but due again: %+v", got)
	}
	check.Target = "none"
	wantErr(t, w.ReportSent(t.Context(), check, 1, 1), pipeline.ErrNotFound)
}

func testAudit(t *testing.T, open Open) {
	w := Setup(t, open)
	for i := range 5 {
		must(t, w.AddAudit(t.Context(), pipeline.AuditEntry{
			Actor: "ada", From: "192.0.2.1", Action: "env.set", App: "shop", Target: fmt.Sprint("NAME", i), Detail: "version 3",
		}))
	}
	first, err := w.Audit(t.Context(), pipeline.Page{Limit: 3})
	must(t, err)
	rest, err := w.Audit(t.Context(), pipeline.Page{After: first[2].ID})
	must(t, err)
	var got []string
	for _, e := range append(first, rest...) {
		got = append(got, e.Target)
	}
	if diff := cmp.Diff([]string{"NAME4", "NAME3", "NAME2", "NAME1", "NAME0"}, got); diff != "" {
		t.Error(diff)
	}
	want := pipeline.AuditEntry{
		ID: rest[1].ID, At: w.Clock.Add(0), Actor: "ada", From: "192.0.2.1", Action: "env.set", App: "shop", Target: "NAME0", Detail: "version 3",
	}
	if diff := cmp.Diff(want, rest[1]); diff != "" {
		t.Error(diff)
	}
}

func testTokens(t *testing.T, open Open) {
	w := Setup(t, open)
	made, err := w.CreateToken(t.Context(), pipeline.Token{Name: "ci", Role: pipeline.Deployer, Hash: []byte("hash")})
	must(t, err)
	_, err = w.CreateToken(t.Context(), pipeline.Token{Name: "ci", Role: pipeline.Viewer, Hash: []byte("other")})
	wantErr(t, err, pipeline.ErrExists, "ci")
	_, err = w.CreateToken(t.Context(), pipeline.Token{Name: "x", Role: "root", Hash: []byte("other")})
	wantErr(t, err, pipeline.ErrInvalid)
	made.UsedAt = w.Clock.Add(time.Hour)
	for _, step := range []time.Duration{0, time.Second, 30 * time.Second} {
		w.Clock.Add(step)
		got, err := w.TokenByHash(t.Context(), []byte("hash"))
		must(t, err)
		if diff := cmp.Diff(made, got); diff != "" {
			t.Error(diff)
		}
	}
	session := pipeline.Session{
		Hash: []byte("s1"), TokenID: made.ID, Name: "ci", Role: pipeline.Deployer, CreatedAt: w.Clock.Add(0), ExpiresAt: w.Clock.Add(0).Add(time.Hour),
	}
	must(t, w.CreateSession(t.Context(), session))
	free := session
	free.Hash, free.TokenID = []byte("s2"), ""
	must(t, w.CreateSession(t.Context(), free))
	got, err := w.SessionByHash(t.Context(), session.Hash)
	must(t, err)
	if diff := cmp.Diff(session, got); diff != "" {
		t.Error(diff)
	}
	must(t, w.RevokeToken(t.Context(), "ci"))
	_, err = w.SessionByHash(t.Context(), session.Hash)
	wantErr(t, err, pipeline.ErrNotFound)
	_, err = w.TokenByHash(t.Context(), []byte("hash"))
	wantErr(t, err, pipeline.ErrNotFound)
	wantErr(t, w.RevokeToken(t.Context(), made.ID), pipeline.ErrNotFound)
	_, err = w.CreateToken(t.Context(), pipeline.Token{Name: "ci", Role: pipeline.Viewer, Hash: []byte("other")})
	must(t, err)
	tokens, err := w.Tokens(t.Context())
	must(t, err)
	if len(tokens) != 2 || tokens[0].RevokedAt != (time.Time{}) || tokens[1].RevokedAt.IsZero() {
		t.Errorf("tokens %+v", tokens)
	}
	must(t, w.DeleteSession(t.Context(), []byte("none")))
	w.Clock.Add(time.Hour)
	_, err = w.SessionByHash(t.Context(), free.Hash)
	wantErr(t, err, pipeline.ErrNotFound)
}

func testSettings(t *testing.T, open Open) {
	w := Setup(t, open)
	for _, want := range []string{"", "a", "b"} {
		if want != "" {
			must(t, w.SetSetting(t.Context(), "key", want))
		}
		if got, err := w.Setting(t.Context(), "key"); err != nil || got != want {
			t.Errorf("setting %q, %v; want %q", got, err, want)
		}
	}
	id, err := w.Installation(t.Context())
	must(t, err)
	again, err := w.Installation(t.Context())
	must(t, err)
	if len(id) != 6 || id != again {
		t.Errorf("installation %q, then %q", id, again)
	}
	wantErr(t, w.SetSetting(t.Context(), "installation", "other"), pipeline.ErrInvalid)
	var _ pipeline.Records = w.Store
	var _ interface {
		pipeline.Releases
		pipeline.Heads
		pipeline.Vault
		pipeline.Addresses
	} = (*store.Store)(nil)
}
