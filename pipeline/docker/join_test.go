package docker

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/network"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// live makes a further network of the app.
func (w *world) live() string {
	w.t.Helper()
	n := w.freeNetwork(w.AppNetwork(w.app.Name, "default/live"), 26)
	n.App, n.AppID = w.app.Name, w.app.ID
	return w.ensureFree(n).Name
}

// A container that runs is called by its aliases on a network as long as it is
// on it, and keeps its address on the edge all along.
func TestJoin_GivesNamesUntilLeave(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	live := w.live()
	o := w.order("d1", 10)
	o.Links = nil
	server := w.run(o)
	o = w.order("d2", 11)
	o.Links = []pipeline.Link{{Network: live, Aliases: []string{"other"}}}
	client := w.run(o)
	for name, want := range map[string]bool{"web": false, "front": false, "other": true} {
		w.wantReached(client, name, want)
	}
	link := pipeline.Link{Network: live, Aliases: []string{"web", "front"}}
	for range 2 { // the second time it is there
		if err := w.Join(t.Context(), server.ID, link); err != nil {
			t.Fatal(err)
		}
	}
	now := w.inspect(server.ID)
	if want := slices.Sorted(slices.Values([]string{w.EdgeName(), live})); !slices.Equal(now.Networks, want) || now.Edge != server.Edge {
		t.Errorf("on %q at %s, want %q at %s", now.Networks, now.Edge, want, server.Edge)
	}
	w.wantReached(client, "web", true)
	w.wantReached(client, "front", true)
	for range 2 { // the second time it is not there
		if err := w.Leave(t.Context(), server.ID, live); err != nil {
			t.Fatal(err)
		}
	}
	w.wantReached(client, "web", false)
	if now = w.inspect(server.ID); !now.Running || now.Edge != server.Edge || !slices.Equal(now.Networks, []string{w.EdgeName()}) {
		t.Errorf("after it left: %+v", now)
	}
	if got := w.get(now, "/"); got != "hello" {
		t.Errorf("over the edge: %q", got)
	}
}

func (w *world) wantReached(from pipeline.Container, name string, want bool) {
	w.t.Helper()
	if got := w.get(from, "/dial?to="+name+":8080"); (got == "reached") != want {
		w.t.Errorf("%s: %s", name, got)
	}
}

// What was joined while a container stood still is there when it runs.
func TestJoin_BeforeTheStartHoldsAfterIt(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	live := w.live()
	c := w.ensure(w.order("d1", 10))
	if err := w.Join(t.Context(), c.ID, pipeline.Link{Network: live, Aliases: []string{"front"}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	c = w.inspect(c.ID)
	if want := addressAt(w.edge.Subnet, 10); c.Edge != want {
		t.Errorf("on the edge at %s, want %s", c.Edge, want)
	}
	w.get(c, "/")
	w.wantReached(c, "front", true)
}

func TestJoinAndLeave_TouchNothingOfOthers(t *testing.T) {
	t.Parallel()
	w, stranger := setup(t), setup(t)
	w.networks()
	stranger.networks()
	theirs := stranger.ensure(stranger.order("d1", 10))
	mine := w.ensure(w.order("d1", 10))
	if err := w.Join(t.Context(), mine.ID, pipeline.Link{Network: stranger.AppNetwork("shop", "")}); err == nil {
		t.Error("joined another installation's network")
	}
	if err := w.Join(t.Context(), theirs.ID, pipeline.Link{Network: w.AppNetwork("shop", "")}); err == nil {
		t.Error("joined another installation's container")
	}
	_ = w.Leave(t.Context(), theirs.ID, stranger.AppNetwork("shop", "")) // whatever it says
	if now := stranger.inspect(theirs.ID); !slices.Equal(now.Networks, theirs.Networks) {
		t.Errorf("another installation's container is on %q, was on %q", now.Networks, theirs.Networks)
	}
	if err := w.Remove(t.Context(), mine.ID); err != nil {
		t.Fatal(err)
	}
	if err := w.Leave(t.Context(), mine.ID, w.AppNetwork("shop", "")); err != nil {
		t.Errorf("leave of what is gone: %v", err)
	}
	if _, err := w.api.NetworkInspect(t.Context(), w.AppNetwork("shop", ""), network.InspectOptions{}); err != nil {
		t.Errorf("the network: %v", err)
	}
}

// The engine takes the name of any network for a container that does not run, and
// says no only when that is to start.
func TestEnsureAndJoin_SayThatANetworkIsNotThere(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	gone := pipeline.Link{Network: w.AppNetwork("shop", "gone")}
	for name, links := range map[string][]pipeline.Link{"alone": {gone}, "with another one": {{Network: w.AppNetwork("shop", "")}, gone}} {
		o := w.order("d1", 10)
		o.Links = links
		if c, err := w.Ensure(t.Context(), o); !errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("%s: made %s, %v", name, c.Name, err)
		}
		o.Edge = pipeline.Attachment{}
		if c, err := w.Ensure(t.Context(), o); !errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("%s, off the edge: made %s, %v", name, c.Name, err)
		}
	}
	for name, c := range map[string]pipeline.Container{"stands": w.ensure(w.order("d2", 11)), "runs": w.run(w.order("d3", 12))} {
		if err := w.Join(t.Context(), c.ID, gone); !errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("one that %s: %v", name, err)
		}
	}
}

