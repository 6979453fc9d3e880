package pipeline_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

func reconcile(t *testing.T, w *pipelinetest.World) {
	t.Helper()
	if err := w.Runner().Reconcile(t.Context(), w.Ledger().Current); err != nil {
		t.Fatal(err)
	}
}

func TestReconcile_StartsALiveContainerThatDoesNotRun(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, live pipeline.Deployment) {
		id := w.Engine().Containers()[0].ID
		if err := w.Engine().Stop(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if err := w.Engine().SetRestart(t.Context(), id, false); err != nil {
			t.Fatal(err)
		}
		reconcile(t, w)
		wantServed(t, w, live.ID)
	})
}

func TestReconcile_PointsAProxyThatForgotAtTheLiveColor(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, live pipeline.Deployment) {
		if err := w.Proxy().Drop(t.Context(), w.Ledger().App().ID); err != nil {
			t.Fatal(err)
		}
		reconcile(t, w)
		wantServed(t, w, live.ID)
	})
}

// afterList is an engine on which something happens right after a deployment's
// containers were listed.
type afterList struct {
	pipeline.Engine
	happens func()
}

func (e afterList) List(ctx context.Context, f pipeline.Filter) ([]pipeline.Container, error) {
	there, err := e.Engine.List(ctx, f)
	if f.Deployment != "" {
		e.happens()
	}
	return there, err
}

func TestReconcile_ATargetLostMeanwhileDoesNotComeBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := pipelinetest.New()
		w.Ledger().SetOverlay("services: {web: {x-swingbridge: {replicas: 2}}}")
		deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		there := w.Engine().Containers()
		w.Proxy().Forget(there[0].Owner.AppID, there[0].Edge) // it runs again: there is something to mend
		runner := w.Runner()
		runner.Engine = afterList{w.Engine(), func() { w.Proxy().Forget(there[1].Owner.AppID, there[1].Edge) }}
		if err := runner.Reconcile(t.Context(), w.Ledger().Current); !errors.Is(err, pipeline.ErrConflict) {
			t.Errorf("reconciled: %v, want a conflict", err)
		}
		for _, target := range targetsOf(t, w) {
			if target.Addr() == there[1].Edge {
				t.Errorf("visitors are sent to %s, which died", target)
			}
		}
	})
}

func TestReconcile_TouchesNothingThatIsRight(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, live pipeline.Deployment) {
		before := len(w.Calls())
		reconcile(t, w)
		for _, call := range w.Calls()[before:] {
			switch call {
			case "engine.List", "proxy.Entry", "proxy.Mode", "engine.Inspect", "ledger.Release":
			default:
				t.Errorf("called %s", call)
			}
		}
	})
}

func TestReconcile_EndsOrphansUnlessRequestsAreOpen(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, live pipeline.Deployment) {
		app := w.Ledger().App()
		orphan, err := w.Engine().Ensure(t.Context(), pipeline.ContainerOrder{
			Owner: pipeline.Owner{App: app.Name, AppID: app.ID, Service: "web", Deployment: "gone"},
			Edge:  pipeline.Attachment{Address: netip.MustParseAddr("10.201.9.9")},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Engine().Start(t.Context(), orphan.ID); err != nil {
			t.Fatal(err)
		}
		w.Proxy().SetInflight("gone", 1)
		reconcile(t, w)
		if n := len(w.Engine().Containers()); n != 2 {
			t.Fatalf("%d containers while a request is open on the orphan", n)
		}
		w.Proxy().SetInflight("gone", 0)
		reconcile(t, w)
		wantServed(t, w, live.ID)
	})
}

func TestFreeSubnet_StaysClearOfWhatIsUsed(t *testing.T) {
	t.Parallel()
	pool := netip.MustParsePrefix("10.201.0.0/22")
	var used []netip.Prefix
	for range 4 {
		p, err := pipeline.FreeSubnet(pool, 24, used)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range used {
			if u.Overlaps(p) {
				t.Errorf("%s overlaps %s", p, u)
			}
		}
		used = append(used, p)
	}
	if p, err := pipeline.FreeSubnet(pool, 24, used); err == nil {
		t.Errorf("a full pool gave %s", p)
	}
}

func TestEdgeNetwork_KeepsTheEnginesChoicesApartFromOurs(t *testing.T) {
	t.Parallel()
	n := pipeline.EdgeNetwork("edge", netip.MustParsePrefix("10.201.16.0/20"))
	if n.Gateway != netip.MustParseAddr("10.201.16.1") || n.Range != netip.MustParsePrefix("10.201.31.0/24") || !n.Isolated {
		t.Errorf("edge network %+v", n)
	}
}

func TestApp_ValidateNamesEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	good := pipelinetest.New().Ledger().App()
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*pipeline.App){
		"name":    func(a *pipeline.App) { a.Name = "Shop" },
		"repo":    func(a *pipeline.App) { a.Repo = "octocat/../etc" },
		"branch":  func(a *pipeline.App) { a.Branch = "--upload-pack=x" },
		"compose": func(a *pipeline.App) { a.Compose = []string{"../secrets.yml"} },
		"host":    func(a *pipeline.App) { a.Routes = []pipeline.Route{{Host: "Shop example", Service: "web", Port: 80}} },
		"port": func(a *pipeline.App) {
			a.Routes = []pipeline.Route{{Host: "shop.example.org", Service: "web", Port: 70000}}
		},
		"twice": func(a *pipeline.App) {
			a.Routes = []pipeline.Route{{Host: "a.example.org", Service: "web", Port: 80}, {Host: "a.example.org", Path: "/", Service: "web", Port: 80}}
		},
	} {
		a := good
		spoil(&a)
		if err := a.Validate(); err == nil {
			t.Errorf("%s: accepted %+v", name, a)
		}
	}
}

func TestState_EveryStateCanBeLeftOrIsFinal(t *testing.T) {
	t.Parallel()
	for _, s := range pipeline.States() {
		if len(s.Next()) == 0 && !s.Ended() {
			t.Errorf("%s is a dead end", s)
		}
		for _, next := range s.Next() {
			if !s.CanBecome(next) {
				t.Errorf("%s and %s disagree", s, next)
			}
		}
	}
}
