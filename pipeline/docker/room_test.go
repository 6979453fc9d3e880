package docker

import (
	"path/filepath"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
)

func TestRoom_IsTheEnginesDisk(t *testing.T) {
	t.Parallel()
	w := setup(t)
	room, err := w.Room(t.Context())
	if err != nil || room.Path == "" || room.Free <= 0 {
		t.Errorf("%+v, %v", room, err)
	}
}

func TestRoomAt_IsUnknownWhereTheFolderCannotBeSeen(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"", filepath.Join(t.TempDir(), "absent")} {
		if room, err := roomAt(dir); err != nil || room != (pipeline.Room{}) {
			t.Errorf("%q: %+v, %v", dir, room, err)
		}
	}
	if room, err := roomAt(t.TempDir()); err != nil || room.Free <= 0 {
		t.Errorf("a folder that is there: %+v, %v", room, err)
	}
}

func TestRoom_OfAnEngineElsewhereIsUnknown(t *testing.T) {
	t.Parallel()
	e, err := New(t.Context(), Options{Host: "tcp://127.0.0.1:1", Installation: "abc"})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if room, err := e.Room(t.Context()); err != nil || room != (pipeline.Room{}) {
		t.Errorf("%+v, %v", room, err)
	}
}

func TestBuilt_IsTheImageThatABuildWouldNotMakeAgain(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.build(plainDockerfile, "some")
	owner := pipeline.Owner{App: w.app.Name, AppID: w.app.ID, Service: "web"}
	other := owner
	other.Service = "worker"
	for _, c := range []struct {
		owner     pipeline.Owner
		key, want string
	}{{owner, "some", id}, {owner, "another", ""}, {other, "some", ""}} {
		if got, err := w.Built(t.Context(), c.owner, c.key); err != nil || got != c.want {
			t.Errorf("%s of %s is %q, %v; want %q", c.key, c.owner.Service, got, err, c.want)
		}
	}
	sizes, err := w.ImageSizes(t.Context(), w.app.ID)
	if err != nil || len(sizes) != 1 || sizes[id] <= 0 {
		t.Errorf("sizes %v, %v", sizes, err)
	}
	pulled, err := w.Pulled(t.Context(), pipeline.PullOrder{Ref: id})
	if err != nil || pulled != id {
		t.Errorf("there already: %q, %v", pulled, err)
	}
	for _, o := range []pipeline.PullOrder{{Ref: id, Policy: "always"}, {Ref: "absent.example.org/x:1"}, {Ref: id, Platform: "linux/s390x"}} {
		if got, err := w.Pulled(t.Context(), o); err != nil || got != "" {
			t.Errorf("%+v is there: %q, %v", o, got, err)
		}
	}
}
