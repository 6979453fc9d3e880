package command_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/command"
)

// door is a proxy that knows modes.
type door struct {
	met pipeline.Mode
	err error
}

func (d *door) SetMode(_ context.Context, _ string, m pipeline.Mode) error {
	if d.err == nil {
		d.met = m
	}
	return d.err
}

func (d *door) Mode(context.Context, string) (pipeline.Mode, error) { return d.met, d.err }

func withDoor(p *door) (*desk, *command.Commands) {
	d, _ := setup()
	return d, command.New(command.Options{
		Apps: d, Auditor: d, Modes: p, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
}

func TestSetMode_IsStoredToldAndWrittenDown(t *testing.T) {
	t.Parallel()
	p := &door{}
	d, c := withDoor(p)
	until := time.Now().Add(time.Hour)
	set, err := c.SetMode(t.Context(), ada(), "shop", pipeline.Mode{Kind: pipeline.ModeMaintenance, Page: "<h1>Back soon</h1>", Until: until})
	if err != nil || set.Pending != "" {
		t.Fatalf("%+v, %v", set, err)
	}
	if d.app.Mode != p.met || p.met.Kind != pipeline.ModeMaintenance || until.Sub(p.met.Until).Abs() > time.Millisecond {
		t.Errorf("stored %+v, told %+v", d.app.Mode, p.met)
	}
	if len(d.audit) != 1 || d.audit[0].Action != "app.mode" || !strings.HasPrefix(d.audit[0].Detail, "maintenance, own page, until ") {
		t.Errorf("audit %+v", d.audit)
	}
}

func TestSetMode_WaitsForAProxyThatCannotBeTold(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err     error
		kind    pipeline.ModeKind
		pending string
		fails   bool
	}{
		"never deployed":                   {err: pipeline.ErrNotFound, kind: pipeline.ModeHold, pending: "first deployment"},
		"never deployed, and nothing held": {err: pipeline.ErrNotFound, kind: pipeline.ModeServe},
		"not reachable":                    {err: pipeline.ErrUnreachable, kind: pipeline.ModeServe, pending: "does not answer"},
		"broken":                           {err: errors.New("disk full"), kind: pipeline.ModeHold, fails: true},
	} {
		d, c := withDoor(&door{err: test.err})
		set, err := c.SetMode(t.Context(), ada(), "shop", pipeline.Mode{Kind: test.kind})
		if (err != nil) != test.fails || !strings.Contains(set.Pending, test.pending) || test.pending == "" && set.Pending != "" {
			t.Errorf("%s: %+v, %v", name, set, err)
		}
		if d.app.Mode.Kind != test.kind || len(d.audit) != 1 {
			t.Errorf("%s: stored %+v, audit %v", name, d.app.Mode, d.audit)
		}
	}
}

func TestSetMode_RefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]pipeline.Mode{
		"kind":       {Kind: "sleep"},
		"over":       {Kind: pipeline.ModeHold, Until: time.Now().Add(-time.Second)},
		"page":       {Kind: pipeline.ModeHold, Page: "<h1>Back soon</h1>"},
		"large page": {Kind: pipeline.ModeMaintenance, Page: strings.Repeat("x", pipeline.MaxModePage+1)},
		"wait":       {Kind: pipeline.ModeMaintenance, Wait: time.Second},
		"long wait":  {Kind: pipeline.ModeHold, Wait: pipeline.MaxModeWait + 1},
		"end":        {Until: time.Now().Add(time.Hour)},
	} {
		p := &door{}
		d, c := withDoor(p)
		if _, err := c.SetMode(t.Context(), ada(), "shop", m); !errors.Is(err, pipeline.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if d.app.Mode.Kind != "" || p.met.Kind != "" || len(d.audit) > 0 {
			t.Errorf("%s: stored %+v, told %+v, audit %v", name, d.app.Mode, p.met, d.audit)
		}
	}
}
