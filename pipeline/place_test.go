package pipeline_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

const bindOverlay = "services: {web: {volumes: ['./nginx.conf:/etc/nginx.conf:ro', './conf:/conf:ro', './media:/media', './logs:/logs']}}"

func bindFiles(nginx string) map[string]string {
	return map[string]string{
		"Dockerfile": "FROM scratch", "nginx.conf": nginx, "conf/app.ini": "debug=0", "conf/.gitkeep": "", "logs/.gitkeep": "",
	}
}

// inBoundWorld has a live version with binds.
func inBoundWorld(t *testing.T, f func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment)) {
	t.Helper()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		w.Ledger().SetOverlay(bindOverlay)
		old := deploy(t, w, w.Forge().Push("main", bindFiles("one")), pipeline.Push)
		wantState(t, w, old.ID, pipeline.Live)
		f(t, w, old)
	})
}

func TestPlace_BindsAreThereBeforeTheContainersAndStoredWithTheRelease(t *testing.T) {
	t.Parallel()
	inBoundWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		last := map[string]int{}
		for i, call := range w.Calls() {
			last[call] = i
		}
		if last["folders.Data"] == 0 || max(last["folders.Data"], last["folders.Place"]) > last["engine.Ensure"] {
			t.Errorf("the last calls: %v", last)
		}
		there := w.Engine().Containers()
		if len(there) != 1 || len(there[0].Binds) != 4 || !slices.Contains(there[0].Binds, "/data/"+old.AppID+"/media") ||
			!slices.Contains(there[0].Binds, "/data/"+old.AppID+"/logs") {
			t.Fatalf("containers: %+v", there)
		}
		rel, err := w.Ledger().Release(t.Context(), old.ReleaseID)
		if err != nil {
			t.Fatal(err)
		}
		var stored []string
		for _, m := range rel.Stack.Services[0].Mounts {
			stored = append(stored, m.Bind.Placed)
		}
		if slices.Sort(stored); !slices.Equal(stored, there[0].Binds) {
			t.Errorf("the release has %q, the container %q", stored, there[0].Binds)
		}
		if placed := w.Folders().Placed(); len(placed) != 2 {
			t.Errorf("placed: %q", placed)
		}
	})
}

func TestPlace_ARollbackFindsWhatItsReleaseHad(t *testing.T) {
	t.Parallel()
	inBoundWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		had := w.Engine().Containers()[0].Binds
		deploy(t, w, w.Forge().Push("main", bindFiles("two")), pipeline.Push)
		if placed := w.Folders().Placed(); len(placed) != 3 { // conf is the same
			t.Fatalf("placed: %q", placed)
		}
		d := w.Ledger().QueueRollback(old)
		if err := w.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, w, d.ID, pipeline.Live)
		if has := w.Engine().Containers()[0].Binds; !slices.Equal(has, had) {
			t.Errorf("binds %q, want %q", has, had)
		}
	})
}

func TestPlace_ARollbackWhoseFilesAreGoneSaysSo(t *testing.T) {
	t.Parallel()
	inBoundWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		first := w.Folders().Placed()
		live := deploy(t, w, w.Forge().Push("main", bindFiles("two")), pipeline.Push)
		for _, at := range first {
			w.Folders().Lose(at)
		}
		d := w.Ledger().QueueRollback(old)
		if err := w.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		if d = wantState(t, w, d.ID, pipeline.Failed); !strings.Contains(d.Reason, "nginx.conf is no longer on the server: deploy commit") {
			t.Errorf("reason: %s", d.Reason)
		}
		wantServed(t, w, live.ID)
	})
}

func TestPlace_AFailureLeavesTheOldVersionAlone(t *testing.T) {
	t.Parallel()
	inBoundWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		w.Ledger().SetOverlay(strings.ReplaceAll(bindOverlay, "./media", "./conf/deep/../../media2"))
		for _, call := range []string{"folders.Place", "folders.Data"} {
			w.Fail = func(c string, after bool) error {
				if c == call && !after {
					return pipeline.ErrInvalid
				}
				return nil
			}
			d := deploy(t, w, w.Forge().Push("main", bindFiles(call)), pipeline.Push)
			if d = wantState(t, w, d.ID, pipeline.Failed); !strings.Contains(d.Reason, "service web: mount at /") {
				t.Errorf("%s: reason: %s", call, d.Reason)
			}
			wantServed(t, w, old.ID)
		}
	})
}

func TestPlace_WhatNoKeptReleaseNamesIsPruned(t *testing.T) {
	t.Parallel()
	inBoundWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		first := w.Folders().Placed()
		for _, text := range []string{"2", "3", "4", "5", "6", "7", "8", "9"} {
			d := deploy(t, w, w.Forge().Push("main", bindFiles(text)), pipeline.Push)
			wantState(t, w, d.ID, pipeline.Live)
		}
		placed := w.Folders().Placed()
		both := 0
		for _, at := range first {
			if slices.Contains(placed, at) {
				both++
			}
		}
		if len(placed) != 7 || both != 1 { // conf, and nginx.conf of the live release and of the kept ones
			t.Errorf("left %q, of the first %q", placed, first)
		}
	})
}
