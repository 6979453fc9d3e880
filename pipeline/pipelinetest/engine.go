package pipelinetest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Behavior is how containers of a commit behave.
type Behavior struct {
	BuildError error
	BuildTime  time.Duration // how long the build takes
	ExitCode   int           // with ExitAfter > 0: how it ends
	ExitAfter  time.Duration // since its start; 0: it runs on
	Status     int           // of its answers, default 200
	Output     string        // what its log says
	Lingers    time.Duration // after its stop signal
	Health     string        // of containers with a check, default healthy
}

// Engine is a container engine in memory.
type Engine struct {
	w          *World
	images     map[string]string // tag to ID
	pulled     map[string]string // reference to ID
	room, size int64             // for images that are built, and of each; see SetRoom
	containers map[string]*container
	networks   map[string]pipeline.Network
	apps       map[string]Behavior // by commit
	heard      []chan pipeline.Event
	doubles    []string
	volumes    int // that were made
}

type container struct {
	pipeline.Container
	behavior Behavior
	links    map[string][]string // network to names
}

// Behave says how containers of a commit, or kept ones of an image ID, behave
// from now on.
func (e *Engine) Behave(sha string, b Behavior) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	e.apps[sha] = b
}

// BehaveAs says it of one service only, or of "release", the release command,
// which ends well by itself after a second otherwise.
func (e *Engine) BehaveAs(sha, service string, b Behavior) { e.Behave(sha+" "+service, b) }

func (e *Engine) behaviorOf(o pipeline.ContainerOrder) Behavior {
	service := o.Owner.Service
	if o.Purpose != "" {
		service, _, _ = strings.Cut(o.Purpose, "-")
	}
	b, ok := e.apps[o.Owner.Commit+" "+service]
	switch {
	case !ok && o.Purpose != "":
		return Behavior{ExitAfter: time.Second}
	case !ok:
		return e.apps[cmp.Or(o.Owner.Commit, o.Image)]
	}
	return b
}

