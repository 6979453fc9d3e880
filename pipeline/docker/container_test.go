package docker

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

func TestEnsure_SameOrderGivesTheSameContainer(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	o := w.order("d1", 10)
	o.Owner.Role = stack.Web
	o.Service.Mounts = []stack.Mount{{Volume: "data", Target: "/data"}}
	o.Volumes = []stack.Volume{{Name: "data", Labels: map[string]string{"a": "b"}}}
	first := w.ensure(o)
	if first.Running || first.Status != "created" || first.Always || first.Owner != o.Owner || first.Image != w.image ||
		first.Edge != o.Edge.Address || first.Name != "shop-web-blue-d1-"+w.installation {
		t.Errorf("created %+v", first)
	}
	if again := w.ensure(o); again.ID != first.ID {
		t.Errorf("another container was made: %s", again.ID)
	}
	if err := w.Start(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	if again := w.ensure(o); again.ID != first.ID || !again.Running || again.StartedAt.IsZero() {
		t.Errorf("running: %+v", again)
	}
	other := w.order("d1", 10, "wait")
	if _, err := w.Ensure(t.Context(), other); !errors.Is(err, pipeline.ErrConflict) {
		t.Errorf("another order took a running container's name: %v", err)
	}
	if err := w.Stop(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	if replaced := w.ensure(other); replaced.ID == first.ID {
		t.Error("the stopped container of another order was kept")
	}
	volume, err := w.api.VolumeInspect(t.Context(), "shop_data-"+w.installation)
	if err != nil || volume.Labels[labelAppID] != w.app.ID || volume.Labels["a"] != "b" {
		t.Errorf("volume %+v, %v", volume, err)
	}
}

func TestEnsure_LeavesWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	w, stranger := setup(t), setup(t)
	w.networks()
	o := w.order("d1", 10)
	labels := map[string]string{testLabel: "1", labelInstallation: stranger.installation}
	made, err := w.api.ContainerCreate(t.Context(), &container.Config{Image: w.image, Labels: labels}, nil, nil, nil, w.containerName(o))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Ensure(t.Context(), o); !errors.Is(err, pipeline.ErrConflict) {
		t.Errorf("ensure: %v", err)
	}
	for name, act := range map[string]func(context.Context, string) error{"stop": w.Stop, "remove": w.Remove, "start": w.Start} {
		if err := act(t.Context(), made.ID); err == nil {
			t.Errorf("%s touched a stranger's container", name)
		}
	}
	if list, err := w.List(t.Context(), pipeline.Filter{}); err != nil || len(list) != 0 {
		t.Errorf("list %v %v", list, err)
	}
}

func TestEnsure_AfterACrashBetweenCreateAndConnectTheAppNetworkIsJoined(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	o := w.order("d1", 10)
	c := w.ensure(o)
	if err := w.api.NetworkDisconnect(t.Context(), o.Links[0].Network, c.ID, true); err != nil {
		t.Fatal(err)
	}
	if again := w.ensure(o); again.ID != c.ID {
		t.Fatal("another container was made")
	}
	there, err := w.api.ContainerInspect(t.Context(), c.ID)
	if err != nil || there.NetworkSettings.Networks[o.Links[0].Network] == nil {
		t.Fatalf("not on the app's network: %v", err)
	}
	if aliases := there.NetworkSettings.Networks[o.Links[0].Network].Aliases; len(aliases) == 0 || aliases[0] != "web" {
		t.Errorf("aliases %v", aliases)
	}
}

// A cancel that hits anywhere leaves no container behind that the caller was not
// told of.
func TestEnsure_CancelDuringCreateIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	made, failed := 0, 0
	for i := range 12 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i*4)*time.Millisecond)
		o := w.order("d"+string(rune('a'+i)), byte(10+i))
		c, err := w.Ensure(ctx, o)
		cancel()
		list, listErr := w.List(t.Context(), pipeline.Filter{Deployment: o.Owner.Deployment})
		if listErr != nil {
			t.Fatal(listErr)
		}
		switch {
		case err == nil && (len(list) != 1 || list[0].ID != c.ID):
			t.Errorf("%d: made %q, there is %v", i, c.ID, list)
		case err != nil && c.ID == "" && len(list) != 0:
			t.Errorf("%d: nothing was reported, there is %v", i, list)
		}
		if err == nil {
			made++
		} else {
			failed++
		}
	}
	t.Logf("%d made, %d not", made, failed)
	if failed == 0 {
		t.Error("no cancel came early enough")
	}
}

