package docker

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/mount"
	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

func bound(b stack.Bind) pipeline.ContainerOrder {
	o := goodOrder()
	o.Service.Mounts = []stack.Mount{{Bind: &b, Target: "/x", ReadOnly: true}}
	return o
}

func TestMounts_TranslatesBindsAndAnonymousVolumes(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("0a", 32)
	o := goodOrder()
	o.Service.Mounts = []stack.Mount{
		{Bind: &stack.Bind{Data: "m", Placed: "/srv/apps/1/data/m"}, Target: "/m"},
		{Bind: &stack.Bind{Repo: "c", Placed: "/srv/apps/1/files/abc", Propagation: "rslave"}, Target: "/c", ReadOnly: true},
		{Bind: &stack.Bind{Repo: "z", Placed: "/srv/apps/1/files/def", SELinux: "Z", Propagation: "private"}, Target: "/z", ReadOnly: true},
		{Target: "/new"},
		{Target: "/old", ReadOnly: true},
	}
	o.Carry = map[string]string{"/old": id, "/image": id}
	s, err := offline().newSpec(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	none := &mount.VolumeOptions{}
	want := []mount.Mount{
		{Type: mount.TypeBind, Source: "/srv/apps/1/data/m", Target: "/m"},
		{Type: mount.TypeBind, Source: "/srv/apps/1/files/abc", Target: "/c", ReadOnly: true, BindOptions: &mount.BindOptions{Propagation: "rslave"}},
		{Type: mount.TypeVolume, Target: "/new", VolumeOptions: none},
		{Type: mount.TypeVolume, Source: id, Target: "/old", ReadOnly: true, VolumeOptions: none},
		{Type: mount.TypeVolume, Source: id, Target: "/image", VolumeOptions: none},
	}
	if diff := cmp.Diff(want, s.Host.Mounts); diff != "" {
		t.Error(diff)
	}
	if !slices.Equal(s.Host.Binds, []string{"/srv/apps/1/files/def:/z:Z,ro,private"}) {
		t.Errorf("binds %q", s.Host.Binds)
	}
	if !maps.Equal(o.Carry, map[string]string{"/old": id, "/image": id}) {
		t.Errorf("the order was changed: %v", o.Carry)
	}
}

func TestMounts_RefusesWhatIsNotTheAppsOwn(t *testing.T) {
	t.Parallel()
	for _, placed := range []string{
		"", "/", "/etc", "data/x", "/srv", "/srv/apps", "/srv/apps/1", "/srv/apps/1/data", "/srv/apps/1/data/", "/srv/apps/1/files",
		"/srv/apps/1/other/x", "/srv/apps/2/data/x", "/srv/apps/1/data/../../2/data/x", "/srv/apps/1/data/x/..", "/srv/apps/1/data//x",
		"/srv/apps/1/data/./x", "/srv/apps/1/datax/y", "../srv/apps/1/data/x", "/srv/apps//1/data/x",
	} {
		if _, err := offline().newSpec(bound(stack.Bind{Data: "x", Placed: placed}), nil); !errors.Is(err, pipeline.ErrInvalid) {
			t.Errorf("%q: %v", placed, err)
		}
	}
	for name, b := range map[string]stack.Bind{
		"path of the host":          {Host: "/srv/apps/1/data/x"},
		"path of the host too":      {Host: "/etc", Placed: "/srv/apps/1/data/x"},
		"propagation":               {Placed: "/srv/apps/1/data/x", Propagation: "everywhere"},
		"label":                     {Placed: "/srv/apps/1/data/x", SELinux: "rw"},
		"a colon in a labeled bind": {Placed: "/srv/apps/1/data/x:/y", SELinux: "z"},
	} {
		if _, err := offline().newSpec(bound(b), nil); !errors.Is(err, pipeline.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	nowhere := &Engine{installation: "abc123"}
	if _, err := nowhere.newSpec(bound(stack.Bind{Placed: "/1/data/x"}), nil); !errors.Is(err, pipeline.ErrInvalid) {
		t.Errorf("an engine without folders: %v", err)
	}
	o := goodOrder()
	o.Carry = map[string]string{"/old": "somebodys-volume"}
	if _, err := offline().newSpec(o, nil); !errors.Is(err, pipeline.ErrInvalid) {
		t.Errorf("a named volume carried over: %v", err)
	}
	if _, err := offline().newSpec(bound(stack.Bind{Data: "x", Placed: "/srv/apps/1/data/x"}), nil); err != nil {
		t.Errorf("the app's own: %v", err)
	}
}

func TestEnsure_MountsWhatWasPlaced(t *testing.T) {
	t.Parallel()
	folders := t.TempDir()
	w := setupWith(t, Options{Folders: folders})
	w.networks()
	own := filepath.Join(folders, w.app.ID)
	if err := errors.Join(
		os.MkdirAll(filepath.Join(own, "data", "media"), 0o777), os.MkdirAll(filepath.Join(own, "files"), 0o700),
		os.WriteFile(filepath.Join(own, "files", "abc"), []byte("listen 80"), 0o644),
	); err != nil {
		t.Fatal(err)
	}
	o := w.order("d1", 10, "wait")
	o.Service.Mounts = []stack.Mount{
		{Bind: &stack.Bind{Data: "media", Placed: filepath.Join(own, "data", "media")}, Target: "/media"},
		{Bind: &stack.Bind{Repo: "nginx.conf", Placed: filepath.Join(own, "files", "abc"), SELinux: "z"}, Target: "/etc/nginx.conf", ReadOnly: true},
		{Target: "/anonymous"},
		{Volume: "rows", Target: "/rows"},
		{Volume: "read", Target: "/read", ReadOnly: true},
	}
	o.Volumes = []stack.Volume{{Name: "rows"}, {Name: "read"}}
	c := w.run(o)
	if want := []string{filepath.Join(own, "data", "media"), "rows"}; !slices.Equal(c.Writes, want) {
		t.Errorf("it may write to %q, want %q", c.Writes, want)
	}
	if want := []string{filepath.Join(own, "data", "media"), filepath.Join(own, "files", "abc")}; !slices.Equal(c.Binds, want) {
		t.Errorf("binds %q, want %q", c.Binds, want)
	}
	if len(c.Anonymous) != 1 || !isAnonymous(c.Anonymous["/anonymous"]) {
		t.Errorf("anonymous volumes %v", c.Anonymous)
	}
	there, err := w.api.ContainerInspect(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	writable := map[string]bool{}
	for _, m := range there.Mounts {
		writable[m.Destination] = m.RW
	}
	if want := map[string]bool{"/media": true, "/etc/nginx.conf": false, "/anonymous": true, "/rows": true, "/read": false}; !maps.Equal(writable, want) {
		t.Errorf("writable %v, want %v", writable, want)
	}

	again := w.order("d2", 11, "wait")
	again.Service.Mounts = []stack.Mount{{Target: "/anonymous"}}
	again.Carry = c.Anonymous
	if next := w.ensure(again); !maps.Equal(next.Anonymous, c.Anonymous) {
		t.Errorf("carried over %v, want %v", next.Anonymous, c.Anonymous)
	}
	gone := w.order("d3", 12)
	gone.Service.Mounts = []stack.Mount{{Bind: &stack.Bind{Data: "x", Placed: filepath.Join(own, "data", "absent")}, Target: "/x"}}
	if _, err := w.Ensure(t.Context(), gone); err == nil {
		t.Error("the engine made a folder that nobody placed")
	}
}
