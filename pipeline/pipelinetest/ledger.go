package pipelinetest

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Ledger is durable memory: it survives the server's death.
type Ledger struct {
	w           *World
	kill        context.CancelCauseFunc
	app         pipeline.App
	deployments map[string]*pipeline.Deployment
	order       []string
	releases    map[string]pipeline.Release
	addresses   map[string]netip.Addr
	next        netip.Addr
	subnets     map[string]netip.Prefix // of the app's networks, by key
	commands    map[string]bool         // release commands that ended well
	envs        []map[string]string     // by version
	files       map[string][]byte
	seenHead    string
	logs        map[string]*bytes.Buffer
	secrets     map[string][]string // that were to be masked when the log was opened last
	moves       []pipeline.Move
	wishes      map[string]error // of operators, by deployment
}

func newLedger(w *World) *Ledger {
	return &Ledger{
		w: w,
		app: pipeline.App{
			ID: "app1", Name: "shop", Repo: "octocat/shop", Branch: "main",
			Routes: []pipeline.Route{{Host: "shop.example.org", Service: "web", Port: 8000}},
		},
		deployments: map[string]*pipeline.Deployment{}, releases: map[string]pipeline.Release{},
		addresses: map[string]netip.Addr{}, subnets: map[string]netip.Prefix{}, commands: map[string]bool{}, next: netip.MustParseAddr("10.201.0.2"),
		envs: []map[string]string{{}}, logs: map[string]*bytes.Buffer{}, secrets: map[string][]string{},
		wishes: map[string]error{},
	}
}

// App is the world's one app.
func (l *Ledger) App() pipeline.App { return l.app }

// SetOverlay gives the app a server-held compose file.
func (l *Ledger) SetOverlay(yaml string) { l.app.Overlay = yaml }

// ChangeApp changes what an operator entered of the app.
func (l *Ledger) ChangeApp(f func(a *pipeline.App)) { f(&l.app) }

// SetCompose names the app's compose files.
func (l *Ledger) SetCompose(paths ...string) { l.app.Compose = paths }

// Queue queues a deployment of the commit.
func (l *Ledger) Queue(sha string, t pipeline.Trigger) pipeline.Deployment {
	return l.queue(pipeline.Deployment{Commit: sha, Trigger: t})
}

// QueueRollback queues a deployment of an older deployment's release.
func (l *Ledger) QueueRollback(to pipeline.Deployment) pipeline.Deployment {
	return l.queue(pipeline.Deployment{Commit: to.Commit, Trigger: pipeline.Rollback, ReleaseID: to.ReleaseID})
}

func (l *Ledger) queue(d pipeline.Deployment) pipeline.Deployment {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	d.ID = fmt.Sprintf("d%03d", len(l.order)+1)
	d.AppID, d.AppName, d.State, d.CreatedAt = l.app.ID, l.app.Name, pipeline.Queued, time.Now()
	l.deployments[d.ID], l.order = &d, append(l.order, d.ID)
	return d
}

// All lists the deployments in the order in which they were queued.
func (l *Ledger) All() []pipeline.Deployment {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	var out []pipeline.Deployment
	for _, id := range l.order {
		out = append(out, *l.deployments[id])
	}
	return out
}

// Current implements pipeline.Current.
func (l *Ledger) Current(context.Context) ([]pipeline.App, []pipeline.Deployment, error) {
	var active []pipeline.Deployment
	for _, d := range l.All() {
		if d.State == pipeline.Running || d.State.Serves() {
			active = append(active, d)
		}
	}
	return []pipeline.App{l.app}, active, nil
}

// SetMode is what an operator's change of the mode leaves in the records.
func (l *Ledger) SetMode(m pipeline.Mode) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.app.Mode = m
}

// Wish writes down that an operator wants the deployment's run to end, the way
// a server does before it cancels the run's context.
func (l *Ledger) Wish(id string, cause error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.wishes[id] = cause
}
