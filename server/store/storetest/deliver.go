package storetest

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/store"
)

// queueAll decides that the delivery's commit is queued for each app.
func queueAll(d pipeline.Delivery) func([]pipeline.Standing) pipeline.Delivery {
	return func(standing []pipeline.Standing) pipeline.Delivery {
		d.Outcome, d.Reason, d.Message = pipeline.OutcomeQueued, "push", "queued for all"
		for _, st := range standing {
			d.Apps = append(d.Apps, pipeline.Verdict{
				App: st.App.Name, AppID: st.App.ID, Outcome: pipeline.OutcomeQueued, Reason: "push", Message: "queued",
				Queue: &pipeline.NewDeployment{Commit: d.Commit, Subject: d.Action, Trigger: pipeline.Push, Actor: d.Sender},
			})
		}
		return d
	}
}

func ignore(d pipeline.Delivery) func([]pipeline.Standing) pipeline.Delivery {
	return func([]pipeline.Standing) pipeline.Delivery {
		d.Outcome, d.Reason, d.Message = pipeline.OutcomeIgnored, "not_a_branch", "It is a tag."
		return d
	}
}

func push(id, repo string, repoID int64, commit string) pipeline.Delivery {
	return pipeline.Delivery{
		ID: id, Event: "push", Repo: repo, RepoID: repoID, Ref: "refs/heads/main", Commit: commit, Sender: "ada", Body: []byte(`{"ref":"x"}`),
	}
}

// wantAudit wants one line in the audit log, of what ada asked for of the shop.
func wantAudit(t *testing.T, w *World, want string) {
	t.Helper()
	lines, err := w.Audit(t.Context(), pipeline.Page{})
	must(t, err)
	if len(lines) != 1 || lines[0].Action+" "+lines[0].Target != want || lines[0].Actor != "ada" || lines[0].App != "shop" {
		t.Errorf("audit %+v, want %s", lines, want)
	}
}

