package pipelinetest

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Snapshot is a world at one moment, as far as it outlives the server: what a
// server that dies at that moment leaves behind. What the world would have done
// later by itself, as the end of streams, is no part of it.
type Snapshot struct {
	at    time.Time
	world *World
}

// Snapshot keeps the world as it is now. It can be asked for in Fail.
func (w *World) Snapshot() *Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	return &Snapshot{time.Now(), w.copied()}
}

// Restore makes a world that goes on where the snapshot was taken, at the same
// time of a bubble that has not come further. Nothing runs in it yet.
func (s *Snapshot) Restore() *World {
	time.Sleep(time.Until(s.at)) // in a bubble's time
	w := s.world.copied()
	w.asking = make(chan struct{}, 1)
	return w
}

// Equal reports whether nothing lies between the two, not even time.
func (s *Snapshot) Equal(other *Snapshot) bool {
	return other != nil && s.at.Equal(other.at) && reflect.DeepEqual(s.world, other.world)
}

// copied is the world without its server, and without what can be used in one
// bubble only.
func (w *World) copied() *World {
	out := &World{ImagesLimit: w.ImagesLimit, FreeSpace: w.FreeSpace}
	out.forge = &Forge{w: out, commits: maps.Clone(w.forge.commits), heads: maps.Clone(w.forge.heads)}
	out.engine = w.engine.copied(out)
	out.proxy = w.proxy.copied(out)
	out.ledger = w.ledger.copied(out)
	out.folders = &Folders{w: out, placed: maps.Clone(w.folders.placed)}
	return out
}

func (e *Engine) copied(w *World) *Engine {
	out := *e
	out.w, out.heard = w, nil
	out.images, out.pulled = maps.Clone(e.images), maps.Clone(e.pulled)
	out.networks, out.apps = maps.Clone(e.networks), maps.Clone(e.apps)
	out.doubles, out.effects = slices.Clone(e.doubles), slices.Clone(e.effects)
	out.containers = map[string]*container{}
	for id, c := range e.containers {
		one := *c
		one.links = maps.Clone(c.links)
		out.containers[id] = &one
	}
	return &out
}

func (p *Proxy) copied(w *World) *Proxy {
	out := *p
	out.w = w
	out.table, out.modes = maps.Clone(p.table), maps.Clone(p.modes)
	out.inflight, out.streams = maps.Clone(p.inflight), maps.Clone(p.streams)
	out.served, out.moved = slices.Clone(p.served), slices.Clone(p.moved)
	out.visits = map[string][]visits{}
	for deployment, seen := range p.visits {
		out.visits[deployment] = slices.Clone(seen)
	}
	return &out
}

func (l *Ledger) copied(w *World) *Ledger {
	out := *l
	out.w, out.kill = w, nil
	out.order, out.envs, out.moves = slices.Clone(l.order), slices.Clone(l.envs), slices.Clone(l.moves)
	out.releases, out.files, out.secrets = maps.Clone(l.releases), maps.Clone(l.files), maps.Clone(l.secrets)
	out.addresses, out.subnets = maps.Clone(l.addresses), maps.Clone(l.subnets)
	out.commands, out.wishes = maps.Clone(l.commands), maps.Clone(l.wishes)
	out.deployments, out.logs = map[string]*pipeline.Deployment{}, map[string]*bytes.Buffer{}
	for id, d := range l.deployments {
		one := *d
		one.Steps = slices.Clone(d.Steps)
		out.deployments[id] = &one
	}
	for id, text := range l.logs {
		out.logs[id] = bytes.NewBuffer(bytes.Clone(text.Bytes()))
	}
	return &out
}
