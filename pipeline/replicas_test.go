package pipeline_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

const threeReplicas = "services: {web: {x-swingbridge: {replicas: 3}}}"

func TestRun_ReplicasAreAllStartedProbedAndReached(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		w.Ledger().SetOverlay(threeReplicas)
		d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		d = wantState(t, w, d.ID, pipeline.Live)
		there := w.Engine().Containers()
		targets := entryOf(t, w).Paths[0].Targets
		if len(there) != 3 || len(targets) != 3 {
			t.Fatalf("containers %v, targets %v", there, targets)
		}
		for i, c := range there {
			if !c.Running || !c.Always || c.Replica != i || targets[i].Addr() != c.Edge {
				t.Errorf("replica %d: %+v, target %s", i, c, targets[i])
			}
		}
		for _, s := range d.Steps {
			if s.Name == "probe" && !strings.Contains(s.Detail, "web, replica 3: ") {
				t.Errorf("probe: %s", s.Detail)
			}
		}
	})
}

func TestRun_OneReplicaThatDiesUnderGuardSwingsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := pipelinetest.New()
		w.Ledger().SetOverlay(threeReplicas)
		old := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
		id := d.ID
		time.AfterFunc(5*time.Second, func() {
			for _, c := range w.Engine().Containers() {
				if c.Owner.Deployment == id && c.Replica == 1 {
					if err := w.Engine().Stop(t.Context(), c.ID); err != nil {
						t.Error(err)
					}
				}
			}
		})
		if err := w.Run(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		if d = wantState(t, w, d.ID, pipeline.RolledBack); !strings.Contains(d.Reason, "service web, replica 2: ") {
			t.Errorf("reason: %s", d.Reason)
		}
		if e := entryOf(t, w); e.Deployment != old.ID || len(e.Paths[0].Targets) != 3 {
			t.Errorf("visitors are on %+v", e)
		}
		if n := len(w.Engine().Containers()); n != 3 {
			t.Errorf("%d containers are left", n)
		}
	})
}

func TestReconcile_PointsAtTheReplicasThatRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := pipelinetest.New()
		w.Ledger().SetOverlay(threeReplicas)
		live := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		dead := w.Engine().Containers()[1]
		if err := w.Engine().Stop(t.Context(), dead.ID); err != nil {
			t.Fatal(err)
		}
		app := w.Ledger().App()
		rel, err := w.Ledger().Release(t.Context(), wantState(t, w, live.ID, pipeline.Live).ReleaseID)
		if err != nil {
			t.Fatal(err)
		}
		e, err := pipeline.EntryFor(t.Context(), w.Engine(), app, live, rel)
		if err != nil {
			t.Fatal(err)
		}
		if targets := e.Paths[0].Targets; len(targets) != 2 || targets[0].Addr() == dead.Edge || targets[1].Addr() == dead.Edge {
			t.Errorf("targets %v, dead is %s", targets, dead.Edge)
		}
	})
}
