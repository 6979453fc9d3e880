package command_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/command"
)

func (d *desk) SeenHead(context.Context, string) (string, error) {
	d.reads = append(d.reads, "what was seen")
	return strings.Repeat("a", 40), nil
}

// branch has a head, and notes when it was read.
type branch struct {
	pipeline.Source
	of *desk
}

func (b branch) Head(context.Context, string, string) (string, error) {
	b.of.reads = append(b.of.reads, "the head")
	return strings.Repeat("b", 40), nil
}

func TestDeploy_OfTheHeadSaysWhatWasSeenBeforeItWasRead(t *testing.T) {
	t.Parallel()
	d, _ := setup()
	c := command.New(command.Options{
		Apps: d, Deployments: d, Auditor: d, Jobs: d, Source: branch{of: d}, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	for _, commit := range []string{"", strings.Repeat("b", 40)} {
		if _, err := c.Deploy(t.Context(), ada(), "shop", commit, pipeline.Manual); err != nil {
			t.Fatal(err)
		}
	}
	if got := d.queued[0]; !got.AtHead || got.HeadWas != strings.Repeat("a", 40) || got.Commit != strings.Repeat("b", 40) {
		t.Errorf("the head was queued as %+v", got)
	}
	if got := d.queued[1]; got.AtHead || got.HeadWas != "" {
		t.Errorf("a commit was queued as %+v, as if it were the head", got)
	}
	if want := []string{"what was seen", "the head"}; !slices.Equal(d.reads, want) {
		t.Errorf("read %v, want %v", d.reads, want)
	}
}