// behind is an engine whose answers to the given call get lost.
func behind(t *testing.T, lost func(*http.Request) bool) string {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "engine"})
	proxy.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", "/var/run/docker.sock")
	}}
	proxy.FlushInterval = -1
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !lost(r) {
			proxy.ServeHTTP(rw, r)
			return
		}
		proxy.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(server.Close)
	return "tcp://" + strings.TrimPrefix(server.URL, "http://")
}

func TestEnsureAndStart_LostAnswersAreFoundOut(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	lossy, err := New(t.Context(), Options{
		Installation: w.installation, Labels: w.extra,
		Host: behind(t, func(r *http.Request) bool {
			return r.Method == http.MethodPost &&
				(strings.HasSuffix(r.URL.Path, "/containers/create") || strings.HasSuffix(r.URL.Path, "/start") || strings.HasSuffix(r.URL.Path, "/connect"))
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer lossy.Close()
	c, err := lossy.Ensure(t.Context(), w.order("d1", 10))
	if err != nil {
		t.Fatal(err)
	}
	if err := lossy.Start(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	if now := w.inspect(c.ID); !now.Running {
		t.Errorf("%+v", now)
	}
}

// What the engine does for us while an app starts is taken from the app.
func TestEnsureAndStart_AskTheEngineNoMoreThanNeeded(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	var mu sync.Mutex
	var calls []string
	counted, err := New(t.Context(), Options{
		Installation: w.installation, Labels: w.extra,
		Host: behind(t, func(r *http.Request) bool {
			mu.Lock()
			defer mu.Unlock()
			if r.Method != http.MethodHead { // agreeing on a version
				calls = append(calls, r.Method+" "+path.Base(r.URL.Path))
			}
			return false
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer counted.Close()
	c, err := counted.Ensure(t.Context(), w.order("d1", 10))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(counted.Start(t.Context(), c.ID), counted.SetRestart(t.Context(), c.ID, true)); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"GET networks", "POST create", "POST connect", "GET json", "POST start", "POST update"}; !slices.Equal(calls, want) {
		t.Errorf("asked %v, want %v", calls, want)
	}
}

func TestEnsure_CommandAndEntrypointAreKeptReplacedOrCleared(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	w.image = w.build("FROM scratch\nCOPY tool /tool\nENTRYPOINT [\"/tool\", \"args\"]\nCMD [\"default\"]\n", "args")
	for i, c := range []struct {
		command, entrypoint []string
		want                string
	}{
		{nil, nil, "[default]\n"},
		{[]string{"mine"}, nil, "[mine]\n"},
		{[]string{}, nil, "[]\n"},
		{nil, []string{"/tool", "args", "own"}, "[own]\n"},
		{[]string{"/tool", "args", "bare"}, []string{}, "[bare]\n"},
	} {
		o := w.order("d"+string(rune('a'+i)), byte(10+i), c.command...)
		o.Service.Command, o.Service.Entrypoint = c.command, c.entrypoint
		made := w.run(o)
		w.wait(made.ID, "ended", func(c pipeline.Container) bool { return c.Status == "exited" })
		if got := w.logs(made.ID, pipeline.LogOrder{Tail: -1}); got != c.want {
			t.Errorf("%+v: got %q", c, got)
		}
	}
}

func TestEnsure_ExternalVolumesMustBeThereAndNotAnotherApps(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	o := w.order("d1", 10)
	o.Service.Mounts = []stack.Mount{{Volume: "data", Target: "/data"}}
	o.Volumes = []stack.Volume{{Name: "data", External: "absent-" + w.installation}}
	if _, err := w.Ensure(t.Context(), o); !errors.Is(err, pipeline.ErrInvalid) || !strings.Contains(err.Error(), "volume:absent-") {
		t.Errorf("not allowed: %v", err)
	}
	o.Allowed = []string{"volume:absent-" + w.installation, "volume:bank_data-" + w.installation}
	if _, err := w.Ensure(t.Context(), o); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("absent: %v", err)
	}
	other := o
	other.Owner.App, other.Owner.AppID, other.Volumes = "bank", "2", []stack.Volume{{Name: "data"}}
	w.ensure(other)
	o.Volumes[0].External = "bank_data-" + w.installation
	if _, err := w.Ensure(t.Context(), o); !errors.Is(err, pipeline.ErrConflict) {
		t.Errorf("another app's data was mounted: %v", err)
	}
}
