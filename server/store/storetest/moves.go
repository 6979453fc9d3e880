package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/store"
)

func testMoves(t *testing.T, open Open) {
	t.Run("a deployment's life writes its times once", func(t *testing.T) {
		w := Setup(t, open)
		want := w.Queue(t, w.App(t, "shop"), pipeline.Push, sha("a"))
		at := func(m pipeline.Move) time.Time {
			m.Deployment, m.From, m.At = want.ID, w.Get(t, want.ID).State, w.Clock.Add(time.Second)
			must(t, w.Move(t.Context(), m))
			return m.At
		}
		want.StartedAt = at(pipeline.Move{To: pipeline.Running, Attempt: 1, Color: pipeline.Green})
		at(pipeline.Move{To: pipeline.CuttingOver})
		at(pipeline.Move{To: pipeline.Running, Attempt: 2})
		at(pipeline.Move{To: pipeline.CuttingOver})
		want.LiveAt = at(pipeline.Move{To: pipeline.Watching})
		want.EndedAt = at(pipeline.Move{To: pipeline.Live, Reason: "the guard saw nothing"})
		at(pipeline.Move{To: pipeline.Retired})
		want.State, want.Color, want.Attempt, want.Reason = pipeline.Retired, pipeline.Green, 2, "the guard saw nothing"
		if diff := cmp.Diff(want, w.Get(t, want.ID)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("only the first of two moves from one state happens", func(t *testing.T) {
		w := Setup(t, open)
		d := w.Queue(t, w.App(t, "shop"), pipeline.Push, sha("a"))
		w.Walk(t, d.ID, pipeline.Running)
		err := w.Move(t.Context(), pipeline.Move{Deployment: d.ID, From: pipeline.Queued, To: pipeline.Running, Attempt: 2})
		wantErr(t, err, pipeline.ErrConflict, d.ID, "running")
		err = w.Move(t.Context(), pipeline.Move{Deployment: "none", From: pipeline.Queued, To: pipeline.Running})
		wantErr(t, err, pipeline.ErrNotFound, "none")
	})
	t.Run("what is not in the transition table is refused", func(t *testing.T) {
		w := Setup(t, open)
		d := w.Queue(t, w.App(t, "shop"), pipeline.Push, sha("a"))
		for _, to := range pipeline.States() {
			if !pipeline.Queued.CanBecome(to) {
				err := w.Move(t.Context(), pipeline.Move{Deployment: d.ID, From: pipeline.Queued, To: to})
				wantErr(t, err, pipeline.ErrInvalid, string(to))
			}
		}
	})
	t.Run("the new one becomes live and the old one retires together", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		first, second := w.Queue(t, a, pipeline.Manual, sha("a")), w.Queue(t, a, pipeline.Manual, sha("b"))
		w.GoLive(t, first.ID)
		w.Walk(t, second.ID, pipeline.Running, pipeline.CuttingOver, pipeline.Watching)
		if w.Get(t, first.ID).State != pipeline.Live {
			t.Error("the old one is not live while the new one is watched")
		}
		m := pipeline.Move{Deployment: second.ID, From: pipeline.Watching, To: pipeline.Live}
		wantErr(t, w.Move(t.Context(), m), pipeline.ErrConflict, "live")
		m.Retire = second.ID
		wantErr(t, w.Move(t.Context(), m), pipeline.ErrConflict)
		m.Retire = first.ID
		ended := w.Get(t, first.ID).EndedAt
		w.Clock.Add(time.Minute)
		w.Changes()
		must(t, w.Move(t.Context(), m))
		if got := w.Get(t, first.ID); got.State != pipeline.Retired || !got.EndedAt.Equal(ended) {
			t.Errorf("retired: %+v", got)
		}
		if diff := cmp.Diff([]store.Change{
			{App: "shop", AppID: a.ID, Deployment: first.ID, State: pipeline.Retired},
			{App: "shop", AppID: a.ID, Deployment: second.ID, State: pipeline.Live},
		}, w.Changes()); diff != "" {
			t.Error(diff)
		}
		live, err := w.LiveDeployment(t.Context(), a.ID)
		must(t, err)
		if live.ID != second.ID {
			t.Errorf("live is %s", live.ID)
		}
	})
	t.Run("a refused move changes nothing and announces nothing", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		first, second := w.Queue(t, a, pipeline.Manual, sha("a")), w.Queue(t, a, pipeline.Manual, sha("b"))
		w.GoLive(t, first.ID)
		w.Changes()
		m := pipeline.Move{Deployment: second.ID, From: pipeline.Watching, To: pipeline.Live, Retire: first.ID}
		wantErr(t, w.Move(t.Context(), m), pipeline.ErrConflict)
		if got := w.Get(t, first.ID).State; got != pipeline.Live {
			t.Errorf("the refused move left the old one %s", got)
		}
		if got := w.Changes(); got != nil {
			t.Errorf("announced %+v", got)
		}
	})
	t.Run("a record is written whole or not at all", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		d := w.Queue(t, a, pipeline.Push, sha("a"))
		began := w.Clock.Add(time.Second)
		r := release("r1", a)
		whole := pipeline.Record{
			Deployment: d.ID, Subject: "Fix the cart", Release: &r,
			Move: &pipeline.Move{Deployment: d.ID, From: pipeline.Queued, To: pipeline.Running, Attempt: 1, Color: pipeline.Green},
			Steps: []pipeline.StepRecord{
				{Attempt: 1, Name: "fetch", State: pipeline.StepDone, StartedAt: began, EndedAt: began},
				{Attempt: 1, Name: "plan", State: pipeline.StepRunning, StartedAt: began},
			},
		}
		for name, spoil := range map[string]func(*pipeline.Record){
			"a move from another state":   func(r *pipeline.Record) { r.Move.From, r.Move.To = pipeline.Running, pipeline.CuttingOver },
			"a move of another":           func(r *pipeline.Record) { r.Move.Deployment = "other" },
			"a release of another app":    func(r *pipeline.Record) { r.Release.AppID = "other" },
			"a record of no deployment":   func(r *pipeline.Record) { r.Deployment = "none" },
			"a release that has no name":  func(r *pipeline.Record) { r.Release.ID = "" },
			"a move that is not possible": func(r *pipeline.Record) { r.Move.To = pipeline.Live },
		} {
			bad := whole
			move, rel := *whole.Move, *whole.Release
			bad.Move, bad.Release = &move, &rel
			spoil(&bad)
			w.Changes()
			if err := w.Record(t.Context(), bad); err == nil {
				t.Errorf("%s was written", name)
			}
			if diff := cmp.Diff(d, w.Get(t, d.ID)); diff != "" || w.Changes() != nil {
				t.Errorf("%s left something behind: %s", name, diff)
			}
		}
		must(t, w.Record(t.Context(), whole))
		must(t, w.Record(t.Context(), pipeline.Record{Deployment: d.ID})) // nothing is no change
		got := w.Get(t, d.ID)
		if got.State != pipeline.Running || got.Subject != "Fix the cart" || got.ReleaseID != "r1" || len(got.Steps) != 2 {
			t.Errorf("recorded %+v", got)
		}
		if diff := cmp.Diff([]store.Change{
			{App: "shop", AppID: a.ID, Deployment: d.ID, State: pipeline.Running},
			{App: "shop", AppID: a.ID, Deployment: d.ID, State: pipeline.Running, Step: "fetch"},
			{App: "shop", AppID: a.ID, Deployment: d.ID, State: pipeline.Running, Step: "plan"},
		}, w.Changes()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("one that changes nothing becomes live with the stack that is live", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		first, second := w.Queue(t, a, pipeline.Manual, sha("a")), w.Queue(t, a, pipeline.Push, sha("b"))
		w.GoLive(t, first.ID)
		w.Walk(t, second.ID, pipeline.Running)
		m := pipeline.Move{Deployment: second.ID, From: pipeline.Running, To: pipeline.Live, Retire: first.ID}
		wantErr(t, w.Move(t.Context(), m), pipeline.ErrInvalid, "without a cutover")
		m.Carries = first.ID
		must(t, w.Move(t.Context(), m))
		got := w.Get(t, second.ID)
		if got.StackID() != first.ID || got.State != pipeline.Live || got.LiveAt.IsZero() || !got.LiveAt.Equal(got.EndedAt) {
			t.Errorf("it is %+v", got)
		}
		if was := w.Get(t, first.ID); was.State != pipeline.Retired || was.StackID() != first.ID {
			t.Errorf("the one before is %+v", was)
		}
	})
	t.Run("a person resolves what is stuck", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		first, second := w.Queue(t, a, pipeline.Manual, sha("a")), w.Queue(t, a, pipeline.Manual, sha("b"))
		w.GoLive(t, first.ID)
		wantErr(t, w.Resolve(t.Context(), second.ID, pipeline.Live, "seen"), pipeline.ErrConflict)
		w.Walk(t, second.ID, pipeline.Running, pipeline.CuttingOver, pipeline.Stuck)
		wantErr(t, w.Resolve(t.Context(), second.ID, pipeline.Superseded, ""), pipeline.ErrInvalid)
		must(t, w.Resolve(t.Context(), second.ID, pipeline.Live, "I looked: it answers"))
		if w.Get(t, first.ID).State != pipeline.Retired {
			t.Error("two are live")
		}
		if got := w.Get(t, second.ID); got.State != pipeline.Live || got.LiveAt.IsZero() || got.Reason != "I looked: it answers" {
			t.Errorf("resolved: %+v", got)
		}
	})
	t.Run("nothing begins by itself while one is stuck", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		stuck, waits := w.Queue(t, a, pipeline.Manual, sha("a")), w.Queue(t, a, pipeline.Push, sha("b"))
		w.Walk(t, stuck.ID, pipeline.Running, pipeline.Stuck)
		after := w.Queue(t, a, pipeline.Push, sha("c"))
		if w.HasJob(t, waits.ID) || w.HasJob(t, after.ID) {
			t.Error("a job waits for a stuck app")
		}
		must(t, w.Resolve(t.Context(), stuck.ID, pipeline.Failed, "looked"))
		if !w.HasJob(t, after.ID) || w.HasJob(t, waits.ID) {
			t.Error("resolved: want the job of the newest push, and no other")
		}
	})
	t.Run("only a queued deployment is canceled as queued", func(t *testing.T) {
		w := Setup(t, open)
		d := w.Queue(t, w.App(t, "shop"), pipeline.Push, sha("a"))
		for _, want := range []bool{true, false} {
			got, err := w.CancelQueued(t.Context(), d.ID, "ada said so")
			if err != nil || got != want {
				t.Fatalf("canceled %v, %v; want %v", got, err, want)
			}
		}
		if got := w.Get(t, d.ID); got.State != pipeline.Canceled || got.Reason != "ada said so" || got.EndedAt.IsZero() || w.HasJob(t, d.ID) {
			t.Errorf("canceled: %+v", got)
		}
		_, err := w.CancelQueued(t.Context(), "none", "")
		wantErr(t, err, pipeline.ErrNotFound)
	})
}
