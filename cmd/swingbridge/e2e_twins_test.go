package main

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
)

func TestTwoInstallations_WithAnAppOfTheSameNameLeaveEachOtherAlone(t *testing.T) {
	t.Parallel()
	quiet := live(t)
	busy := newSite(t)
	busy.env["SWINGBRIDGE_SUBNETS"] = quiet.env["SWINGBRIDGE_SUBNETS"] // one range for both
	before, container := sorted(quiet.labelled()), quiet.containers()
	crowd := quiet.visit(appHost)

	busy.start()
	busy.addApp(appName, appRepo, appHost)
	for _, version := range []string{"version 10", "version 11"} {
		busy.mustBe(busy.await(busy.push(release{version: version}, "Elsewhere, "+version)), pipeline.Live)
	}
	busy.sees(appHost, "version 11")
	busy.serve.kill(t)
	busy.start()
	busy.sees(appHost, "version 11")
	if err := busy.api.RemoveApp(t.Context(), appName); err != nil {
		t.Fatal(err)
	}
	busy.serve.terminate(t)

	crowd.served(time.Time{}, "version 1")
	if diff := cmp.Diff(before, sorted(quiet.labelled()), cmp.AllowUnexported(before)); diff != "" {
		t.Errorf("things of the quiet installation changed (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(container, quiet.containers()); diff != "" {
		t.Errorf("containers of the quiet installation changed (-before +after):\n%s", diff)
	}
	if left := busy.labelled(); len(left.containers)+len(left.images)+len(left.volumes) > 0 || len(left.networks) != 1 {
		t.Errorf("the busy installation left %+v, want its edge network alone", left)
	}
	// The quiet one still deploys, into what the other one left free.
	id := quiet.push(release{version: "version 2"}, "Still here")
	quiet.mustBe(quiet.await(id), pipeline.Live)
	quiet.sees(appHost, "version 2")
}

func TestTwoInstallations_ThatStartAtOnceFindSubnetsOfTheirOwn(t *testing.T) {
	t.Parallel()
	one, two, three := newSite(t), newSite(t), newSite(t)
	for _, s := range []*site{two, three} {
		s.env["SWINGBRIDGE_SUBNETS"] = one.env["SWINGBRIDGE_SUBNETS"]
	}
	for _, s := range []*site{one, two, three} {
		s.serve = s.spawn("swingbridge-serve")
	}
	for _, s := range []*site{one, two, three} {
		s.ready()
	}
}

func sorted(th things) things {
	for _, list := range []*[]string{&th.containers, &th.networks, &th.volumes, &th.images} {
		*list = slices.Sorted(slices.Values(*list))
	}
	return th
}
