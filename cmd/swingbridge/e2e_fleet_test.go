package main

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/network"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
)

// How many apps of three services are really created beside each other, and how
// many there are with those that are planned only. That the pools have subnets and
// addresses for all is shown where they are kept, see server/store.
const (
	fortyApps = 40
	allApps   = 200
)

func TestStack_FortyAppsOfThreeServicesLiveBesideEachOther(t *testing.T) {
	t.Parallel()
	if os.Getenv(drillInside) == "" {
		besideAnEngine(t)
		return
	}
	s := newSite(t)
	s.start()
	name := func(i int) string { return fmt.Sprintf("app-%d", i) }
	var ids []string
	for i := range fortyApps {
		s.addApp(name(i), "octocat/"+name(i), name(i)+".localhost")
		ids = append(ids, s.pushFiles("octocat/"+name(i), s.berth(name(i)), "Open "+name(i)))
	}
	for i, id := range ids { // in their order: the last ones wait for their turn
		s.mustBe(s.await(id), pipeline.Live)
		name, host := name(i), name(i)+".localhost"
		for path, want := range map[string]string{
			"/":                              name,
			"/ask?of=http://store:8000/":     "the store of " + name,
			"/ask?of=http://work:8000/":      name,
			"/ask?of=http://warehouse:8000/": "the store of " + name,
		} {
			if got, err := s.get(host, path); err != nil || got != want {
				t.Errorf("%s%s answers %q, %v; want %q", host, path, got, err, want)
			}
		}
	}
	if n := len(s.labelled().containers); n != 3*fortyApps {
		t.Errorf("there are %d containers, want %d", n, 3*fortyApps)
	}
	if err := apart(s.networks()); err != nil {
		t.Error(err)
	}
	if err := s.plannedBeside(name); err != nil {
		t.Error(err)
	}
	s.serve.terminate(t) // all is gone with the engine
}

// plannedBeside plans the apps that are not created, and is an error if two of all
// apps have a network of one name.
func (s *site) plannedBeside(name func(int) string) error {
	s.t.Helper()
	taken := map[string]string{}
	for network := range s.networks() {
		taken[network] = "an app that runs"
	}
	for i := fortyApps; i < allApps; i++ {
		s.addPaused(name(i))
		plan, err := s.api.Plan(s.t.Context(), name(i), "")
		if err != nil || len(plan.Missing) > 0 {
			s.t.Fatalf("the plan of %s: missing %q, %v", name(i), plan.Missing, err)
		}
		networks := networksIn(plan)
		if len(networks) < 2 {
			s.t.Fatalf("the plan of %s makes the networks %q", name(i), networks)
		}
		for _, network := range networks {
			if other, twice := taken[network]; twice {
				return fmt.Errorf("network %s of %s is one of %s too", network, name(i), other)
			}
			taken[network] = name(i)
		}
	}
	return nil
}

// addPaused adds an app with a branch that nobody deploys.
func (s *site) addPaused(name string) {
	s.t.Helper()
	repo, compose, paused := "octocat/"+name, []string{"compose.yml"}, true
	s.repos[repo] = s.forge.Create(repo)
	routes := []pipeline.Route{{Host: name + ".localhost", Service: "web", Port: 8000}}
	_, err := s.api.CreateApp(s.t.Context(), api.AppChange{Name: &name, Repo: &repo, Compose: &compose, Routes: &routes, Paused: &paused})
	if err != nil {
		s.t.Fatalf("add app %s: %v", name, err)
	}
	s.commitFiles(repo, s.berth(name), "Open "+name)
}

// networksIn are those that a plan makes.
func networksIn(p api.Plan) []string {
	var out []string
	for _, line := range p.Create {
		if name, ok := strings.CutPrefix(line, "make network "); ok {
			out = append(out, name)
		}
	}
	return out
}

// berth is an app of three services, whose names are those of every other one.
func (s *site) berth(name string) map[string]string {
	s.t.Helper()
	files := s.files(release{version: name})
	files["compose.yml"] = `
services:
  web:
    build: .
    x-swingbridge: {probe: {interval: 100ms}}
  work:
    build: .
  store:
    image: ` + baseImage(s.t) + `
    command: [/app, -page, the store of ` + name + `]
    networks: {default: {aliases: [warehouse]}}
x-swingbridge: {guard: 1s}
`
	return files
}

// networks are the subnets of the site's networks by name.
func (s *site) networks() map[string]netip.Prefix {
	s.t.Helper()
	e, out := machine(s.t), map[string]netip.Prefix{}
	for _, id := range s.labelled().networks {
		n, err := e.NetworkInspect(s.t.Context(), id, network.InspectOptions{})
		if err != nil || len(n.IPAM.Config) != 1 {
			s.t.Fatalf("network %s: %+v, %v", n.Name, n.IPAM, err)
		}
		if out[n.Name], err = netip.ParsePrefix(n.IPAM.Config[0].Subnet); err != nil {
			s.t.Fatal(err)
		}
	}
	return out
}

// apart is an error if two subnets overlap.
func apart(subnets map[string]netip.Prefix) error {
	for one, a := range subnets {
		for other, b := range subnets {
			if one < other && a.Overlaps(b) {
				return fmt.Errorf("%s has %s and %s has %s", one, a, other, b)
			}
		}
	}
	return nil
}

func TestStack_SubnetsThatOverlapAreNoticed(t *testing.T) {
	t.Parallel()
	subnets := map[string]netip.Prefix{
		"one": netip.MustParsePrefix("10.0.0.0/26"), "two": netip.MustParsePrefix("10.0.0.64/26"),
	}
	if err := apart(subnets); err != nil {
		t.Error(err)
	}
	subnets["three"] = netip.MustParsePrefix("10.0.0.96/27")
	if err := apart(subnets); err == nil || !strings.Contains(err.Error(), "two") {
		t.Errorf("an overlap: %v", err)
	}
}
