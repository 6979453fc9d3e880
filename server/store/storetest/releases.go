package storetest

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
	"github.com/swingbridge/swingbridge/server/store"
)

func release(id string, a pipeline.App) pipeline.Release {
	return pipeline.Release{
		ID: id, AppID: a.ID, Commit: sha("a"), Images: map[string]string{"web": "sha256:1"}, EnvVersion: 3,
		Stack: stack.Stack{Keep: 5, Services: []stack.Service{{Name: "web", Env: map[string]string{"KEY": "canary-4711"}, StopGrace: time.Second}}},
	}
}

func testReleases(t *testing.T, open Open) {
	t.Run("a release comes back as it was saved", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		d := w.Queue(t, a, pipeline.Push, sha("a"))
		r := release("r1", a)
		must(t, w.SaveRelease(t.Context(), d.ID, r))
		changed := r
		changed.EnvVersion = 9
		must(t, w.SaveRelease(t.Context(), d.ID, changed))
		got, err := w.Release(t.Context(), "r1")
		must(t, err)
		r.CreatedAt = w.Clock.Add(0)
		if diff := cmp.Diff(r, got); diff != "" {
			t.Error(diff)
		}
		if w.Get(t, d.ID).ReleaseID != "r1" {
			t.Error("the deployment does not name its release")
		}
		_, err = w.Release(t.Context(), "none")
		wantErr(t, err, pipeline.ErrNotFound)
		wantErr(t, w.SaveRelease(t.Context(), "none", r), pipeline.ErrNotFound)
		wantErr(t, w.SaveRelease(t.Context(), d.ID, release("r2", w.App(t, "blog"))), pipeline.ErrInvalid)
	})
	t.Run("the newest releases that visitors saw are kept, and the live one", func(t *testing.T) {
		w := Setup(t, open)
		a := w.App(t, "shop")
		kept := func(n int) []string {
			list, err := w.KeptReleases(t.Context(), a.ID, n)
			must(t, err)
			var names []string
			for _, r := range list {
				names = append(names, r.ID)
			}
			return names
		}
		deploy := func(name string) string {
			w.Clock.Add(time.Minute)
			d := w.Queue(t, a, pipeline.Manual, sha("a"))
			must(t, w.SaveRelease(t.Context(), d.ID, release(name, a)))
			return d.ID
		}
		for i := range 4 {
			w.GoLive(t, deploy(fmt.Sprint("r", i)))
		}
		w.Walk(t, deploy("failed"), pipeline.Running, pipeline.Failed)
		if diff := cmp.Diff([]string{"r3", "r2"}, kept(2)); diff != "" {
			t.Error(diff)
		}
		w.Walk(t, deploy("bad"), pipeline.Running, pipeline.CuttingOver, pipeline.Watching, pipeline.RolledBack)
		if diff := cmp.Diff([]string{"r3"}, kept(1)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"r3"}, kept(0)); diff != "" {
			t.Error(diff)
		}
		w.Clock.Add(time.Minute)
		back, err := w.QueueDeployment(t.Context(), pipeline.NewDeployment{AppID: a.ID, Trigger: pipeline.Rollback, ReleaseID: "r1"})
		must(t, err)
		w.GoLive(t, back.ID)
		if diff := cmp.Diff([]string{"r1", "r3", "r2"}, kept(3)); diff != "" {
			t.Error(diff)
		}
		w.carry(t, deploy("same"))
		w.carry(t, deploy("same again"))
		if diff := cmp.Diff([]string{"same again", "r1", "r3", "r2"}, kept(3)); diff != "" {
			t.Error(diff)
		}
	})
}

