package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The limits of a Mode.
const (
	DefaultModeWait = 30 * time.Second // for Mode.Wait
	MaxModeWait     = 10 * time.Minute // for Mode.Wait
	MaxModePage     = 256 << 10        // for Mode.Page, in bytes
)

// String names the kind as operators write it.
func (k ModeKind) String() string {
	if k == ModeServe {
		return "serve"
	}
	return string(k)
}

// ParseModeKind reads what String writes. Errors wrap ErrInvalid.
func ParseModeKind(s string) (ModeKind, error) {
	for _, k := range []ModeKind{ModeServe, ModeHold, ModeMaintenance} {
		if s == k.String() {
			return k, nil
		}
	}
	return "", fmt.Errorf("%w mode %q: say serve, hold or maintenance", ErrInvalid, s)
}

// Validate reports everything that is wrong with what an operator entered.
func (m Mode) Validate() error {
	var problems []string
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if _, err := ParseModeKind(m.Kind.String()); err != nil {
		return err
	}
	if m.Page != "" && m.Kind != ModeMaintenance {
		add("a page is for maintenance")
	}
	if len(m.Page) > MaxModePage {
		add("a page of %d bytes: at most %d", len(m.Page), MaxModePage)
	}
	if m.Wait != 0 && m.Kind != ModeHold {
		add("a wait is for hold")
	}
	if m.Wait < 0 || m.Wait > MaxModeWait {
		add("wait %s: at most %s", m.Wait, MaxModeWait)
	}
	if !m.Until.IsZero() && m.Kind == ModeServe {
		add("to serve has no end")
	}
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("%w mode: %s", ErrInvalid, strings.Join(problems, "; "))
}

// At is the mode that is in force at a time: one that has ended is to serve.
func (m Mode) At(t time.Time) Mode {
	if m.Kind == ModeServe || !m.Until.IsZero() && !t.Before(m.Until) {
		return Mode{}
	}
	return m
}

func (m Mode) same(o Mode) bool {
	return m.Kind == o.Kind && m.Page == o.Page && m.Wait == o.Wait && m.Until.Equal(o.Until)
}

// ModeSet says what became of an operator's change of a mode: it is stored, and
// in force unless something is still waited for.
type ModeSet struct {
	Mode    Mode
	Pending string // a sentence that says for what; empty: it is in force
}

// bringMode gives an entry that the cutover made the mode that waited for it. If
// that fails, reconciling does it.
func (x *run) bringMode(ctx context.Context) {
	a, err := x.Ledger.AppByID(ctx, x.app.ID)
	if err == nil {
		err = x.settleMode(ctx, a)
	}
	if err != nil {
		x.say("  the app's mode is looked after later: %v", err)
	}
}

// settleMode makes the proxy meet the app's visitors as the records say: where
// it could not be told when an operator changed the mode, or lost it with the
// app's entry.
func (r *Runner) settleMode(ctx context.Context, a App) error {
	have, err := r.Modes.Mode(ctx, a.ID)
	if errors.Is(err, ErrNotFound) {
		return nil // nothing of it is served
	}
	if err != nil {
		return fmt.Errorf("ask the proxy for the mode: %w", err)
	}
	if have.same(a.Mode.At(r.Now())) {
		return nil
	}
	// The proxy may have it from an operator who came after the apps were read.
	if a, err = r.Ledger.AppByID(ctx, a.ID); err != nil {
		return fmt.Errorf("read the app once more: %w", err)
	}
	want := a.Mode.At(r.Now())
	if have.same(want) {
		return nil
	}
	r.Logger.Info("setting the mode that the records have", "app", a.Name, "mode", want.Kind.String())
	if err := r.Modes.SetMode(ctx, a.ID, want); err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("set mode %s: %w", want.Kind, err)
	}
	return nil
}
