package storetest

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
	"github.com/swingbridge/swingbridge/server/store"
)

func testQueue(t *testing.T, open Open) {
	t.Run("a queued deployment has its job and its reports", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		w.Changes()
		d, err := w.QueueDeployment(t.Context(), pipeline.NewDeployment{
			AppID: a.ID, Commit: sha("a"), Subject: "Fix it", Trigger: pipeline.Redeploy, Actor: "ada", DeliveryID: "guid",
		})
		must(t, err)
		want := pipeline.Deployment{
			ID: d.ID, AppID: a.ID, AppName: "shop", Commit: sha("a"), Subject: "Fix it", Trigger: pipeline.Redeploy,
			Actor: "ada", DeliveryID: "guid", State: pipeline.Queued, CreatedAt: w.Clock.Add(0),
		}
		if diff := cmp.Diff(want, w.Get(t, d.ID)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(want, d); diff != "" {
			t.Error(diff)
		}
		if !w.HasJob(t, d.ID) {
			t.Error("no job")
		}
		if diff := cmp.Diff([]store.Change{{App: "shop", AppID: a.ID, Deployment: d.ID, State: pipeline.Queued, Queued: true}}, w.Changes()); diff != "" {
			t.Error(diff)
		}
		due, err := w.DueReports(t.Context(), w.Clock.Now(), 10)
		must(t, err)
		if len(due) != 2 || due[0].Target != pipeline.ReportCheck || due[0].Wanted != 1 {
			t.Errorf("reports: %+v", due)
		}
	})
	t.Run("the newest push wins", func(t *testing.T) {
		w := Setup(t, open)
		a, other := w.App(t, "shop"), w.App(t, "blog")
		elsewhere, manual := w.Queue(t, other, pipeline.Push, sha("a")), w.Queue(t, a, pipeline.Manual, sha("a"))
		older, newer := w.Queue(t, a, pipeline.Push, sha("b")), w.Queue(t, a, pipeline.Poll, sha("c"))
		byHand := w.Queue(t, a, pipeline.Redeploy, sha("d"))
		got := w.Get(t, older.ID)
		if got.State != pipeline.Superseded || got.Reason != "superseded by the newer commit ccccccc before it began" || got.EndedAt.IsZero() {
			t.Errorf("older: %+v", got)
		}
		if w.HasJob(t, older.ID) {
			t.Error("the superseded deployment still has a job")
		}
		for _, id := range []string{elsewhere.ID, manual.ID, newer.ID, byHand.ID} {
			if w.Get(t, id).State != pipeline.Queued || !w.HasJob(t, id) {
				t.Errorf("%s was touched", id)
			}
		}
		due, err := w.DueReports(t.Context(), w.Clock.Now(), 100)
		must(t, err)
		for _, r := range due {
			if want := int64(1); r.Deployment == older.ID && r.Wanted != want+1 || r.Deployment != older.ID && r.Wanted != want {
				t.Errorf("report %+v", r)
			}
		}
	})
	t.Run("a running push is not superseded from outside", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		running := w.Queue(t, a, pipeline.Push, sha("a"))
		w.Walk(t, running.ID, pipeline.Running)
		w.Queue(t, a, pipeline.Push, sha("b"))
		if got := w.Get(t, running.ID).State; got != pipeline.Running {
			t.Errorf("running became %s", got)
		}
	})
	t.Run("ids sort by order although the clock goes back", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		last := ""
		for _, step := range []time.Duration{0, 0, time.Millisecond, -time.Hour, 0, 2 * time.Hour} {
			w.Clock.Add(step)
			d := w.Queue(t, a, pipeline.Manual, sha("a"))
			if d.ID <= last {
				t.Fatalf("id %s after %s", d.ID, last)
			}
			last = d.ID
		}
	})
	t.Run("what cannot be queued leaves nothing", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		w.Changes()
		for want, n := range map[error]pipeline.NewDeployment{
			pipeline.ErrNotFound: {AppID: a.ID, Trigger: pipeline.Rollback, ReleaseID: "none"},
			pipeline.ErrInvalid:  {AppID: a.ID, Commit: sha("a")},
		} {
			_, err := w.QueueDeployment(t.Context(), n)
			wantErr(t, err, want)
		}
		_, err := w.QueueDeployment(t.Context(), pipeline.NewDeployment{AppID: "none", Trigger: pipeline.Push})
		wantErr(t, err, pipeline.ErrNotFound, "none")
		_, err = w.QueueDeployment(t.Context(), pipeline.NewDeployment{AppID: a.ID, Trigger: pipeline.Push, Subject: "no job for this"})
		if err == nil {
			t.Error("a deployment was queued without its job")
		}
		all, err := w.Deployments(t.Context(), pipeline.DeploymentQuery{})
		must(t, err)
		if len(all) != 0 || len(w.Changes()) != 0 {
			t.Errorf("left behind: %+v", all)
		}
	})
	t.Run("a rollback begins with its release and its commit", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		d := w.Queue(t, a, pipeline.Push, sha("a"))
		must(t, w.SaveRelease(t.Context(), d.ID, pipeline.Release{ID: "r1", AppID: a.ID, Commit: sha("a"), Stack: stack.Stack{Keep: 5}}))
		back, err := w.QueueDeployment(t.Context(), pipeline.NewDeployment{AppID: a.ID, Trigger: pipeline.Rollback, ReleaseID: "r1"})
		must(t, err)
		if got := w.Get(t, back.ID); got.ReleaseID != "r1" || got.Commit != sha("a") {
			t.Errorf("rollback: %+v", got)
		}
	})
}

