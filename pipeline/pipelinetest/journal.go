package pipelinetest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
)

// LogText is what a deployment's log says.
func (l *Ledger) LogText(id string) string {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if b := l.logs[id]; b != nil {
		return b.String()
	}
	return ""
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

// Move changes a deployment's state, as a person's decision does.
func (l *Ledger) Move(ctx context.Context, m pipeline.Move) error {
	return l.Record(ctx, pipeline.Record{Deployment: m.Deployment, Move: &m})
}

func (l *Ledger) moved(m pipeline.Move) error {
	d, ok := l.deployments[m.Deployment]
	if !ok || d.State != m.From || !m.From.CanBecome(m.To) {
		return fmt.Errorf("%s to %s: %w", m.From, m.To, pipeline.ErrConflict)
	}
	if wish := l.wishes[d.ID]; wish != nil && m.From != pipeline.Stuck && m.To == pipeline.Live {
		return wish
	}
	d.State = m.To
	if m.Reason != "" {
		d.Reason = m.Reason
	}
	if m.Color != "" {
		d.Color = m.Color
	}
	if m.Carries != "" {
		d.Carries = m.Carries
	}
	if m.Attempt > 0 {
		d.Attempt = m.Attempt
	}
	if d.LiveAt.IsZero() && (m.To == pipeline.Watching || m.To == pipeline.Live) {
		d.LiveAt = m.At
	}
	if m.To.Ended() {
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

// Masked is what a deployment's log was to be kept free of when it was opened
// last.
func (l *Ledger) Masked(id string) []string {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return slices.Clone(l.secrets[id])
}
