package pipelinetest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
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

// LogText is what a deployment's log says.
func (l *Ledger) LogText(id string) string {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if b := l.logs[id]; b != nil {
		return b.String()
	}
	return ""
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

// Record implements pipeline.Recorder with the rules of the real store.
func (l *Ledger) Record(ctx context.Context, r pipeline.Record) error {
	name := "ledger.Record " + summary(r)
	if err := l.w.call(ctx, name); err != nil {
		return err
	}
	l.w.mu.Lock()
	err := l.recorded(r)
	l.w.mu.Unlock()
	if err != nil {
		return err
	}
	return l.w.ask(name, true)
}

// summary names a record for Fail: "build done, start running",
// "guard done, to live".
func summary(r pipeline.Record) string {
	var parts []string
	for _, s := range r.Steps {
		parts = append(parts, s.Name+" "+string(s.State))
	}
	if r.Move != nil {
		parts = append(parts, "to "+string(r.Move.To))
	}
	return strings.Join(parts, ", ")
}

func (l *Ledger) recorded(r pipeline.Record) error {
	d, ok := l.deployments[r.Deployment]
	if !ok {
		return pipeline.ErrNotFound
	}
	if r.Move != nil {
		if err := l.moved(*r.Move); err != nil {
			return err
		}
	}
	if r.Subject != "" {
		d.Subject = r.Subject
	}
	if r.Release != nil {
		rel := *r.Release
		rel.Images = maps.Clone(rel.Images)
		l.releases[rel.ID], d.ReleaseID = rel, rel.ID
	}
	for _, s := range r.Steps {
		same := func(have pipeline.StepRecord) bool { return have.Name == s.Name && have.Attempt == s.Attempt }
		if i := slices.IndexFunc(d.Steps, same); i >= 0 {
			d.Steps[i] = s
		} else {
			d.Steps = append(d.Steps, s)
		}
	}
	return nil
}

// Wish writes down that an operator wants the deployment's run to end, the way
// a server does before it cancels the run's context.
func (l *Ledger) Wish(id string, cause error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.wishes[id] = cause
}

// Move changes a deployment's state, as a person's decision does.
func (l *Ledger) Move(ctx context.Context, m pipeline.Move) error {
	return l.Record(ctx, pipeline.Record{Deployment: m.Deployment, Move: &m})
}

func (l *Ledger) moved(m pipeline.Move) error {
	d, ok := l.deployments[m.Deployment]
	if !ok || d.State != m.From || !m.From.CanBecome(m.To) {
		return fmt.Errorf("%s to %s: %w", m.From, m.To, pipeline.ErrConflict)
	}
	if wish := l.wishes[d.ID]; wish != nil && m.From == pipeline.Watching && m.To == pipeline.Live {
		return wish
	}
	d.State = m.To
	if m.Reason != "" {
		d.Reason = m.Reason
	}
	if m.Color != "" {
		d.Color = m.Color
	}
	if m.Attempt > 0 {
		d.Attempt = m.Attempt
	}
	switch {
	case m.To == pipeline.Watching:
		d.LiveAt = m.At
	case m.To.Ended():
		d.EndedAt = m.At
	}
	if m.Retire != "" {
		old := l.deployments[m.Retire]
		if !old.State.CanBecome(pipeline.Retired) {
			return fmt.Errorf("retire %s from %s: %w", m.Retire, old.State, pipeline.ErrConflict)
		}
		old.State = pipeline.Retired
	}
	l.moves = append(l.moves, m)
	return nil
}

// Log implements pipeline.Recorder.
func (l *Ledger) Log(ctx context.Context, id string, secrets []string) (pipeline.Log, error) {
	if err := l.w.call(ctx, "ledger.Log"); err != nil {
		return nil, err
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.secrets[id] = secrets
	if l.logs[id] == nil {
		l.logs[id] = &bytes.Buffer{}
	}
	return &logFile{l: l, id: id}, nil
}

type logFile struct {
	l  *Ledger
	id string
}

func (f *logFile) Write(b []byte) (int, error) {
	f.l.w.mu.Lock()
	defer f.l.w.mu.Unlock()
	return f.l.logs[f.id].Write(b)
}

func (f *logFile) Offset() int64 {
	f.l.w.mu.Lock()
	defer f.l.w.mu.Unlock()
	return int64(f.l.logs[f.id].Len())
}

func (*logFile) Close() error { return nil }

// AppByID implements pipeline.Records.
func (l *Ledger) AppByID(ctx context.Context, _ string) (pipeline.App, error) {
	return l.app, l.w.call(ctx, "ledger.AppByID")
}

// Deployment implements pipeline.Records.
func (l *Ledger) Deployment(ctx context.Context, id string) (pipeline.Deployment, error) {
	if err := l.w.call(ctx, "ledger.Deployment"); err != nil {
		return pipeline.Deployment{}, err
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	d, ok := l.deployments[id]
	if !ok {
		return pipeline.Deployment{}, pipeline.ErrNotFound
	}
	return *d, nil
}

// LiveDeployment implements pipeline.Records.
func (l *Ledger) LiveDeployment(ctx context.Context, _ string) (pipeline.Deployment, error) {
	if err := l.w.call(ctx, "ledger.LiveDeployment"); err != nil {
		return pipeline.Deployment{}, err
	}
	for _, d := range l.All() {
		if d.State == pipeline.Live {
			return d, nil
		}
	}
	return pipeline.Deployment{}, pipeline.ErrNotFound
}

// Release implements pipeline.Records.
func (l *Ledger) Release(ctx context.Context, id string) (pipeline.Release, error) {
	if err := l.w.call(ctx, "ledger.Release"); err != nil {
		return pipeline.Release{}, err
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	r, ok := l.releases[id]
	if !ok {
		return pipeline.Release{}, pipeline.ErrNotFound
	}
	return r, nil
}

// KeptReleases implements pipeline.Releases.
func (l *Ledger) KeptReleases(ctx context.Context, _ string, n int) ([]pipeline.Release, error) {
	if err := l.w.call(ctx, "ledger.KeptReleases"); err != nil {
		return nil, err
	}
	var out []pipeline.Release
	for _, d := range slices.Backward(l.All()) {
		if d.State == pipeline.Live || d.State == pipeline.Retired && len(out) < n {
			out = append(out, l.releases[d.ReleaseID])
		}
	}
	return out, nil
}

// NewerQueued implements pipeline.Heads.
func (l *Ledger) NewerQueued(ctx context.Context, id string) (bool, error) {
	if err := l.w.call(ctx, "ledger.NewerQueued"); err != nil {
		return false, err
	}
	for _, d := range l.All() {
		if d.ID > id && d.State == pipeline.Queued && d.Trigger.Automatic() {
			return true, nil
		}
	}
	return false, nil
}

// QueueHead implements pipeline.Heads.
func (l *Ledger) QueueHead(ctx context.Context, h pipeline.Head) (bool, error) {
	if err := l.w.call(ctx, "ledger.QueueHead"); err != nil {
		return false, err
	}
	if h.Was != "" && h.Was != l.seenHead {
		return false, nil
	}
	l.seenHead = h.Commit
	for _, d := range l.All() {
		if h.Instead != "" && d.ID > h.Instead && d.State == pipeline.Queued && d.Trigger.Automatic() {
			return false, nil
		}
		if d.Commit == h.Commit && (d.State == pipeline.Queued || d.State == pipeline.Running || d.State.Serves()) {
			return false, nil
		}
	}
	l.Queue(h.Commit, pipeline.Poll)
	return true, nil
}

// SetEnv gives the app another environment, the next version of it.
func (l *Ledger) SetEnv(env map[string]string) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.envs = append(l.envs, maps.Clone(env))
}

// SetFiles has the server hold other files, at every version.
func (l *Ledger) SetFiles(files map[string][]byte) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.files = maps.Clone(files)
}

// FilesAt implements pipeline.Vault.
func (l *Ledger) FilesAt(ctx context.Context, _ string, _ int64) (map[string][]byte, error) {
	if err := l.w.call(ctx, "ledger.FilesAt"); err != nil {
		return nil, err
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return maps.Clone(l.files), nil
}

// Masked is what a deployment's log was to be kept free of when it was opened
// last.
func (l *Ledger) Masked(id string) []string {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return slices.Clone(l.secrets[id])
}

// EnvAt implements pipeline.Vault.
func (l *Ledger) EnvAt(ctx context.Context, _ string, version int64) (map[string]string, error) {
	if err := l.w.call(ctx, "ledger.EnvAt"); err != nil {
		return nil, err
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return maps.Clone(l.envs[version]), nil
}

// Env implements pipeline.Vault.
func (l *Ledger) Env(ctx context.Context, _ string) (map[string]string, int64, error) {
	if err := l.w.call(ctx, "ledger.Env"); err != nil {
		return nil, 0, err
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	version := len(l.envs) - 1
	return maps.Clone(l.envs[version]), int64(version), nil
}
