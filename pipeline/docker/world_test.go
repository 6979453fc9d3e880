package docker

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

func TestEvents_TellWhatHappensToOwnContainers(t *testing.T) {
	t.Parallel()
	w, stranger := setup(t), setup(t)
	w.networks()
	stranger.networks()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events, err := w.Events(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stranger.run(stranger.order("d9", 10, "exit", "1"))
	o := w.order("d1", 10)
	o.Service.Health = &stack.Health{Test: []string{"CMD", "/tool", "healthy"}, Interval: 100 * time.Millisecond}
	c := w.run(o)
	if !c.HasCheck {
		t.Error("the health check is not seen")
	}
	next := func(kind string) pipeline.Event {
		t.Helper()
		select {
		case e := <-events:
			if e.Kind != kind || e.Container != c.ID || e.AppID != w.app.ID || e.Deployment != "d1" || e.Service != "web" || e.At.IsZero() {
				t.Errorf("wanted %s, got %+v", kind, e)
			}
			return e
		case <-time.After(30 * time.Second):
			t.Fatalf("no %s", kind)
			return pipeline.Event{}
		}
	}
	next("start")
	next("healthy")
	w.wait(c.ID, "healthy", func(c pipeline.Container) bool { return c.Health == "healthy" })
	if err := w.api.ContainerKill(ctx, c.ID, "KILL"); err != nil {
		t.Fatal(err)
	}
	if e := next("die"); e.ExitCode != 137 {
		t.Errorf("exit code %d", e.ExitCode)
	}
	if err := w.Remove(ctx, c.ID); err != nil {
		t.Fatal(err)
	}
	next("destroy")
	cancel()
	for e := range events {
		t.Errorf("after the end: %+v", e)
	}
}

func TestListeners_AreReadFromTheKernel(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	c := w.run(w.order("d1", 10))
	w.get(c, "/")
	found, err := w.Listeners(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].Port() != 8080 || !found[0].Addr().IsUnspecified() {
		t.Errorf("listeners %v", found)
	}
	conn, err := w.Dial(t.Context(), "tcp", netip.AddrPortFrom(c.Edge, 8080).String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := w.Stop(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	if found, err := w.Listeners(t.Context(), c.ID); err != nil || found != nil {
		t.Errorf("stopped: %v, %v", found, err)
	}
}

func TestPruneImages_KeepsWhatIsUsedKeptOrSomebodyElses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks() // image "plain"
	w.ensure(w.order("d1", 10))
	variant := func(key string) string {
		return w.build(plainDockerfile+"CMD [\""+key+"\"]\n", key)
	}
	kept, old, tagged := variant("kept"), variant("old"), variant("tagged")
	mine := "mine-" + w.installation + ":1"
	if err := w.api.ImageTag(t.Context(), tagged, mine); err != nil {
		t.Fatal(err)
	}
	gone, err := w.PruneImages(t.Context(), w.app.ID, []string{kept})
	if err != nil || gone != 1 {
		t.Errorf("gone %d, %v", gone, err)
	}
	for id, want := range map[string]bool{w.image: true, kept: true, tagged: true, old: false} {
		if has, err := w.HasImage(t.Context(), id); err != nil || has != want {
			t.Errorf("image %s: there %v, %v", id, has, err)
		}
	}
	if gone, err := w.PruneImages(t.Context(), "another app", nil); err != nil || gone != 0 {
		t.Errorf("another app: %d, %v", gone, err)
	}
	if _, err := w.PruneImages(t.Context(), "", nil); err == nil {
		t.Error("pruned for no app")
	}
	if _, err := w.api.ImageRemove(t.Context(), mine, image.RemoveOptions{}); err != nil {
		t.Error(err)
	}
}

// Somebody runs one of our images by hand: its labels are on the container, and
// still it is not ours.
func TestList_DoesNotTakeAHandMadeContainerForOurs(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	made, err := w.api.ContainerCreate(t.Context(), &container.Config{Image: w.image}, nil, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if list, err := w.List(t.Context(), pipeline.Filter{AppID: w.app.ID}); err != nil || len(list) != 0 {
		t.Errorf("list %v, %v", list, err)
	}
	if err := w.RemoveApp(t.Context(), w.app.ID); err != nil {
		t.Errorf("remove app: %v", err)
	}
	if _, err := w.api.ContainerInspect(t.Context(), made.ID); err != nil {
		t.Errorf("it is gone: %v", err)
	}
}

func TestRemoveApp_TakesAllButVolumes(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	o := w.order("d1", 10)
	o.Service.Mounts = []stack.Mount{{Volume: "data", Target: "/data"}}
	o.Volumes = []stack.Volume{{Name: "data"}}
	w.run(o)
	w.ensure(w.order("d2", 11))
	for range 2 {
		if err := w.RemoveApp(t.Context(), w.app.ID); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := w.List(t.Context(), pipeline.Filter{}); err != nil || len(list) > 0 {
		t.Errorf("containers %v, %v", list, err)
	}
	if has, err := w.HasImage(t.Context(), w.image); err != nil || has {
		t.Errorf("image there %v, %v", has, err)
	}
	used, err := w.Subnets(t.Context())
	if err != nil || used[w.AppNetwork("shop", "")] != nil || used[w.EdgeName()] == nil {
		t.Errorf("networks %v, %v", used, err)
	}
	if _, err := w.api.VolumeInspect(t.Context(), w.volumeName("shop", "data")); err != nil {
		t.Errorf("volume: %v", err)
	}
	if err := w.RemoveApp(t.Context(), ""); err == nil {
		t.Error("removed no app")
	}
}

func TestImport_MakesAnImageThatCanBePulledAndRemoved(t *testing.T) {
	t.Parallel()
	w := setup(t)
	stream, err := w.commit("").Context(t.Context(), stack.Build{})
	if err != nil {
		t.Fatal(err)
	}
	ref := "imported-" + w.installation + ":1"
	if err := w.Import(t.Context(), ref, stream); err != nil {
		t.Fatal(err)
	}
	id, err := w.Pull(t.Context(), pipeline.PullOrder{Ref: ref}, failingWriter{errors.New("nothing to say")})
	if err != nil || !strings.HasPrefix(id, "sha256:") {
		t.Errorf("pull: %q, %v", id, err)
	}
	w.build("FROM "+ref+"\nRUN [\"/tool\", \"say\", \"hi\"]\n", "on-import")
	for range 2 {
		if err := w.RemoveImage(t.Context(), ref); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
	if _, err := w.Pull(t.Context(), pipeline.PullOrder{Ref: "127.0.0.1:1/nobody/is:here"}, failingWriter{}); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("pull from nowhere: %v", err)
	}
}

func TestPing_SaysWhatTheEngineIs(t *testing.T) {
	t.Parallel()
	w := setup(t)
	info, err := w.Ping(t.Context())
	if err != nil || info.Version == "" || info.API == "" || info.Storage == "" {
		t.Errorf("%+v, %v", info, err)
	}
	dead, err := New(t.Context(), Options{Host: "tcp://127.0.0.1:1", Installation: "abc123"})
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	if _, err := dead.Ping(t.Context()); !errors.Is(err, pipeline.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
	if _, err := dead.Events(t.Context()); !errors.Is(err, pipeline.ErrUnreachable) {
		t.Errorf("events: %v", err)
	}
	for _, o := range []Options{
		{Installation: "../x"}, {Installation: "abc123", Host: "ssh://host"},
		{Installation: "abc123", Host: "tcp://10.0.0.1:2376", TLSVerify: true},
	} {
		if _, err := New(t.Context(), o); !errors.Is(err, pipeline.ErrInvalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestContainers_HaveNoMoreRightsThanOrdered(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	c := w.run(w.order("d1", 10))
	status := w.get(c, "/file?path=/proc/self/status")
	// The engine's default set for root, see its seccomp and capability docs.
	for _, want := range []string{"CapEff:\t00000000a80425fb", "CapBnd:\t00000000a80425fb", "NoNewPrivs:\t1"} {
		if !strings.Contains(status, want) {
			t.Errorf("no %q in\n%s", want, status)
		}
	}
	if got := w.get(c, "/file?path=/var/run/docker.sock"); !strings.Contains(got, "no such file") {
		t.Errorf("the engine's socket: %s", got)
	}
}
