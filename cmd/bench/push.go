package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/docker/docker/api/types/image"
	docker "github.com/docker/docker/client"

	"github.com/swingbridge/swingbridge/cmd/bench/figure"
	"github.com/swingbridge/swingbridge/cmd/bench/subcommand"
	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
	"github.com/swingbridge/swingbridge/server/api/client"
)

const (
	pushRepo  = "octocat/harbor"
	floorRepo = "octocat/floor"
	pushHost  = "harbor.bench"
	pushWarm  = 2 // turns of each that are not counted
)

// site is a running server, the forge it fetches from, and the engine.
type site struct {
	server, secret, visitors string
	base                     string // image that the sample app is made of

	api    *client.Client
	docker *docker.Client
	forge  *forge
	floor  *floor
}

// pushFigures prints the time from a push to its first visitor, and that
// divided by the bare floor's, in turns.
func pushFigures(ctx context.Context, args []string, out io.Writer) (err error) {
	f := flag.NewFlagSet("push", flag.ContinueOnError)
	s := &site{base: "bench/base:1"}
	f.StringVar(&s.server, "server", "", "base of the running server")
	f.StringVar(&s.visitors, "visitors", "", "address that its proxy serves visitors on")
	f.StringVar(&s.secret, "secret", "", "webhook secret")
	token := f.String("token", "", "admin token")
	address := f.String("forge", "", "address on which the server looks for its forge")
	keyFile := f.String("key", "", "file with the forge's App key")
	program := f.String("app", "", "static program that serves the sample app as: /swingbridge demo-app")
	dir := f.String("dir", "", "an empty folder")
	runs := f.Int("runs", 36, "counted turns")
	if err := subcommand.Parse(f, args); err != nil {
		return err
	}
	if s.api, err = client.New(s.server, *token); err != nil {
		return err
	}
	if s.docker, err = docker.NewClientWithOpts(docker.FromEnv, docker.WithAPIVersionNegotiation()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.docker.Close()) }()
	if s.forge, err = newForge(ctx, *address, *dir, *keyFile, pushRepo, floorRepo); err != nil {
		return err
	}
	defer s.forge.close()
	if err := s.prepare(ctx, *dir, *program); err != nil {
		return err
	}
	t := &turns{steps: map[string][]float64{}}
	for i := range pushWarm + *runs {
		if err := s.turn(ctx, t, i); err != nil {
			return fmt.Errorf("turn %d: %w", i, err)
		}
	}
	return t.print(out)
}

// prepare makes the image base and the app.
func (s *site) prepare(ctx context.Context, dir, program string) (err error) {
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	var root bytes.Buffer
	w := tar.NewWriter(&root)
	err = w.WriteHeader(&tar.Header{Name: "swingbridge", Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg})
	if err == nil {
		_, err = w.Write(content)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	said, err := s.docker.ImageImport(ctx, image.ImportSource{Source: &root, SourceName: "-"}, s.base, image.ImportOptions{})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, said)
	if err := errors.Join(err, said.Close()); err != nil {
		return err
	}
	if s.floor, err = newFloor(ctx, s.docker, dir, s.forge.url+floorRepo+".git"); err != nil {
		return err
	}
	name, repo, compose := "harbor", pushRepo, []string{"compose.yml"}
	routes := []pipeline.Route{{Host: pushHost, Service: "web", Port: 8000}}
	_, err = s.api.CreateApp(ctx, api.AppChange{Name: &name, Repo: &repo, Compose: &compose, Routes: &routes})
	return err
}

// turns are what was measured, run by run.
type turns struct {
	push, floor, ratio []float64 // ms; ratio run by run
	color              []float64 // the second color's share of it, as a ratio run by run
	nothing            []float64 // ms that a push takes after its fetch if it changes nothing
	steps              map[string][]float64
}

// turn pushes to one and brings up the other. Who is first changes with every
// turn, so that neither always follows what the other leaves behind.
func (s *site) turn(ctx context.Context, t *turns, i int) error {
	version := fmt.Sprintf("version %d", i)
	var push pushed
	var end api.Deployment
	var bare map[string]time.Duration
	both := []func() error{
		func() (err error) { push, end, err = s.push(ctx, version, i > 0); return err },
		func() (err error) { bare, err = s.bare(ctx, version); return err },
	}
	for k := range both {
		if err := both[(k+i)%2](); err != nil {
			return err
		}
		if err := wait(ctx, 300*time.Millisecond); err != nil { // what it set off ends
			return err
		}
	}
	same, err := s.pushNothing(ctx, version)
	if err != nil {
		return err
	}
	if i >= pushWarm {
		t.note(push, end, bare)
		t.nothing = append(t.nothing, same)
	}
	return nil
}

// pushNothing pushes a commit with the files of the one that is live, and returns
// how long its deployment took after the fetch, in ms.
func (s *site) pushNothing(ctx context.Context, version string) (float64, error) {
	_, end, err := s.push(ctx, version, true)
	switch {
	case err != nil:
		return 0, err
	case end.Carries == "" || end.Steps[0].Name != "fetch":
		return 0, fmt.Errorf("a push that changes nothing was deployed all the same: %s", end.ID)
	}
	fetched := end.Steps[0].StartedAt.Add(time.Duration(end.Steps[0].MS) * time.Millisecond)
	return figure.MS(end.EndedAt.Sub(fetched)), nil
}

