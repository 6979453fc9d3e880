package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// SetMode changes how visitors of the app are met: it is stored, and the proxy
// is told at once. Where that is not possible yet, reconciling tells it later.
func (c *Commands) SetMode(ctx context.Context, by pipeline.Actor, app string, m pipeline.Mode) (pipeline.ModeSet, error) {
	a, err := c.o.Apps.AppByName(ctx, app)
	if err != nil {
		return pipeline.ModeSet{}, err
	}
	if err := m.Validate(); err != nil {
		return pipeline.ModeSet{}, err
	}
	if !m.Until.IsZero() && !m.Until.After(c.o.Now()) {
		return pipeline.ModeSet{}, fmt.Errorf("%w mode: it would be over already", pipeline.ErrInvalid)
	}
	m.Until = m.Until.UTC().Truncate(time.Millisecond)
	if err := c.o.Apps.SetMode(ctx, a.ID, m); err != nil {
		return pipeline.ModeSet{}, fmt.Errorf("let %s %s: %w", app, m.Kind, err)
	}
	out := pipeline.ModeSet{Mode: m}
	out.Pending, err = c.tellMode(ctx, a, m)
	return out, errors.Join(err, c.audit(ctx, by, pipeline.AuditEntry{Action: "app.mode", App: a.Name, Target: a.ID, Detail: describe(m)}))
}

// tellMode tells the proxy, and says what is waited for where it cannot.
func (c *Commands) tellMode(ctx context.Context, a pipeline.App, m pipeline.Mode) (pending string, err error) {
	err = c.o.Modes.SetMode(ctx, a.ID, m)
	switch {
	case errors.Is(err, pipeline.ErrNotFound) && m.Kind == pipeline.ModeServe:
		return "", nil
	case errors.Is(err, pipeline.ErrNotFound):
		return "no visitors are sent to it yet; it comes into force right after its first deployment", nil
	case errors.Is(err, pipeline.ErrUnreachable):
		return "the proxy does not answer; it comes into force as soon as it does", nil
	case err != nil:
		return "", fmt.Errorf("let %s %s: %w", a.Name, m.Kind, err)
	}
	return "", nil
}

// describe is a mode for the audit log.
func describe(m pipeline.Mode) string {
	text := m.Kind.String()
	if m.Page != "" {
		text += ", own page"
	}
	if m.Wait != 0 {
		text += ", wait " + m.Wait.String()
	}
	if !m.Until.IsZero() {
		text += ", until " + m.Until.Format(time.RFC3339)
	}
	return text
}