func testLastGood(t *testing.T, open Open) {
	w := Setup(t, open)
	a, other := w.App(t, "shop"), w.App(t, "blog")
	wantGood := func(what, want string) {
		t.Helper()
		d, err := w.LastGood(t.Context(), a.ID)
		if want == "" {
			wantErr(t, err, pipeline.ErrNotFound)
			return
		}
		must(t, err)
		if d.ReleaseID != want || d.AppName != "shop" {
			t.Errorf("%s: %+v, want the release %s", what, d, want)
		}
	}
	deploy := func(of pipeline.App, name, commit string, env int64) string {
		d := w.Queue(t, of, pipeline.Manual, commit)
		r := release(name, of)
		r.Commit, r.EnvVersion = commit, env
		must(t, w.SaveRelease(t.Context(), d.ID, r))
		return d.ID
	}
	wantGood("nothing was deployed", "")
	w.GoLive(t, deploy(a, "r1", sha("a"), 6))
	wantGood("the first is live", "")
	w.GoLive(t, deploy(a, "r2", sha("b"), 6))
	w.GoLive(t, deploy(other, "o1", sha("c"), 6))
	w.GoLive(t, deploy(other, "o2", sha("d"), 6))
	wantGood("the second is live", "r1")
	w.GoLive(t, deploy(a, "r3", sha("b"), 7))
	wantGood("the same commit with another environment", "r2")
	w.GoLive(t, deploy(a, "r4", sha("b"), 7))
	wantGood("the same commit and environment, built anew", "r2")
	w.Walk(t, deploy(a, "r5", sha("e"), 7), pipeline.Running, pipeline.Failed)
	w.Walk(t, deploy(a, "r6", sha("e"), 7), pipeline.Running, pipeline.CuttingOver, pipeline.Watching, pipeline.RolledBack)
	wantGood("what failed or was rolled back", "r2")
	again, err := w.QueueDeployment(t.Context(), pipeline.NewDeployment{AppID: a.ID, Trigger: pipeline.Rollback, ReleaseID: "r4"})
	must(t, err)
	w.GoLive(t, again.ID)
	wantGood("the live release under another deployment", "r2")
	w.carry(t, deploy(a, "r7", sha("f"), 7))
	w.carry(t, deploy(a, "r8", sha("0"), 7))
	wantGood("what has the stack that is live", "r2")
	last := w.Get(t, again.ID)
	w.GoLive(t, deploy(a, "r9", sha("1"), 7))
	wantGood("a stack that was carried on", "r8")
	back, err := w.QueueDeployment(t.Context(), pipeline.NewDeployment{AppID: a.ID, Trigger: pipeline.Rollback, ReleaseID: last.ReleaseID})
	must(t, err)
	w.GoLive(t, back.ID)
	again = back
	w.Walk(t, again.ID, pipeline.Retired)
	wantGood("nothing is live", "r4")
}

func testEnv(t *testing.T, open Open) {
	w := Setup(t, open)
	a, other := w.App(t, "shop"), w.App(t, "blog")
	set := func(name, value string) int64 {
		v, err := w.SetEnv(t.Context(), a.ID, name, value)
		must(t, err)
		return v
	}
	if got := []int64{set("A", "1"), set("B", ""), set("A", "2")}; !cmp.Equal(got, []int64{1, 2, 3}) {
		t.Errorf("versions %v", got)
	}
	v, err := w.UnsetEnv(t.Context(), a.ID, "B")
	if err != nil || v != 4 {
		t.Errorf("unset: version %d, %v", v, err)
	}
	_, err = w.UnsetEnv(t.Context(), a.ID, "B")
	wantErr(t, err, pipeline.ErrNotFound, "B")
	_, err = w.SetEnv(t.Context(), a.ID, "1=2", "x")
	wantErr(t, err, pipeline.ErrInvalid)
	_, err = w.SetEnv(t.Context(), "none", "A", "x")
	wantErr(t, err, pipeline.ErrNotFound)
	want := map[int64]map[string]string{0: {}, 1: {"A": "1"}, 2: {"A": "1", "B": ""}, 3: {"A": "2", "B": ""}, 4: {"A": "2"}}
	for version, env := range want {
		got, err := w.EnvAt(t.Context(), a.ID, version)
		must(t, err)
		if diff := cmp.Diff(env, got); diff != "" {
			t.Errorf("version %d: %s", version, diff)
		}
	}
	got, v, err := w.Env(t.Context(), a.ID)
	if diff := cmp.Diff(want[4], got); diff != "" || v != 4 || err != nil {
		t.Errorf("version %d, %v: %s", v, err, diff)
	}
	vars, err := w.EnvVars(t.Context(), a.ID)
	must(t, err)
	if diff := cmp.Diff([]pipeline.EnvVar{{Name: "A", Version: 3, UpdatedAt: w.Clock.Add(0)}}, vars); diff != "" {
		t.Error(diff)
	}
	if got, v, err := w.Env(t.Context(), other.ID); len(got) != 0 || v != 0 || err != nil {
		t.Errorf("the other app has %v, version %d, %v", got, v, err)
	}
}