func TestSetPolicy_IsWhatTheEngineDoes(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	c := w.ensure(w.order("d1", 10, "exit", "3"))
	for _, policy := range []string{"always", "unless-stopped", "on-failure", "on-failure:2", "no", "on-failure:2"} {
		if err := w.SetPolicy(t.Context(), c.ID, policy); err != nil {
			t.Fatalf("%s: %v", policy, err)
		}
		if now := w.inspect(c.ID); now.Policy != policy || now.Always != (policy == "always") {
			t.Errorf("%s became %s, always %t", policy, now.Policy, now.Always)
		}
	}
	if err := w.Start(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	ended := w.wait(c.ID, "given up", func(c pipeline.Container) bool { return c.Status == "exited" && c.Restarts == 2 })
	if ended.ExitCode != 3 {
		t.Errorf("%+v", ended)
	}
	if err := w.SetPolicy(t.Context(), c.ID, "sometimes"); err == nil {
		t.Errorf("a policy that there is not: %+v", w.inspect(c.ID))
	}
}

// The volumes that no name leads to go from one container to the next, though
// the one before is removed, with what is in them.
func TestCarry_AnonymousVolumesOutliveTheContainerBefore(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	o := w.order("", 10)
	o.Owner = pipeline.Owner{App: w.app.Name, AppID: w.app.ID, Service: "web", Repo: w.app.Repo, Role: stack.Keep}
	o.Service.Mounts = []stack.Mount{{Target: "/data"}, {Target: "/cache"}}
	o.Fingerprint = "f1"
	was := w.run(o)
	if len(was.Anonymous) != 2 {
		t.Fatalf("volumes %v", was.Anonymous)
	}
	next := o
	next.Fingerprint, next.Carry = "f2", map[string]string{"/data": was.Anonymous["/data"]}
	next.Edge.Address = addressAt(w.edge.Subnet, 11)
	made := w.ensure(next)
	if err := errors.Join(w.Stop(t.Context(), was.ID), w.Remove(t.Context(), was.ID), w.Start(t.Context(), made.ID)); err != nil {
		t.Fatal(err)
	}
	now := w.inspect(made.ID)
	if now.Anonymous["/data"] != was.Anonymous["/data"] || now.Anonymous["/cache"] == was.Anonymous["/cache"] || len(now.Anonymous) != 2 {
		t.Errorf("had %v, has %v", was.Anonymous, now.Anonymous)
	}
	if got := w.get(now, "/stat?path=/data"); !strings.HasPrefix(got, "d") {
		t.Errorf("in the container: %s", got)
	}
	for _, id := range was.Anonymous {
		if _, err := w.api.VolumeInspect(t.Context(), id); err != nil {
			t.Errorf("a volume went with its container: %v", err)
		}
	}
	if err := w.api.VolumeRemove(t.Context(), was.Anonymous["/cache"], false); err != nil { // the others go with the container
		t.Error(err)
	}
}
