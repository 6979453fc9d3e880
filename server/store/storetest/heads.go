package storetest

import (
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
)

func testHeads(t *testing.T, open Open) {
	queueHead := func(t *testing.T, w *World, a pipeline.App, commit string, want bool) {
		t.Helper()
		got, err := w.QueueHead(t.Context(), pipeline.Head{AppID: a.ID, Commit: commit, Because: "the head is newer"})
		if err != nil || got != want {
			t.Fatalf("queue head %s: %v, %v; want %v", commit[:1], got, err, want)
		}
	}
	t.Run("a head is queued unless it is there", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		queueHead(t, w, a, sha("a"), true)
		queueHead(t, w, a, sha("a"), false)
		list, err := w.Deployments(t.Context(), pipeline.DeploymentQuery{})
		must(t, err)
		id := list[0].ID
		if len(list) != 1 || list[0].Trigger != pipeline.Poll || !w.HasJob(t, id) {
			t.Errorf("queued %+v", list)
		}
		for _, state := range []pipeline.State{pipeline.Running, pipeline.CuttingOver, pipeline.Watching, pipeline.Live} {
			w.Walk(t, id, state)
			queueHead(t, w, a, sha("a"), false)
		}
		if head, err := w.SeenHead(t.Context(), a.ID); err != nil || head != sha("a") {
			t.Errorf("seen head %q, %v", head, err)
		}
		audit, err := w.Audit(t.Context(), pipeline.Page{})
		must(t, err)
		if len(audit) != 1 || audit[0].Target != id || audit[0].Detail != "the head is newer" || audit[0].Actor != "swingbridge" {
			t.Errorf("audit %+v", audit)
		}
		queueHead(t, w, a, sha("b"), true)
		w.Walk(t, id, pipeline.Retired)
		queueHead(t, w, a, sha("a"), true)
	})
	t.Run("a head that moved back to what is live counts, if another one would take its place", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		live := w.Queue(t, a, pipeline.Push, sha("a"))
		w.GoLive(t, live.ID)
		queueHead(t, w, a, sha("a"), false)
		next := w.Queue(t, a, pipeline.Push, sha("b"))
		w.Walk(t, next.ID, pipeline.Running)
		instead := pipeline.Head{AppID: a.ID, Commit: sha("a"), Instead: next.ID}
		if got, err := w.QueueHead(t.Context(), instead); err != nil || got {
			t.Errorf("instead of the one before it: %v, %v", got, err)
		}
		queueHead(t, w, a, sha("a"), true)
	})
	t.Run("a head read at fetch yields to a push that came in since", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		old := w.Queue(t, a, pipeline.Push, sha("a"))
		w.Walk(t, old.ID, pipeline.Running)
		passed := w.Queue(t, a, pipeline.Push, sha("b"))
		newest := w.Queue(t, a, pipeline.Push, sha("c"))
		seen, err := w.SeenHead(t.Context(), a.ID)
		must(t, err)
		got, err := w.QueueHead(t.Context(), pipeline.Head{AppID: a.ID, Commit: passed.Commit, Instead: old.ID})
		if err != nil || got || w.Get(t, newest.ID).State != pipeline.Queued {
			t.Errorf("queued %v, %v; the newest push is %s", got, err, w.Get(t, newest.ID).State)
		}
		if now, err := w.SeenHead(t.Context(), a.ID); err != nil || now != seen {
			t.Errorf("seen head went from %q to %q, %v", seen, now, err)
		}
	})
	t.Run("a head read before a push came in is no news", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		must(t, w.SetSeenHead(t.Context(), a.ID, "", sha("a")))
		must(t, w.SetSeenHead(t.Context(), a.ID, sha("b"), sha("c")))
		stale := pipeline.Head{AppID: a.ID, Commit: sha("d"), Was: sha("b")}
		if got, err := w.QueueHead(t.Context(), stale); err != nil || got {
			t.Errorf("stale head: %v, %v", got, err)
		}
		if head, err := w.SeenHead(t.Context(), a.ID); err != nil || head != sha("a") {
			t.Errorf("seen head %q, %v", head, err)
		}
	})
	t.Run("a head that was deployed by hand is no news, however that ended", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		must(t, w.SetSeenHead(t.Context(), a.ID, "", sha("a")))
		n := pipeline.NewDeployment{AppID: a.ID, Commit: sha("b"), Trigger: pipeline.Manual, AtHead: true, HeadWas: sha("a")}
		d, err := w.QueueDeployment(t.Context(), n)
		must(t, err)
		w.Walk(t, d.ID, pipeline.Running, pipeline.Canceled)
		if head, err := w.SeenHead(t.Context(), a.ID); err != nil || head != sha("b") {
			t.Errorf("seen head %q, %v", head, err)
		}
		// A push that came in while the head was read is the newer one.
		n.Commit, n.HeadWas = sha("c"), sha("a")
		_, err = w.QueueDeployment(t.Context(), n)
		must(t, err)
		// What is not the head says nothing about it.
		_, err = w.QueueDeployment(t.Context(), pipeline.NewDeployment{AppID: a.ID, Commit: sha("d"), Trigger: pipeline.Manual, HeadWas: sha("b")})
		must(t, err)
		if head, err := w.SeenHead(t.Context(), a.ID); err != nil || head != sha("b") {
			t.Errorf("then seen head %q, %v", head, err)
		}
	})
	t.Run("a stuck deployment's commit is there", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		d := w.Queue(t, a, pipeline.Push, sha("a"))
		w.Walk(t, d.ID, pipeline.Running, pipeline.Stuck)
		queueHead(t, w, a, sha("a"), false)
	})
	t.Run("only a newer automatic deployment of the app counts as newer", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		older := w.Queue(t, a, pipeline.Push, sha("a"))
		w.Walk(t, older.ID, pipeline.Running)
		w.Queue(t, a, pipeline.Manual, sha("b"))
		w.Queue(t, w.App(t, "blog"), pipeline.Push, sha("c"))
		newer := func(want bool) {
			t.Helper()
			if got, err := w.NewerQueued(t.Context(), older.ID); err != nil || got != want {
				t.Errorf("newer %v, %v; want %v", got, err, want)
			}
		}
		newer(false)
		push := w.Queue(t, a, pipeline.Push, sha("d"))
		newer(true)
		w.Walk(t, push.ID, pipeline.Running)
		newer(false)
	})
	t.Run("a subject is written later", func(t *testing.T) {
		w := Setup(t, open)
		d := w.Queue(t, w.App(t, "shop"), pipeline.Push, sha("a"))
		must(t, w.Record(t.Context(), pipeline.Record{Deployment: d.ID, Subject: "Fix the cart"}))
		if got := w.Get(t, d.ID).Subject; got != "Fix the cart" {
			t.Errorf("subject %q", got)
		}
		wantErr(t, w.Record(t.Context(), pipeline.Record{Deployment: "none", Subject: "x"}), pipeline.ErrNotFound)
	})
}