func testDeliver(t *testing.T, open Open) {
	t.Run("a delivery is stored with what it caused", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		d := push("guid-1", "owner/SHOP", 7, sha("a"))
		got, err := w.Deliver(t.Context(), d, queueAll(d))
		must(t, err)
		if len(got.Apps) != 1 || got.Outcome != pipeline.OutcomeQueued || got.Apps[0].Queue != nil {
			t.Fatalf("answer %+v", got)
		}
		queued := w.Get(t, got.Apps[0].DeploymentID)
		if queued.DeliveryID != "guid-1" || queued.Commit != sha("a") || queued.AppID != a.ID || !w.HasJob(t, queued.ID) {
			t.Errorf("queued %+v", queued)
		}
		stored, err := w.DeliveryByID(t.Context(), "guid-1")
		must(t, err)
		if diff := cmp.Diff(got, stored); diff != "" {
			t.Error(diff)
		}
		if app, err := w.AppByID(t.Context(), a.ID); err != nil || app.RepoID != 7 || app.Repo != "owner/SHOP" {
			t.Errorf("learned %+v, %v", app, err)
		}
		if head, err := w.SeenHead(t.Context(), a.ID); err != nil || head != sha("a") {
			t.Errorf("seen head %q, %v", head, err)
		}
	})
	t.Run("a button says nothing about the branch's head, and is in the audit log", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		d := push("guid-1", "owner/shop", 7, sha("b"))
		_, err := w.Deliver(t.Context(), d, queueAll(d))
		must(t, err)
		again := push("guid-2", "owner/shop", 7, sha("a"))
		got, err := w.Deliver(t.Context(), again, func(standing []pipeline.Standing) pipeline.Delivery {
			out := queueAll(again)(standing)
			out.Apps[0].Queue.Trigger = pipeline.Redeploy
			return out
		})
		must(t, err)
		wantAudit(t, w, "deployment.create "+got.Apps[0].DeploymentID)
		if head, err := w.SeenHead(t.Context(), a.ID); err != nil || head != sha("b") {
			t.Errorf("after an older commit was deployed again the head is %q, %v", head, err)
		}
	})
	t.Run("whoever asks to go back is told where that is", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		standing := func(id string, goBack bool) (found pipeline.Standing) {
			d := push(id, "owner/shop", 7, sha("a"))
			d.GoBack = goBack
			_, err := w.Deliver(t.Context(), d, func(all []pipeline.Standing) pipeline.Delivery {
				found = all[0]
				return ignore(d)(nil)
			})
			must(t, err)
			return found
		}
		if got := standing("g0", true).LastGood; got.ID != "" {
			t.Errorf("nothing was deployed, and back is %+v", got)
		}
		for i, name := range []string{"r1", "r2"} {
			d := w.Queue(t, a, pipeline.Manual, sha(fmt.Sprint(i)))
			r := release(name, a)
			r.Commit = d.Commit
			must(t, w.SaveRelease(t.Context(), d.ID, r))
			w.GoLive(t, d.ID)
		}
		if got := standing("g1", true).LastGood; got.ReleaseID != "r1" || got.State != pipeline.Retired {
			t.Errorf("back is %+v", got)
		}
		if got := standing("g2", false).LastGood; got.ID != "" {
			t.Errorf("nobody asked, and back is %+v", got)
		}
	})
	t.Run("a run is told to swing back if the delivery is stored, and only then", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		watched := w.Queue(t, a, pipeline.Push, sha("a"))
		w.Walk(t, watched.ID, pipeline.Running, pipeline.CuttingOver, pipeline.Watching)
		swing := func(d pipeline.Delivery, also ...pipeline.Verdict) func([]pipeline.Standing) pipeline.Delivery {
			return func([]pipeline.Standing) pipeline.Delivery {
				d.Outcome, d.Reason = pipeline.OutcomeQueued, "swing_back"
				d.Apps = append([]pipeline.Verdict{{App: "shop", AppID: a.ID, Outcome: d.Outcome, Reason: d.Reason, DeploymentID: watched.ID, SwingBack: true}}, also...)
				return d
			}
		}
		job := func() string {
			v, err := w.Setting(t.Context(), "job."+watched.ID)
			must(t, err)
			return v
		}
		w.Changes()
		d := push("g1", "owner/shop", 7, sha("a"))
		_, err := w.Deliver(t.Context(), d, swing(d, pipeline.Verdict{Queue: &pipeline.NewDeployment{AppID: "nobody"}}))
		wantErr(t, err, pipeline.ErrInvalid)
		if got := job(); got != "yes" || len(w.Changes()) > 0 {
			t.Errorf("a delivery that was not stored left the job as %q", got)
		}
		got, err := w.Deliver(t.Context(), d, swing(d))
		must(t, err)
		if got.Apps[0].DeploymentID != watched.ID || got.Apps[0].SwingBack || job() != pipeline.ErrRollBack.Error() {
			t.Errorf("answered %+v, the job is %q", got.Apps, job())
		}
		want := store.Change{App: "shop", AppID: a.ID, Deployment: watched.ID, Canceled: true}
		if got := w.Changes(); got[len(got)-1] != want {
			t.Errorf("announced %+v, want %+v at last", got, want)
		}
		wantAudit(t, w, "deployment.swing_back "+watched.ID)
		refused := pipeline.Record{
			Deployment: watched.ID, Steps: []pipeline.StepRecord{{Name: "guard", State: pipeline.StepDone}},
			Move: &pipeline.Move{Deployment: watched.ID, From: pipeline.Watching, To: pipeline.Live},
		}
		wantErr(t, w.Record(t.Context(), refused), pipeline.ErrRollBack)
		if got := w.Get(t, watched.ID); got.State != pipeline.Watching || len(got.Steps) > 0 {
			t.Errorf("told to swing back, and it is %s with %+v", got.State, got.Steps)
		}
		watched.ID = "without a job"
		d.ID = "g2"
		_, err = w.Deliver(t.Context(), d, swing(d))
		wantErr(t, err, pipeline.ErrConflict)
	})
	t.Run("the same id is decided once", func(t *testing.T) {
		w := Setup(t, open)
		w.App(t, "shop")
		d := push("guid-1", "owner/shop", 7, sha("a"))
		first, err := w.Deliver(t.Context(), d, queueAll(d))
		must(t, err)
		again, err := w.Deliver(t.Context(), d, func([]pipeline.Standing) pipeline.Delivery {
			t.Error("decided twice")
			return d
		})
		must(t, err)
		if again.Outcome != pipeline.OutcomeDuplicate || again.Reason != "duplicate" || !strings.Contains(again.Message, "queued") {
			t.Errorf("answer %+v", again)
		}
		if diff := cmp.Diff(first.Apps, again.Apps); diff != "" {
			t.Error(diff)
		}
		if stored, err := w.DeliveryByID(t.Context(), "guid-1"); err != nil || stored.Outcome != pipeline.OutcomeQueued {
			t.Errorf("stored %+v, %v", stored, err)
		}
	})
	t.Run("a repository is followed by its id through a rename", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		first := push("g1", "Owner/shop", 7, sha("a"))
		_, err := w.Deliver(t.Context(), first, ignore(first))
		must(t, err)
		for _, d := range []pipeline.Delivery{push("g2", "owner/shop", 8, sha("b")), push("g3", "owner/shop", 0, sha("b")), push("g4", "", 0, "")} {
			_, err := w.Deliver(t.Context(), d, func(standing []pipeline.Standing) pipeline.Delivery {
				if len(standing) != 0 {
					t.Errorf("%s: a repository of another id reached %+v", d.ID, standing)
				}
				return ignore(d)(nil)
			})
			must(t, err)
		}
		moved := push("g5", "Company/store", 7, sha("c"))
		got, err := w.Deliver(t.Context(), moved, queueAll(moved))
		must(t, err)
		if app, err := w.AppByID(t.Context(), a.ID); err != nil || app.Repo != "Company/store" || len(got.Apps) != 1 {
			t.Errorf("after the rename %+v, %v", app, err)
		}
	})
	t.Run("who decides is told what is open, newest first", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		gone, live, queued := w.Queue(t, a, pipeline.Manual, sha("a")), w.Queue(t, a, pipeline.Manual, sha("b")), w.Queue(t, a, pipeline.Manual, sha("c"))
		w.Walk(t, gone.ID, pipeline.Running, pipeline.Failed)
		w.GoLive(t, live.ID)
		d := push("g1", "owner/shop", 7, sha("d"))
		_, err := w.Deliver(t.Context(), d, func(standing []pipeline.Standing) pipeline.Delivery {
			if len(standing) != 1 || !cmp.Equal(ids(standing[0].Deployments), []string{queued.ID, live.ID}) {
				t.Errorf("standing %+v", standing)
			}
			return ignore(d)(nil)
		})
		must(t, err)
	})
	t.Run("of several apps each has its own deployment", func(t *testing.T) {
		w := Setup(t, open)
		a, b := w.App(t, "shop"), w.App(t, "blog")
		b.Repo = a.Repo
		_, err := w.UpdateApp(t.Context(), b)
		must(t, err)
		d := push("g1", a.Repo, 7, sha("a"))
		got, err := w.Deliver(t.Context(), d, queueAll(d))
		must(t, err)
		if len(got.Apps) != 2 || got.Apps[0].App != "blog" || got.Apps[1].App != "shop" || got.Apps[0].DeploymentID == got.Apps[1].DeploymentID {
			t.Errorf("verdicts %+v", got.Apps)
		}
	})
	t.Run("one that fails takes nothing of the others with it", func(t *testing.T) {
		w := Setup(t, open)
		w.App(t, "shop")
		for _, bad := range []func([]pipeline.Standing) pipeline.Delivery{
			func([]pipeline.Standing) pipeline.Delivery { panic("a bug") },
			func([]pipeline.Standing) pipeline.Delivery { return pipeline.Delivery{} },
			queueAll(pipeline.Delivery{Commit: sha("a"), Action: "no job for this"}),
		} {
			var wg sync.WaitGroup
			for i := range 32 {
				wg.Go(func() {
					d := push(fmt.Sprint("bad-", i), "owner/shop", 7, sha("b"))
					decide := bad
					if i%2 == 0 {
						d.ID = fmt.Sprintf("good-%p-%d", bad, i)
						decide = ignore(d)
					}
					if _, err := w.Deliver(t.Context(), d, decide); (err == nil) != (i%2 == 0) {
						t.Errorf("%s: %v", d.ID, err)
					}
				})
			}
			wg.Wait()
		}
		list, err := w.Deliveries(t.Context(), pipeline.Page{Limit: 200})
		must(t, err)
		open, err := w.Deployments(t.Context(), pipeline.DeploymentQuery{})
		must(t, err)
		if len(list) != 48 || len(open) != 0 {
			t.Errorf("%d deliveries and %d deployments are stored, want 48 and 0", len(list), len(open))
		}
	})
	t.Run("a flood of redeliveries makes one deployment", func(t *testing.T) {
		w := Setup(t, open)
		w.App(t, "shop")
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for i := range 20 {
					d := push(fmt.Sprint("guid-", i), "owner/shop", 7, sha("a"))
					if _, err := w.Deliver(t.Context(), d, queueAll(d)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		all, err := w.Deployments(t.Context(), pipeline.DeploymentQuery{Page: pipeline.Page{Limit: 200}})
		must(t, err)
		queued, err := w.Deployments(t.Context(), pipeline.DeploymentQuery{States: []pipeline.State{pipeline.Queued}})
		must(t, err)
		if len(all) != 20 || len(queued) != 1 || queued[0].ID != all[0].ID {
			t.Errorf("%d deployments, %d of them queued; want 20 and the newest", len(all), len(queued))
		}
	})
	t.Run("pages of deliveries meet without gap or overlap", func(t *testing.T) {
		w := Setup(t, open)
		var want []string
		for i := range 5 {
			d := push(fmt.Sprint("guid-", 9-i), "owner/shop", 7, sha("a"))
			_, err := w.Deliver(t.Context(), d, ignore(d))
			must(t, err)
			want = append([]string{d.ID}, want...)
		}
		first, err := w.Deliveries(t.Context(), pipeline.Page{Limit: 2})
		must(t, err)
		rest, err := w.Deliveries(t.Context(), pipeline.Page{After: first[1].ID})
		must(t, err)
		var got []string
		for _, d := range append(first, rest...) {
			got = append(got, d.ID)
			if d.Body != nil || d.Outcome != pipeline.OutcomeIgnored || d.Reason != "not_a_branch" {
				t.Errorf("listed %+v", d)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		_, err = w.Deliveries(t.Context(), pipeline.Page{After: "none"})
		wantErr(t, err, pipeline.ErrNotFound)
	})
}
