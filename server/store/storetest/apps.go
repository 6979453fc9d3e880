package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
	"github.com/swingbridge/swingbridge/server/store"
)

func testApps(t *testing.T, open Open) {
	t.Run("an app comes back as it was created", func(t *testing.T) {
		w := Setup(t, open)
		made, err := w.CreateApp(t.Context(), pipeline.App{
			Name: "shop", Repo: "Owner/Shop", RepoID: 7, Branch: "main", Compose: []string{"a.yml", "b.yml"}, Overlay: "services: {}",
			Routes: []pipeline.Route{{Host: "shop.example.org", Path: "/x", Service: "web", Port: 80}}, Paused: true,
			Redirects: []stack.Redirect{{Host: "www.example.org", To: "shop.example.org", Status: 301}},
			Allow:     []string{"privileged", "cap:net_admin", "cap:CAP_NET_ADMIN"},
		})
		must(t, err)
		if diff := cmp.Diff([]string{"cap:NET_ADMIN", "privileged"}, made.Allow); diff != "" {
			t.Error(diff)
		}
		byID, err := w.AppByID(t.Context(), made.ID)
		must(t, err)
		byName, err := w.AppByName(t.Context(), "shop")
		must(t, err)
		all, err := w.Apps(t.Context())
		must(t, err)
		for _, got := range append(all, byID, byName) {
			if diff := cmp.Diff(made, got); diff != "" {
				t.Error(diff)
			}
		}
		if want := w.Clock.Add(0); !made.CreatedAt.Equal(want) || made.CreatedAt.Location() != time.UTC {
			t.Errorf("created at %v, want %v", made.CreatedAt, want)
		}
		if diff := cmp.Diff([]store.Change{{App: "shop", AppID: made.ID}}, w.Changes()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("what an operator entered wrong is refused", func(t *testing.T) {
		w := Setup(t, open)
		_, err := w.CreateApp(t.Context(), pipeline.App{Name: "Shop"})
		wantErr(t, err, pipeline.ErrInvalid, "Shop", "owner/name")
		a := w.App(t, "shop")
		a.Allow = []string{"cap:NET_ADMIN", "everything"}
		_, err = w.UpdateApp(t.Context(), a)
		wantErr(t, err, pipeline.ErrInvalid, "everything")
	})
	t.Run("permissions are what the last change says", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		for _, want := range [][]string{{"cap:NET_ADMIN", "port:5432"}, {"port:5432"}, nil} {
			a.Allow = want
			_, err := w.UpdateApp(t.Context(), a)
			must(t, err)
			read, err := w.AppByID(t.Context(), a.ID)
			must(t, err)
			if diff := cmp.Diff(want, read.Allow); diff != "" {
				t.Error(diff)
			}
		}
	})
	t.Run("a name is taken until its app is removed", func(t *testing.T) {
		w := Setup(t, open)
		first := w.App(t, "shop")
		_, err := w.CreateApp(t.Context(), pipeline.App{Name: "shop", Repo: "o/r", Branch: "main"})
		wantErr(t, err, pipeline.ErrExists, "shop")
		d := w.Queue(t, first, pipeline.Push, sha("a"))
		must(t, w.RemoveApp(t.Context(), first.ID))
		second := w.App(t, "shop")
		if second.ID == first.ID {
			t.Error("the new app has the old one's id")
		}
		if gone, err := w.AppByID(t.Context(), first.ID); err != nil || gone.Name != "shop" {
			t.Errorf("what history names is gone: %+v, %v", gone, err)
		}
		if got := w.Get(t, d.ID); got.State != pipeline.Canceled || got.AppName != "shop" || w.HasJob(t, d.ID) {
			t.Errorf("history after the removal: %+v", got)
		}
		wantErr(t, w.RemoveApp(t.Context(), first.ID), pipeline.ErrNotFound)
	})
	t.Run("an app with a running deployment is not removed", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		live, running := w.Queue(t, a, pipeline.Manual, sha("a")), w.Queue(t, a, pipeline.Manual, sha("b"))
		w.GoLive(t, live.ID)
		w.Walk(t, running.ID, pipeline.Running)
		wantErr(t, w.RemoveApp(t.Context(), a.ID), pipeline.ErrConflict, running.ID)
		if w.Get(t, live.ID).State != pipeline.Live {
			t.Error("the refused removal retired the live deployment")
		}
		w.Walk(t, running.ID, pipeline.Canceled)
		must(t, w.RemoveApp(t.Context(), a.ID))
		if w.Get(t, live.ID).State != pipeline.Retired {
			t.Error("the removed app's deployment is still live")
		}
	})
	t.Run("a route belongs to one app", func(t *testing.T) {
		w := Setup(t, open)
		w.App(t, "shop")
		blog := w.App(t, "blog")
		blog.Routes[0].Host = "shop.example.org"
		_, err := w.UpdateApp(t.Context(), blog)
		wantErr(t, err, pipeline.ErrExists, "shop.example.org/", "app shop")
		blog.Routes[0].Path = "/blog"
		_, err = w.UpdateApp(t.Context(), blog)
		must(t, err)
	})
	t.Run("a redirect has its host to itself", func(t *testing.T) {
		w := Setup(t, open)
		shop, blog := w.App(t, "shop"), w.App(t, "blog")
		shop.Redirects = []stack.Redirect{{Host: "www.example.org", To: "shop.example.org"}}
		shop, err := w.UpdateApp(t.Context(), shop)
		must(t, err)
		blog.Redirects = []stack.Redirect{{Host: "www.example.org", To: "blog.example.org"}}
		_, err = w.UpdateApp(t.Context(), blog)
		wantErr(t, err, pipeline.ErrExists, "www.example.org", "app shop")
		blog.Redirects = []stack.Redirect{{Host: "old.example.org", To: "www.example.org"}}
		blog, err = w.UpdateApp(t.Context(), blog)
		must(t, err)
		back := shop
		back.Redirects = []stack.Redirect{{Host: "www.example.org", To: "https://old.example.org"}}
		_, err = w.UpdateApp(t.Context(), back)
		wantErr(t, err, pipeline.ErrInvalid, "www.example.org", "circles")
		blog.Redirects[0].Host = "shop.example.org"
		_, err = w.UpdateApp(t.Context(), blog)
		wantErr(t, err, pipeline.ErrExists, "shop.example.org", "app shop")
		blog.Redirects, blog.Routes[0].Host, blog.Routes[0].Path = nil, "www.example.org", "/blog"
		_, err = w.UpdateApp(t.Context(), blog)
		wantErr(t, err, pipeline.ErrExists, "www.example.org/blog", "app shop")
		shop.Redirects = nil
		_, err = w.UpdateApp(t.Context(), shop)
		must(t, err)
		_, err = w.UpdateApp(t.Context(), blog)
		must(t, err)
	})
	t.Run("a mode stays until it is changed or the app removed", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		want := pipeline.Mode{Kind: pipeline.ModeMaintenance, Page: "<h1>Back soon</h1>", Until: w.Clock.Add(time.Hour)}
		must(t, w.SetMode(t.Context(), a.ID, want))
		if diff := cmp.Diff([]store.Change{{App: "shop", AppID: a.ID}}, w.Changes()[1:]); diff != "" {
			t.Error(diff)
		}
		a.Branch = "release" // from before the mode was set
		changed, err := w.UpdateApp(t.Context(), a)
		must(t, err)
		read, err := w.AppByID(t.Context(), a.ID)
		must(t, err)
		for _, got := range []pipeline.App{changed, read} {
			if diff := cmp.Diff(want, got.Mode); diff != "" {
				t.Error(diff)
			}
		}
		wantErr(t, w.SetMode(t.Context(), a.ID, pipeline.Mode{Kind: "sleep"}), pipeline.ErrInvalid, "sleep")
		must(t, w.RemoveApp(t.Context(), a.ID))
		if gone, err := w.AppByID(t.Context(), a.ID); err != nil || gone.Mode != (pipeline.Mode{}) {
			t.Errorf("after the removal: %+v, %v", gone.Mode, err)
		}
		wantErr(t, w.SetMode(t.Context(), a.ID, want), pipeline.ErrNotFound)
	})
	t.Run("another repository forgets the old one's id and head", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		a.RepoID = 7
		a, err := w.UpdateApp(t.Context(), a)
		must(t, err)
		must(t, w.SetSeenHead(t.Context(), a.ID, "", sha("a")))
		w.Clock.Add(time.Second)
		a.Overlay, a.Name = "x: {}", "store"
		a, err = w.UpdateApp(t.Context(), a)
		must(t, err)
		if head, err := w.SeenHead(t.Context(), a.ID); err != nil || head != sha("a") || a.RepoID != 7 {
			t.Errorf("after a change of other things: head %q, repo id %d, %v", head, a.RepoID, err)
		}
		if got := a.UpdatedAt.Sub(a.CreatedAt); got != time.Second {
			t.Errorf("updated %v after the creation, want 1s", got)
		}
		a.Repo = "other/place"
		a, err = w.UpdateApp(t.Context(), a)
		must(t, err)
		if head, err := w.SeenHead(t.Context(), a.ID); err != nil || head != "" || a.RepoID != 0 {
			t.Errorf("after a change of repository: head %q, repo id %d, %v", head, a.RepoID, err)
		}
	})
	t.Run("a paused app holds automatic deployments only", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		before := w.Queue(t, a, pipeline.Push, sha("a"))
		a.Paused = true
		_, err := w.UpdateApp(t.Context(), a)
		must(t, err)
		if w.HasJob(t, before.ID) {
			t.Error("pausing left the queued push its job")
		}
		w.Changes()
		push, manual := w.Queue(t, a, pipeline.Push, sha("b")), w.Queue(t, a, pipeline.Manual, sha("c"))
		if w.HasJob(t, push.ID) || !w.HasJob(t, manual.ID) {
			t.Error("paused: want a job for the manual deployment only")
		}
		for _, c := range w.Changes() {
			if c.Queued != (c.Deployment == manual.ID) {
				t.Errorf("announced %+v", c)
			}
		}
		a.Paused = false
		_, err = w.UpdateApp(t.Context(), a)
		must(t, err)
		if !w.HasJob(t, push.ID) || !w.HasJob(t, manual.ID) {
			t.Error("resumed: want both jobs")
		}
	})
}