// Containers lists what there is, sorted by name.
func (e *Engine) Containers() []pipeline.Container {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	var out []pipeline.Container
	for _, c := range e.containers {
		out = append(out, c.now())
	}
	slices.SortFunc(out, func(a, b pipeline.Container) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// now is the container as its behavior has made it by this time.
func (c *container) now() pipeline.Container {
	out := c.Container
	if out.HasCheck && out.Running {
		out.Health = cmp.Or(c.behavior.Health, "healthy")
	}
	if out.Running && c.behavior.ExitAfter > 0 && time.Since(out.StartedAt) >= c.behavior.ExitAfter {
		out.Running, out.Status, out.ExitCode = false, "exited", c.behavior.ExitCode
	}
	return out
}

// Build implements pipeline.Images.
func (e *Engine) Build(ctx context.Context, b pipeline.BuildOrder, log io.Writer) (string, bool, error) {
	if err := e.w.call(ctx, "engine.Build"); err != nil {
		return "", false, err
	}
	_, _ = fmt.Fprintf(log, "building %s\n", b.Owner.Service)
	e.w.mu.Lock()
	takes := e.apps[b.Owner.Commit].BuildTime
	e.w.mu.Unlock()
	if takes > 0 {
		select {
		case <-ctx.Done():
			return "", false, ctx.Err()
		case <-time.After(takes):
		}
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	if err := e.apps[b.Owner.Commit].BuildError; err != nil {
		return "", false, err
	}
	if id, ok := e.images[b.Key]; ok {
		return id, true, nil
	}
	id := "sha256:" + b.Key
	e.images[b.Key] = id
	return id, false, nil
}

// HasImage implements pipeline.Images.
func (e *Engine) HasImage(ctx context.Context, id string) (bool, error) {
	if err := e.w.call(ctx, "engine.HasImage"); err != nil {
		return false, err
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	return slices.Contains(slices.Collect(maps.Values(e.images)), id) ||
		slices.Contains(slices.Collect(maps.Values(e.pulled)), id), nil
}

// Pull implements pipeline.Images.
func (e *Engine) Pull(ctx context.Context, o pipeline.PullOrder, _ io.Writer) (string, error) {
	if err := e.w.call(ctx, "engine.Pull"); err != nil {
		return "", err
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	id, ok := e.pulled[o.Ref]
	if !ok && o.Policy == "never" {
		return "", fmt.Errorf("image %s: %w", o.Ref, pipeline.ErrNotFound)
	}
	if !ok {
		id = "sha256:" + o.Ref
		e.pulled[o.Ref] = id
	}
	return id, nil
}

// Built implements pipeline.Stock.
func (e *Engine) Built(ctx context.Context, _ pipeline.Owner, key string) (string, error) {
	if err := e.w.call(ctx, "engine.Built"); err != nil {
		return "", err
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	return e.images[key], nil
}

// Pulled implements pipeline.Stock.
func (e *Engine) Pulled(ctx context.Context, o pipeline.PullOrder) (string, error) {
	if err := e.w.call(ctx, "engine.Pulled"); err != nil || o.Policy == "always" {
		return "", err
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	return e.pulled[o.Ref], nil
}

// ImageSizes implements pipeline.Stock: every image has the size of the last
// SetRoom.
func (e *Engine) ImageSizes(ctx context.Context, _ string) (map[string]int64, error) {
	if err := e.w.call(ctx, "engine.ImageSizes"); err != nil {
		return nil, err
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	out := map[string]int64{}
	for _, id := range e.images {
		out[id] = e.size
	}
	return out, nil
}

// SetRoom says how much space there is for images that are built, and what each
// takes of it. Without it the engine does not say.
func (e *Engine) SetRoom(room, each int64) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	e.room, e.size = room, each
}

// Room implements pipeline.Stock.
func (e *Engine) Room(ctx context.Context) (pipeline.Room, error) {
	if err := e.w.call(ctx, "engine.Room"); err != nil {
		return pipeline.Room{}, err
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	if e.room == 0 {
		return pipeline.Room{}, nil
	}
	return pipeline.Room{Path: "/var/lib/engine", Free: e.room - int64(len(e.images))*e.size}, nil
}

// Images lists the IDs of the images that were built and are there, sorted.
func (e *Engine) Images() []string {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	return slices.Sorted(maps.Values(e.images))
}

// PruneImages implements pipeline.Images.
func (e *Engine) PruneImages(ctx context.Context, _ string, keep []string) (int, error) {
	if err := e.w.call(ctx, "engine.PruneImages"); err != nil {
		return 0, err
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	n := 0
	for key, id := range e.images {
		if !slices.Contains(keep, id) && !e.inUse(id) {
			delete(e.images, key)
			n++
		}
	}
	return n, nil
}

// Ensure implements pipeline.Containers.
func (e *Engine) Ensure(ctx context.Context, o pipeline.ContainerOrder) (pipeline.Container, error) {
	if err := e.w.call(ctx, "engine.Ensure"); err != nil {
		return pipeline.Container{}, err
	}
	e.w.mu.Lock()
	name := nameOf(o)
	c, ok := e.containers[name]
	if !ok {
		c = &container{
			Container: pipeline.Container{
				ID: name, Name: name, Owner: o.Owner, Replica: o.Replica, Image: o.Image, Status: "created", Edge: o.Edge.Address,
				Grace: o.Service.StopGrace, Purpose: o.Purpose, Fingerprint: o.Fingerprint, Anonymous: o.Carry, Policy: "no",
				Binds: bindsOf(o), MadeAs: name, Limits: o.Service.Limits,
			},
			behavior: e.behaviorOf(o),
		}
		if h := o.Service.Health; h != nil {
			c.HasCheck = !h.Disable
		}
		e.addAnonymous(c, o)
		e.containers[name] = c
	}
	if o.Edge.Network != "" && c.links[o.Edge.Network] == nil {
		c.links = map[string][]string{o.Edge.Network: {}}
	}
	err := e.connect(c, o.Links)
	out := c.Container
	e.w.mu.Unlock()
	if err != nil { // made, but not connected
		return out, err
	}
	return out, e.w.ask("engine.Ensure", true)
}

func (e *Engine) connect(c *container, links []pipeline.Link) error {
	for _, l := range links {
		if _, ok := e.networks[l.Network]; !ok {
			return fmt.Errorf("connect %s to network %s: %w", c.Name, l.Network, pipeline.ErrNotFound)
		}
		if c.links == nil {
			c.links = map[string][]string{}
		}
		c.links[l.Network] = l.Aliases
	}
	c.Networks = slices.Sorted(maps.Keys(c.links))
	return nil
}

// Answering lists the containers that run and answer to a name on a network,
// sorted.
func (e *Engine) Answering(network, name string) []string {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	var out []string
	for _, c := range e.containers {
		if aliases, on := c.links[network]; on && c.now().Running && slices.Contains(aliases, name) {
			out = append(out, c.Name)
		}
	}
	slices.Sort(out)
	return out
}

func nameOf(o pipeline.ContainerOrder) string {
	name := fmt.Sprintf("%s-%s-%s-%s", o.Owner.App, o.Owner.Service, o.Owner.Color, o.Owner.Deployment)
	if o.Fingerprint != "" {
		name = fmt.Sprintf("%s-%s-%s", o.Owner.App, o.Owner.Service, o.Fingerprint)
	}
	if o.Purpose != "" {
		name += "-" + o.Purpose
	}
	if o.Replica > 0 {
		name += fmt.Sprintf("-%d", o.Replica)
	}
	return name
}

// Start implements pipeline.Containers.
func (e *Engine) Start(ctx context.Context, id string) error {
	return e.change(ctx, "engine.Start", id, func(c *container) {
		if !c.now().Running {
			e.findDouble(c)
			c.Running, c.Status, c.StartedAt = true, "running", time.Now()
		}
	})
}

// Inspect implements pipeline.Containers.
func (e *Engine) Inspect(ctx context.Context, id string) (pipeline.Container, error) {
	if err := e.w.call(ctx, "engine.Inspect"); err != nil {
		return pipeline.Container{}, err
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	c, ok := e.containers[id]
	if !ok {
		return pipeline.Container{}, fmt.Errorf("container %s: %w", id, pipeline.ErrNotFound)
	}
	return c.now(), nil
}

// List implements pipeline.Containers.
func (e *Engine) List(ctx context.Context, f pipeline.Filter) ([]pipeline.Container, error) {
	if err := e.w.call(ctx, "engine.List"); err != nil {
		return nil, err
	}
	var out []pipeline.Container
	for _, c := range e.Containers() {
		if (f.AppID == "" || f.AppID == c.Owner.AppID) && (f.Deployment == "" || f.Deployment == c.Owner.Deployment) {
			out = append(out, c)
		}
	}
	return out, nil
}

// Stop implements pipeline.Containers.
func (e *Engine) Stop(ctx context.Context, id string) error {
	return e.change(ctx, "engine.Stop", id, func(c *container) { c.Running, c.Status = false, "exited" })
}

// Remove implements pipeline.Containers.
func (e *Engine) Remove(ctx context.Context, id string) error {
	return e.change(ctx, "engine.Remove", id, func(*container) { delete(e.containers, id) })
}

func (e *Engine) change(ctx context.Context, call, id string, how func(*container)) error {
	if err := e.w.call(ctx, call); err != nil {
		return err
	}
	e.w.mu.Lock()
	if c, ok := e.containers[id]; ok {
		how(c)
	}
	e.w.mu.Unlock()
	return e.w.ask(call, true)
}

// Logs implements pipeline.Containers.
func (e *Engine) Logs(ctx context.Context, id string, _ pipeline.LogOrder) (io.ReadCloser, error) {
	if err := e.w.call(ctx, "engine.Logs"); err != nil {
		return nil, err
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	c, ok := e.containers[id]
	if !ok {
		return nil, pipeline.ErrNotFound
	}
	return io.NopCloser(strings.NewReader(c.behavior.Output)), nil
}

// Events implements pipeline.Watcher. A container's end by its own Behavior is
// not told: runs look themselves.
func (e *Engine) Events(ctx context.Context) (<-chan pipeline.Event, error) {
	if err := e.w.call(ctx, "engine.Events"); err != nil {
		return nil, err
	}
	out := make(chan pipeline.Event, 100) // more than any test makes
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	e.heard = append(e.heard, out)
	return out, nil
}

// Restart is what the engine does with a container that ended and is always to
// run.
func (e *Engine) Restart(id string) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	if c, ok := e.containers[id]; ok {
		c.Restarts++
		c.Running, c.Status, c.StartedAt = true, "running", time.Now()
	}
}

// Tell tells those who hear the engine's events of a container's.
func (e *Engine) Tell(id, kind string) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	event := pipeline.Event{Container: id, Kind: kind, At: time.Now()}
	if c, ok := e.containers[id]; ok {
		event.AppID, event.Deployment, event.Service = c.Owner.AppID, c.Owner.Deployment, c.Owner.Service
	}
	for _, to := range e.heard {
		select {
		case to <- event:
		default: // nobody hears any more
		}
	}
}