func testFiles(t *testing.T, open Open) {
	w := Setup(t, open)
	a, other := w.App(t, "shop"), w.App(t, "blog")
	version := func(v int64, err error) int64 {
		t.Helper()
		must(t, err)
		return v
	}
	// One counter: a version pins variables and files.
	first := version(w.SetFile(t.Context(), a.ID, ".env.local", []byte("A=canary-4711")))
	version(w.SetEnv(t.Context(), a.ID, "A", "1"))
	second := version(w.SetFile(t.Context(), a.ID, "config/b.yml", []byte{0, 0xff}))
	third := version(w.SetFile(t.Context(), a.ID, ".env.local", nil))
	fourth := version(w.UnsetFile(t.Context(), a.ID, ".env.local"))
	if fourth != 5 {
		t.Errorf("version %d, want 5", fourth)
	}
	for v, want := range map[int64]map[string][]byte{
		0: {}, first: {".env.local": []byte("A=canary-4711")}, second: {".env.local": []byte("A=canary-4711"), "config/b.yml": {0, 0xff}},
		third: {".env.local": {}, "config/b.yml": {0, 0xff}}, fourth: {"config/b.yml": {0, 0xff}},
	} {
		got, err := w.FilesAt(t.Context(), a.ID, v)
		must(t, err)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("version %d: %s", v, diff)
		}
	}
	files, err := w.HeldFiles(t.Context(), a.ID)
	if must(t, err); len(files) != 1 || files[0].Path != "config/b.yml" || files[0].Version != second || files[0].Size != 2 {
		t.Errorf("files %+v", files)
	}
	env, _, err := w.Env(t.Context(), a.ID)
	if must(t, err); !cmp.Equal(env, map[string]string{"A": "1"}) {
		t.Errorf("a file is a variable: %v", env)
	}
	vars, err := w.EnvVars(t.Context(), a.ID)
	if must(t, err); len(vars) != 1 || vars[0].Name != "A" {
		t.Errorf("variables %+v", vars)
	}
	_, err = w.SetFile(t.Context(), a.ID, "../x", nil)
	wantErr(t, err, pipeline.ErrInvalid)
	_, err = w.SetEnv(t.Context(), a.ID, "file:x", "y")
	wantErr(t, err, pipeline.ErrInvalid)
	_, err = w.UnsetFile(t.Context(), a.ID, ".env.local")
	wantErr(t, err, pipeline.ErrNotFound)
	if got, err := w.FilesAt(t.Context(), other.ID, 5); len(got) != 0 || err != nil {
		t.Errorf("the other app has %v, %v", got, err)
	}
	stranger := w.Reopen(t, func(o *store.Options) { o.Sealer = NewSealer("another key") })
	if _, err := stranger.FilesAt(t.Context(), a.ID, second); err == nil {
		t.Error("a file was opened with another key")
	}
}

func testSeals(t *testing.T, open Open) {
	w := Setup(t, open)
	a := w.App(t, "shop")
	must(t, w.CheckSeals(t.Context()))
	_, err := w.SetEnv(t.Context(), a.ID, "PASSWORD", "canary-4711")
	must(t, err)
	d := w.Queue(t, a, pipeline.Push, sha("a"))
	must(t, w.SaveRelease(t.Context(), d.ID, release("r1", a)))
	must(t, w.CheckSeals(t.Context()))
	stranger := w.Reopen(t, func(o *store.Options) { o.Sealer = NewSealer("another key") })
	wantErr(t, stranger.CheckSeals(t.Context()), store.ErrSealed, "2 of 2", "PASSWORD", "shop", "secret.key")
	if _, _, err := stranger.Env(t.Context(), a.ID); err == nil {
		t.Error("a variable was opened with another key")
	}
	if _, err := stranger.Release(t.Context(), "r1"); err == nil {
		t.Error("a release was opened with another key")
	}
}