func (s *site) bare(ctx context.Context, version string) (map[string]time.Duration, error) {
	sha, err := s.forge.commit(ctx, floorRepo, s.base, version)
	if err != nil {
		return nil, err
	}
	return s.floor.deploy(ctx, sha, version)
}

func (t *turns) note(push pushed, end api.Deployment, bare map[string]time.Duration) {
	add := func(key string, v float64) { t.steps[key] = append(t.steps[key], v) }
	var floor float64
	for phase, d := range bare {
		floor += figure.MS(d)
		add("floor: "+phase, figure.MS(d))
	}
	t.push, t.floor, t.ratio = append(t.push, figure.MS(push.took)), append(t.floor, floor), append(t.ratio, figure.MS(push.took)/floor)
	var color float64 // created, started and probed
	for _, step := range end.Steps {
		if step.Name == "start" || step.Name == "probe" {
			color += float64(step.MS)
		}
	}
	t.color = append(t.color, color/figure.MS(bare["create"]+bare["start"]+bare["answer"]))
	add("push: webhook to first step", figure.MS(end.Steps[0].StartedAt.Sub(push.begun)))
	for _, step := range end.Steps {
		add("push: "+step.Name, float64(step.MS))
	}
}

// pushed says when a push was sent, and how long visitors waited for it.
type pushed struct {
	begun time.Time
	took  time.Duration
}

// push sends the webhook of a new commit and waits for its first visitor; then,
// off the clock, for the end of all that follows.
func (s *site) push(ctx context.Context, version string, serving bool) (pushed, api.Deployment, error) {
	sha, err := s.forge.commit(ctx, pushRepo, s.base, version)
	if err != nil {
		return pushed{}, api.Deployment{}, err
	}
	body, err := pushBody(pushRepo, sha, version)
	if err != nil {
		return pushed{}, api.Deployment{}, err
	}
	visit := make(chan error, 1)
	budget, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	begin := time.Now()
	var seen time.Time
	go func() {
		var err error
		seen, err = s.visit(budget, version, serving)
		visit <- err
	}()
	id, err := deliver(ctx, s.server, s.secret, body)
	if err != nil {
		return pushed{}, api.Deployment{}, fmt.Errorf("push: %w", err)
	}
	if err := <-visit; err != nil {
		d, _ := s.api.Deployment(ctx, id) // for its reason
		return pushed{}, d, fmt.Errorf("push: %w (deployment %s: %s)", err, d.State, d.Reason)
	}
	end, err := s.settled(budget, id)
	return pushed{begin, seen.Sub(begin)}, end, err
}

// visit asks through the proxy until the version answers. Where the app serves
// already, every answer must be one of the app's.
func (s *site) visit(ctx context.Context, version string, serving bool) (time.Time, error) {
	r := raw{address: s.visitors}
	defer r.close()
	for {
		status, body, err := r.ask(ctx, get(pushHost))
		switch {
		case err != nil:
			return time.Time{}, fmt.Errorf("a visitor's request failed: %w", err)
		case status != 200 && serving:
			return time.Time{}, fmt.Errorf("a visitor was answered %d", status)
		case status == 200 && strings.TrimSpace(body) == version:
			return time.Now(), nil
		}
		if err := wait(ctx, 2*time.Millisecond); err != nil {
			return time.Time{}, fmt.Errorf("wait for %s: %w", version, err)
		}
	}
}

// settled waits for the last step of a deployment that went well.
func (s *site) settled(ctx context.Context, id string) (api.Deployment, error) {
	for {
		d, err := s.api.Deployment(ctx, id)
		if err != nil {
			return d, err
		}
		if last := len(d.Steps) - 1; last >= 0 && d.Steps[last].Name == "prune" && d.Steps[last].State != pipeline.StepRunning {
			return d, nil
		}
		if d.State.Ended() && d.State != pipeline.Live {
			return d, fmt.Errorf("it ended %s: %s", d.State, d.Reason)
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return d, fmt.Errorf("wait for the end of %s: %w", id, err)
		}
	}
}

func (t *turns) print(out io.Writer) error {
	rows := []figure.Row{
		{What: "push to visitors ÷ bare floor", Runs: t.ratio, Goal: figure.AtMost(1.3)},
		{What: "second color healthy ÷ create, start, answer", Runs: t.color, Goal: figure.AtMost(1.3)},
		{What: "push that changes nothing, after its fetch", Unit: "ms", Runs: t.nothing, Goal: figure.AtMost(100)},
		{What: "push to visitors", Unit: "ms", Runs: t.push},
		{What: "bare floor", Unit: "ms", Runs: t.floor},
	}
	for _, phase := range phases() {
		rows = append(rows, figure.Row{What: "floor: " + phase, Unit: "ms", Runs: t.steps["floor: "+phase]})
	}
	for _, step := range []string{"webhook to first step", "fetch", "plan", "build", "start", "probe", "cut over"} {
		rows = append(rows, figure.Row{What: "push: " + step, Unit: "ms", Runs: t.steps["push: "+step]})
	}
	for _, row := range rows {
		if err := row.Print(out); err != nil {
			return err
		}
	}
	return nil
}