// testRandomMoves compares the store with a model of a few lines: whatever is
// asked in whatever order, a state changes only along the table, and at most
// one deployment of an app is live.
func testRandomMoves(t *testing.T, open Open) {
	for seed := range uint64(4) {
		w := Setup(t, open)
		rnd := rand.New(rand.NewPCG(seed, 42))
		apps := []pipeline.App{w.App(t, "shop"), w.App(t, "blog")}
		model := map[string]pipeline.State{}
		automatic, appOf := map[string]bool{}, map[string]string{}
		var ids []string
		live := func(app string) string {
			for id, s := range model {
				if s == pipeline.Live && appOf[id] == app {
					return id
				}
			}
			return ""
		}
		for range 400 {
			if len(ids) == 0 || rnd.IntN(6) == 0 {
				a := apps[rnd.IntN(len(apps))]
				trigger := []pipeline.Trigger{pipeline.Push, pipeline.Poll, pipeline.Manual}[rnd.IntN(3)]
				d := w.Queue(t, a, trigger, sha("a"))
				for _, id := range ids {
					if trigger.Automatic() && automatic[id] && appOf[id] == a.ID && model[id] == pipeline.Queued {
						model[id] = pipeline.Superseded
					}
				}
				ids = append(ids, d.ID)
				model[d.ID], automatic[d.ID], appOf[d.ID] = pipeline.Queued, trigger.Automatic(), a.ID
				continue
			}
			m := pipeline.Move{Deployment: ids[max(0, len(ids)-1-rnd.IntN(12))], From: pipeline.States()[rnd.IntN(11)], To: pipeline.States()[rnd.IntN(11)]}
			if next := model[m.Deployment].Next(); len(next) > 0 && rnd.IntN(3) > 0 {
				m.From, m.To = model[m.Deployment], next[rnd.IntN(len(next))]
			}
			was := live(appOf[m.Deployment])
			if m.To == pipeline.Live && rnd.IntN(2) == 0 {
				m.Retire = was
			}
			if m.From == pipeline.Running && m.To == pipeline.Live && rnd.IntN(2) == 0 {
				m.Carries = "the stack that is live"
			}
			whole := (m.From == pipeline.Running && m.To == pipeline.Live) == (m.Carries != "")
			allowed := whole && m.From.CanBecome(m.To) && model[m.Deployment] == m.From && (m.To != pipeline.Live || m.Retire == was)
			if err := w.Move(t.Context(), m); (err == nil) != allowed {
				t.Fatalf("seed %d: %+v in %s: %v, allowed %v", seed, m, model[m.Deployment], err, allowed)
			}
			if allowed {
				model[m.Deployment] = m.To
				if m.Retire != "" {
					model[m.Retire] = pipeline.Retired
				}
			}
		}
		compareStates(t, w, model)
	}
}

func compareStates(t *testing.T, w *World, model map[string]pipeline.State) {
	t.Helper()
	got := map[string]pipeline.State{}
	for id := range model {
		d := w.Get(t, id)
		got[id] = d.State
		if d.State.Ended() == d.EndedAt.IsZero() || d.State == pipeline.Live && d.LiveAt.IsZero() {
			t.Errorf("times of %+v", d)
		}
	}
	if diff := cmp.Diff(model, got); diff != "" {
		t.Error(diff)
	}
}
