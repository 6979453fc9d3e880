package command_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/command"
)

// quietProxy has no visitors.
type quietProxy struct{ pipeline.Proxy }

func (quietProxy) Drop(context.Context, string) error            { return nil }
func (quietProxy) Inflight(context.Context, string) (int, error) { return 0, nil }

// witness notes when the app is off the list.
type witness struct {
	*desk
	did *[]string
}

func (w witness) RemoveApp(ctx context.Context, id string) error {
	*w.did = append(*w.did, "take it off the list")
	return w.desk.RemoveApp(ctx, id)
}

// A live app whose containers are gone is one that reconciling mends.
func TestRemoveApp_LetsNobodyMakeItsContainersAgain(t *testing.T) {
	t.Parallel()
	broken := errors.New("the engine is away")
	for _, c := range []struct {
		engine error
		want   []string
	}{
		{nil, []string{"begin", "remove containers", "take it off the list", "end"}},
		{broken, []string{"begin", "remove containers", "end"}},
	} {
		var did []string
		d, _ := setup(pipeline.Deployment{ID: "d1", State: pipeline.Live})
		w := witness{d, &did}
		commands := command.New(command.Options{
			Apps: w, Deployments: d, Auditor: d, Jobs: d, Proxy: quietProxy{},
			Turn: func(context.Context, string) (func(), error) {
				did = append(did, "begin")
				return func() { did = append(did, "end") }, nil
			},
			RemoveThings: func(context.Context, pipeline.App) error {
				did = append(did, "remove containers")
				return c.engine
			},
			Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		})
		if err := commands.RemoveApp(t.Context(), ada(), "shop"); !errors.Is(err, c.engine) {
			t.Errorf("with an engine that says %v: %v", c.engine, err)
		}
		if !slices.Equal(did, c.want) {
			t.Errorf("with an engine that says %v:\n%s", c.engine, cmp.Diff(c.want, did))
		}
	}
}
