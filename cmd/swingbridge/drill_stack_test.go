package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
)

// moored is a stack of three: the web, a worker that must be alone and, beside
// them, a kept service that must be alone too, as a database must. Whoever finds
// that it is not leaves a file behind, which the web lists.
func (s *site) moored(version string) map[string]string {
	s.t.Helper()
	files := s.files(release{version: version})
	files["compose.yml"] = `
services:
  web:
    build: .
    volumes: ["data:/data"]
    x-swingbridge: {drain: 5s, probe: {interval: 100ms}}
  work:
    build: .
    entrypoint: [/app, -alone, /data/work]
    volumes: ["data:/data"]
    stop_grace_period: 5s
    x-swingbridge: {single: true}
  store:
    image: ` + baseImage(s.t) + `
    command: [/app, -page, the store, -alone, /data/store]
    volumes: ["data:/data"]
volumes: {data: {}}
x-swingbridge: {guard: 1s}
`
	return files
}

func TestDrill_BringsAWholeStackBack(t *testing.T) {
	t.Parallel()
	if os.Getenv(drillInside) == "" {
		besideAnEngine(t)
		return
	}
	s := newSite(t)
	s.startPlane()
	s.start()
	s.addApp(appName, appRepo, appHost)
	d := &drill{site: s, home: os.Getenv("ENGINE_HOME")}
	d.mustBe(d.await(d.pushFiles(appRepo, d.moored("version 1"), "Open the harbor")), pipeline.Live)
	live := d.mustBe(d.await(d.pushFiles(appRepo, d.moored("version 2"), "Add a second quay")), pipeline.Live)
	was := d.mooring(live.ID)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	for range 10 {
		order := shuffled(chance)
		d.round(order, chance.IntN(2) == 0, chance.IntN(2) == 0)
		d.serves("version 2")
		d.ready()
		now := d.mooring(live.ID)
		for name, c := range now {
			if c.ID != was[name].ID {
				t.Errorf("%s: %s is another container than it was", order, name)
			}
		}
		if got, err := d.get(appHost, "/list?in=/data"); err != nil || got != "store\nwork" {
			t.Fatalf("%s: the folder of those who must be alone has %q, %v", order, got, err)
		}
	}
	d.deploymentsAre(2)
	third := d.mustBe(d.await(d.pushFiles(appRepo, d.moored("version 3"), "Open a third quay")), pipeline.Live)
	if now := d.mooring(third.ID); now["store"].ID != was["store"].ID {
		t.Error("the store is another container than it was")
	}
	d.sees(appHost, "version 3")
}

func TestDrill_ShuffledOrdersStartOnlyWhatWasStopped(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for seed := range uint64(50) {
		order := shuffled(rand.New(rand.NewPCG(seed, 0)))
		stopped := map[string]bool{}
		for _, what := range order {
			word, thing, _ := strings.Cut(string(what), " ")
			if word == "start" && !stopped[thing] {
				t.Fatalf("%s: %s before it was stopped", order, what)
			}
			stopped[thing] = word == "stop"
		}
		if len(order) != 6 || stopped["the engine"] || stopped["the server"] || stopped["the proxy"] {
			t.Fatalf("%s leaves something stopped", order)
		}
		seen[fmt.Sprint(order)] = true
	}
	if len(seen) < 25 {
		t.Errorf("50 seeds make %d orders", len(seen))
	}
}

// shuffled is a random order in which engine, proxy and server are each stopped
// and started again.
func shuffled(chance *rand.Rand) []act {
	order := []act{stopEngine, startEngine, stopProxy, startProxy, stopServer, startServer}
	chance.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	at := map[act]int{}
	for i, what := range order {
		at[what] = i
	}
	for _, pair := range [][2]act{{stopEngine, startEngine}, {stopProxy, startProxy}, {stopServer, startServer}} {
		if stop, start := at[pair[0]], at[pair[1]]; stop > start {
			order[stop], order[start] = order[start], order[stop]
		}
	}
	return order
}

// serves waits until visitors see the version, and fails the test if they ever
// see another one, or nothing for too long.
func (d *drill) serves(version string) {
	d.t.Helper()
	started := time.Now()
	ctx, cancel := context.WithTimeout(d.t.Context(), drillLimit)
	defer cancel()
	for {
		got, err := d.get(appHost, "/")
		if err == nil && got != version {
			d.t.Fatalf("visitors see %q, want %q", got, version)
		}
		if err == nil {
			d.t.Logf("%s serves %s after the last start", version, time.Since(started).Round(time.Millisecond))
			return
		}
		if pause(ctx) != nil {
			d.t.Fatalf("visitors are without the app %s after the last start: %v", drillLimit, err)
		}
	}
}

// mooring waits until the stack of the deployment is all there is, and runs.
func (d *drill) mooring(deployment string) map[string]service {
	d.t.Helper()
	var now map[string]service
	d.eventually("the stack of "+deployment+" and nothing else", func() bool {
		now = d.services()
		want := map[string]string{"web": deployment, "work": deployment, "store": ""}
		got := map[string]string{}
		for name, c := range now {
			if c.State != "running" {
				return false
			}
			got[name] = c.Deployment
		}
		return cmp.Equal(want, got)
	})
	return now
}
