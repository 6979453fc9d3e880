package pipeline_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

func appSubnet(t *testing.T, w *pipelinetest.World) netip.Prefix {
	t.Helper()
	used, err := w.Engine().Subnets(t.Context())
	if err != nil || len(used["net-shop"]) != 1 {
		t.Fatalf("networks %v, %v", used, err)
	}
	return used["net-shop"][0]
}

func foreign(t *testing.T, w *pipelinetest.World, subnet string) {
	t.Helper()
	if err := w.Engine().EnsureNetwork(t.Context(), pipeline.Network{Name: "foreign", Subnet: netip.MustParsePrefix(subnet)}); err != nil {
		t.Fatal(err)
	}
}

func TestRun_AnAppsNetworkStaysWhateverComesToOverlapIt(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		was := appSubnet(t, w)
		foreign(t, w, netip.PrefixFrom(was.Addr(), 24).String())
		d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		wantState(t, w, d.ID, pipeline.Live)
		if now := appSubnet(t, w); now != was {
			t.Errorf("the network has %s, was made with %s", now, was)
		}
	})
}

func TestRun_ASubnetTakenBeforeTheNetworkWasMadeIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := pipelinetest.New()
		w.Fail = func(call string, _ bool) error {
			if call == "engine.EnsureNetwork" {
				return errors.New("subnet 10.201.64.0/26 is in use")
			}
			return nil
		}
		d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		wantState(t, w, d.ID, pipeline.Failed)
		w.Fail = nil
		foreign(t, w, "10.201.64.0/25")
		d = deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		wantState(t, w, d.ID, pipeline.Live)
		if got := appSubnet(t, w).String(); got != "10.201.64.128/26" {
			t.Errorf("the network has %s", got)
		}
	})
}

func TestRun_ANetworkPrunedDuringTheBuildIsMadeAgain(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		sha := w.Forge().Push("main", nil)
		w.Engine().Behave(sha, pipelinetest.Behavior{BuildTime: time.Minute})
		time.AfterFunc(30*time.Second, func() {
			if err := w.Engine().RemoveNetwork(context.Background(), "net-shop"); err != nil {
				t.Error(err)
			}
		})
		d := deploy(t, w, sha, pipeline.Push)
		wantState(t, w, d.ID, pipeline.Live)
		wantServed(t, w, d.ID)
		appSubnet(t, w)
	})
}

func TestRun_ANetworkThatCannotBeMadeEndsTheBuildBesideIt(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, old pipeline.Deployment) {
		sha := w.Forge().Push("main", nil)
		w.Engine().Behave(sha, pipelinetest.Behavior{BuildTime: time.Hour})
		w.Fail = func(call string, _ bool) error {
			if call == "engine.EnsureNetwork" {
				return errors.New("could not find an available address pool")
			}
			return nil
		}
		begun := time.Now()
		d := deploy(t, w, sha, pipeline.Push)
		d = wantState(t, w, d.ID, pipeline.Failed)
		if !strings.Contains(d.Reason, "make network net-shop: ") || time.Since(begun) > time.Minute {
			t.Errorf("reason after %s: %s", time.Since(begun), d.Reason)
		}
		wantServed(t, w, old.ID)
	})
}
