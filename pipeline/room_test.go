package pipeline_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

// imagesOf are the images of the deployment's release.
func imagesOf(t *testing.T, w *pipelinetest.World, d pipeline.Deployment) map[string]string {
	t.Helper()
	rel, err := w.Ledger().Release(t.Context(), d.ReleaseID)
	if err != nil {
		t.Fatal(err)
	}
	return rel.Images
}

func count(w *pipelinetest.World, call string, from int) int {
	n := 0
	for _, made := range w.Calls()[from:] {
		if made == call {
			n++
		}
	}
	return n
}

func TestRun_TheSameTreeAgainBuildsNothing(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		same := map[string]string{"Dockerfile": "FROM scratch"}
		first := deploy(t, w, w.Forge().Push("main", same), pipeline.Push)
		again := deploy(t, w, w.Forge().PushNothing("main"), pipeline.Redeploy)
		if text := w.Ledger().LogText(again.ID); !strings.Contains(text, "nothing to build, the images are there") {
			t.Errorf("the log does not say so:\n%s", text)
		}
		if diff := cmp.Diff(imagesOf(t, w, first), imagesOf(t, w, again)); diff != "" {
			t.Error(diff)
		}
		other := deploy(t, w, w.Forge().Push("main", map[string]string{"Dockerfile": "FROM scratch\nUSER 1"}), pipeline.Push)
		if imagesOf(t, w, other)["web"] == imagesOf(t, w, first)["web"] {
			t.Error("another tree has the same image")
		}
	})
}

// twoServices has two services out of one build, and two out of one reference.
const twoServices = `
services:
  web: {build: ., command: [serve]}
  web2: {build: ., command: [serve, more]}
  cache: {image: "cache:1"}
  cache2: {image: "cache:1"}
`

func TestRun_ServicesWithOneBuildOrOneReferenceShareOneImage(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		w.Ledger().ChangeApp(func(a *pipeline.App) {
			a.Compose, a.Routes = []string{"compose.yml"}, nil
			for _, service := range []string{"web", "web2", "cache", "cache2"} {
				a.Routes = append(a.Routes, pipeline.Route{Host: service + ".example.org", Service: service, Port: 80})
			}
		})
		from := len(w.Calls())
		d := deploy(t, w, w.Forge().Push("main", map[string]string{"Dockerfile": "FROM scratch", "compose.yml": twoServices}), pipeline.Push)
		if builds, pulls := count(w, "engine.Build", from), count(w, "engine.Pull", from); builds != 1 || pulls != 1 {
			t.Errorf("%d builds and %d pulls, want one of each", builds, pulls)
		}
		images := imagesOf(t, w, d)
		if images["web"] == "" || images["web"] != images["web2"] || images["cache"] == "" || images["cache"] != images["cache2"] || len(images) != 4 {
			t.Errorf("images of the release: %v", images)
		}
	})
}

func TestRun_WithoutSpaceNothingIsBuiltAndTheOldReleaseServes(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		w.FreeSpace = 500e6
		w.Engine().SetRoom(700e6, 300e6) // the live release's image takes 300 MB
		from := len(w.Calls())
		d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		d = wantState(t, w, d.ID, pipeline.Failed)
		for _, word := range []string{"400 MB are free in /var/lib/engine", "must be 500 MB", "SWINGBRIDGE_FREE_SPACE"} {
			if !strings.Contains(d.Reason, word) {
				t.Errorf("the reason does not say %q: %s", word, d.Reason)
			}
		}
		if count(w, "engine.Build", from) != 0 {
			t.Error("it was built all the same")
		}
		wantServed(t, w, old.ID)
	})
}

func TestRun_MakesRoomBeforeItFails(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		sha := w.Forge().Push("main", nil)
		w.Engine().Behave(sha, pipelinetest.Behavior{ExitAfter: 1, ExitCode: 1})
		failed := deploy(t, w, sha, pipeline.Push) // its image stays
		wantState(t, w, failed.ID, pipeline.Failed)
		w.FreeSpace = 500e6
		w.Engine().SetRoom(900e6, 300e6)
		d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		wantState(t, w, d.ID, pipeline.Live)
		if text := w.Ledger().LogText(d.ID); !strings.Contains(text, "300 MB of space are free: 1 image(s) removed to make room") {
			t.Errorf("the log does not say so:\n%s", text)
		}
	})
}

func TestRun_AnUnknownDiskIsNoReasonToFail(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		w.FreeSpace = 500e6
		d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		wantState(t, w, d.ID, pipeline.Live)
		if text := w.Ledger().LogText(d.ID); !strings.Contains(text, "the free space is not known") {
			t.Errorf("the log does not say so:\n%s", text)
		}
	})
}

func TestPrune_KeepsWhatFitsTheLimitAndAlwaysTheLiveOneAndTheOneBefore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit int64
		want  int // of six releases; five are kept by count besides the live one
	}{{0, 6}, {2e9, 6}, {1e9, 3}, {1, 2}} {
		inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
			w.ImagesLimit = c.limit
			w.Engine().SetRoom(100e9, 300e6)
			all := []pipeline.Deployment{old}
			for range 5 {
				all = append(all, deploy(t, w, w.Forge().Push("main", nil), pipeline.Push))
			}
			var want []string
			for _, d := range all[len(all)-c.want:] {
				want = append(want, imagesOf(t, w, d)["web"])
			}
			if got := w.Engine().Images(); len(got) != c.want {
				t.Fatalf("limit %d: %d images are left, want %d", c.limit, len(got), c.want)
			} else {
				for _, id := range want {
					if !strings.Contains(strings.Join(got, " "), id) {
						t.Errorf("limit %d: %s is gone", c.limit, id)
					}
				}
			}
		})
	}
}

// After a rollback the newest release is the one that a rollback leads to.
func TestPrune_AfterARollbackTheReleaseBeforeStays(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		w.ImagesLimit = 1
		w.Engine().SetRoom(100e9, 300e6)
		newer := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		back := w.Ledger().QueueRollback(old)
		if err := w.Run(t.Context(), back.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, back.ID, pipeline.Live)
		got := strings.Join(w.Engine().Images(), " ")
		for _, d := range []pipeline.Deployment{old, newer} {
			if id := imagesOf(t, w, d)["web"]; !strings.Contains(got, id) {
				t.Errorf("%s is gone", id)
			}
		}
	})
}

func TestParseBytes_ReadsWhatBytesWrites(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "512": 512, "500MB": 500e6, "500 mb": 500e6, "1.5GB": 1.5e9, "20GiB": 20 << 30, "2g": 2e9, "3k": 3000, "1TB": 1e12,
	} {
		if got, err := pipeline.ParseBytes(text); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1 kB", 1500: "1.5 kB", 312_400_000: "312 MB", 999_600_000: "1 GB", 20e9: "20 GB", 5e15: "5000 TB"} {
		if got := pipeline.Bytes(n); got != want {
			t.Errorf("%d is written %q, want %q", n, got, want)
		}
	}
	for _, text := range []string{"", "GB", "-1", "1e30", "many", "5 apples", "NaN"} {
		if n, err := pipeline.ParseBytes(text); !errors.Is(err, pipeline.ErrInvalid) {
			t.Errorf("%q is %d, %v; want a refusal", text, n, err)
		}
	}
}
