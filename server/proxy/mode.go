package proxy

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// roomFor is how many requests of one app may wait; none of a body is read
// meanwhile.
const roomFor = 1000

// room is where requests of one app wait: for a mode to end, or for a target
// to come back.
type room struct{ waiting atomic.Int32 }

// enter takes a place; false if there is none.
func (r *room) enter() bool {
	if r.waiting.Add(1) <= roomFor {
		return true
	}
	r.waiting.Add(-1)
	return false
}

func (r *room) leave() { r.waiting.Add(-1) }

// SetMode changes how visitors of the app are met, at once and durably.
// pipeline.ErrNotFound if the table has no entry of it.
func (p *Proxy) SetMode(ctx context.Context, appID string, m pipeline.Mode) error {
	if err := validMode(m); err != nil {
		return err
	}
	p.changes.Lock()
	defer p.changes.Unlock()
	old := p.table.Load().apps[appID]
	if old == nil {
		return fmt.Errorf("app %s in the proxy's table: %w", appID, pipeline.ErrNotFound)
	}
	e := p.remade(old)
	e.mode = m
	next, err := p.table.Load().with(e)
	if err != nil {
		return err
	}
	next.seq++ // whoever replaces the whole table has to have seen it
	if _, err := p.persist(next); err != nil {
		return err
	}
	p.swap(next)
	p.log.InfoContext(ctx, "mode set", "app", e.App, "mode", m.Kind, "until", m.Until)
	return nil
}

// Mode returns how visitors of the app are met now.
func (p *Proxy) Mode(_ context.Context, appID string) (pipeline.Mode, error) {
	e := p.table.Load().apps[appID]
	if e == nil {
		return pipeline.Mode{}, fmt.Errorf("app %s in the proxy's table: %w", appID, pipeline.ErrNotFound)
	}
	if e.kind(p.o.Now()) == pipeline.ModeServe {
		return pipeline.Mode{}, nil
	}
	return e.mode, nil
}

// kind is the mode in force.
func (e *entry) kind(now time.Time) pipeline.ModeKind {
	if e.mode.Kind != pipeline.ModeServe && !e.mode.Until.IsZero() && !now.Before(e.mode.Until) {
		return pipeline.ModeServe
	}
	return e.mode.Kind
}

// wait is how long one request is held.
func (e *entry) wait() time.Duration {
	if e.mode.Wait == 0 {
		return pipeline.DefaultModeWait
	}
	return e.mode.Wait
}

func validMode(m pipeline.Mode) error {
	if err := m.Validate(); err != nil {
		return err
	}
	if m.Until.Year() > 9999 {
		return fmt.Errorf("%w end of a mode: year %d", pipeline.ErrInvalid, m.Until.Year())
	}
	return nil
}