func testAddresses(t *testing.T, open Open) {
	edge, pool := netip.MustParsePrefix("10.201.0.0/23"), netip.MustParsePrefix("10.201.0.0/16")
	t.Run("the edge is chosen once", func(t *testing.T) {
		w := Setup(t, open)
		_, err := w.Edge(t.Context())
		wantErr(t, err, pipeline.ErrNotFound)
		_, err = w.Reserve(t.Context(), "d", "web", 0)
		wantErr(t, err, pipeline.ErrNotFound)
		must(t, w.SetEdge(t.Context(), edge, pool))
		must(t, w.SetEdge(t.Context(), edge, netip.MustParsePrefix("10.202.0.0/16")))
		wantErr(t, w.SetEdge(t.Context(), netip.MustParsePrefix("10.203.0.0/20"), pool), pipeline.ErrConflict, "10.201.0.0/23")
		wantErr(t, w.SetEdge(t.Context(), netip.MustParsePrefix("10.201.0.0/24"), pool), pipeline.ErrInvalid)
		if got, err := w.Edge(t.Context()); err != nil || got != edge {
			t.Errorf("edge %v, %v", got, err)
		}
	})
	t.Run("an address is used again as late as possible", func(t *testing.T) {
		w := Setup(t, open)
		must(t, w.SetEdge(t.Context(), edge, pool))
		reserve := func(deployment string, replica int) string {
			got, err := w.Reserve(t.Context(), deployment, "web", replica)
			must(t, err)
			return got.String()
		}
		if got := []string{reserve("a", 0), reserve("a", 1), reserve("a", 0), reserve("b", 0)}; !cmp.Equal(got, []string{"10.201.0.2", "10.201.0.3", "10.201.0.2", "10.201.0.4"}) {
			t.Errorf("reserved %v", got)
		}
		must(t, w.ReleaseAddresses(t.Context(), "b"))
		must(t, w.ReleaseAddresses(t.Context(), "a"))
		for i := range 251 {
			if got, want := reserve("many", i), fmt.Sprintf("10.201.0.%d", i+5); got != want {
				t.Fatalf("reserved %s, want %s", got, want)
			}
		}
		if got := []string{reserve("c", 0), reserve("c", 1), reserve("c", 2)}; !cmp.Equal(got, []string{"10.201.0.4", "10.201.0.2", "10.201.0.3"}) {
			t.Errorf("reserved again %v, want those free longest", got)
		}
		_, err := w.Reserve(t.Context(), "late", "web", 0)
		wantErr(t, err, store.ErrNoAddress, edge.String())
	})
	t.Run("who holds addresses is known by app", func(t *testing.T) {
		w := Setup(t, open)
		must(t, w.SetEdge(t.Context(), edge, pool))
		a, b := w.App(t, "shop"), w.App(t, "blog")
		first, second, other := w.Queue(t, a, pipeline.Manual, sha("a")), w.Queue(t, a, pipeline.Manual, sha("b")), w.Queue(t, b, pipeline.Manual, sha("c"))
		for i, d := range []pipeline.Deployment{first, first, second, other} {
			_, err := w.Reserve(t.Context(), d.ID, "web", i)
			must(t, err)
		}
		holders := func() []string {
			ids, err := w.AddressHolders(t.Context(), a.ID)
			must(t, err)
			return ids
		}
		if diff := cmp.Diff([]string{first.ID, second.ID}, holders()); diff != "" {
			t.Error(diff)
		}
		must(t, w.ReleaseAddresses(t.Context(), first.ID))
		if diff := cmp.Diff([]string{second.ID}, holders()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("an app keeps its own subnet", func(t *testing.T) {
		w := Setup(t, open)
		must(t, w.SetEdge(t.Context(), netip.MustParsePrefix("10.201.0.0/20"), pool))
		foreign := netip.MustParsePrefix("10.201.16.64/27")
		networks := map[string]netip.Prefix{} // of the apps, as the engine has them
		subnet := func(a pipeline.App) string {
			used := []netip.Prefix{foreign}
			for id, n := range networks {
				if id != a.ID {
					used = append(used, n)
				}
			}
			got, err := w.AppSubnet(t.Context(), a.ID, "", used)
			must(t, err)
			networks[a.ID] = got
			return got.String()
		}
		a, b := w.App(t, "shop"), w.App(t, "blog")
		if got := []string{subnet(a), subnet(b), subnet(a)}; !cmp.Equal(got, []string{"10.201.16.0/26", "10.201.16.128/26", "10.201.16.0/26"}) {
			t.Errorf("subnets %v", got)
		}
		must(t, w.SetEdge(t.Context(), netip.MustParsePrefix("10.201.0.0/20"), netip.MustParsePrefix("10.201.16.0/26")))
		_, err := w.AppSubnet(t.Context(), w.App(t, "third").ID, "", nil)
		wantErr(t, err, store.ErrNoAddress)
		must(t, w.RemoveApp(t.Context(), a.ID))
		delete(networks, a.ID)
		if got := subnet(w.App(t, "fourth")); got != "10.201.16.0/26" {
			t.Errorf("the removed app's subnet is not free: %s", got)
		}
	})
	t.Run("a subnet that somebody took before its network was made is given up", func(t *testing.T) {
		w := Setup(t, open)
		must(t, w.SetEdge(t.Context(), netip.MustParsePrefix("10.201.0.0/20"), pool))
		a := w.App(t, "shop")
		for _, c := range []struct {
			taken []netip.Prefix
			want  string
		}{
			{nil, "10.201.16.0/26"},
			{[]netip.Prefix{netip.MustParsePrefix("10.201.16.32/27")}, "10.201.16.64/26"},
			{nil, "10.201.16.64/26"}, // it has this one now
			{[]netip.Prefix{netip.MustParsePrefix("10.201.16.0/24")}, "10.201.17.0/26"},
		} {
			got, err := w.AppSubnet(t.Context(), a.ID, "", c.taken)
			if err != nil || got.String() != c.want {
				t.Errorf("with %v taken: %v, %v; want %s", c.taken, got, err, c.want)
			}
		}
	})
}
