package command_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/command"
)

// yard is an engine that has containers and their logs, and a proxy that sends
// visitors to a deployment.
type yard struct {
	pipeline.Engine
	pipeline.Proxy
	there []pipeline.Container
	on    string
	err   error
}

func (y *yard) List(context.Context, pipeline.Filter) ([]pipeline.Container, error) {
	return slices.Clone(y.there), nil
}

func (y *yard) Logs(_ context.Context, id string, _ pipeline.LogOrder) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(id)), nil
}

func (y *yard) Entry(context.Context, string) (pipeline.Entry, error) {
	return pipeline.Entry{Deployment: y.on}, y.err
}

func inYard(y *yard, d *desk, secrets *[]string) *command.Commands {
	return command.New(command.Options{
		Apps: d, Deployments: d, Environments: d, Auditor: d, Engine: y, Proxy: y, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Masked: func(from io.ReadCloser, values []string) io.ReadCloser {
			*secrets = slices.Sorted(slices.Values(values))
			return from
		},
	})
}

func container(id, deployment string, color pipeline.Color, replica int) pipeline.Container {
	return pipeline.Container{ID: id, Name: id, Replica: replica, Owner: pipeline.Owner{Service: "web", Deployment: deployment, Color: color}}
}

func TestServiceLog_IsThatOfTheColorThatVisitorsAreOn(t *testing.T) {
	t.Parallel()
	both := []pipeline.Container{
		container("old", "d1", pipeline.Blue, 0), container("new", "d2", pipeline.Green, 0), container("twin", "d2", pipeline.Green, 1),
	}
	for name, test := range map[string]struct {
		on      string
		err     error
		state   pipeline.State // of d2; d1 is live
		color   pipeline.Color
		replica int
		want    string // empty: not found
	}{
		"before the cutover":             {on: "d1", state: pipeline.Running, want: "old"},
		"while it is watched":            {on: "d2", state: pipeline.Watching, want: "new"},
		"swung back":                     {on: "d1", state: pipeline.Watching, want: "old"},
		"the other color":                {on: "d2", state: pipeline.Watching, color: pipeline.Blue, want: "old"},
		"another replica":                {on: "d2", state: pipeline.Watching, replica: 1, want: "twin"},
		"a replica of the other color":   {on: "d2", state: pipeline.Watching, color: pipeline.Blue, replica: 1},
		"no such replica":                {on: "d2", state: pipeline.Watching, replica: 2},
		"a proxy that does not answer":   {err: pipeline.ErrUnreachable, state: pipeline.Watching, want: "new"},
		"nobody is sent anywhere so far": {err: pipeline.ErrNotFound, state: pipeline.Running, want: "old"},
	} {
		d, _ := setup(pipeline.Deployment{ID: "d2", State: test.state}, pipeline.Deployment{ID: "d1", State: pipeline.Live})
		var secrets []string
		c := inYard(&yard{there: both, on: test.on, err: test.err}, d, &secrets)
		text, err := c.ServiceLog(t.Context(), pipeline.ServicePlace{App: "shop", Service: "web", Color: test.color, Replica: test.replica}, pipeline.LogOrder{})
		if test.want == "" {
			if !errors.Is(err, pipeline.ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := io.ReadAll(text); err != nil || string(got) != test.want {
			t.Errorf("%s: the log of %q, %v, want %q", name, got, err, test.want)
		}
	}
}

func TestServiceLog_MasksTheVariablesOfNowAndOfTheRelease(t *testing.T) {
	t.Parallel()
	d, _ := setup(pipeline.Deployment{ID: "d1", State: pipeline.Live, ReleaseID: "r1"})
	d.env, d.envThen, d.envVersions = map[string]string{"KEY": "new-value"}, map[string]string{"KEY": "old-value"}, map[string]int64{"r1": 7}
	var secrets []string
	c := inYard(&yard{there: []pipeline.Container{container("web", "d1", pipeline.Blue, 0)}, on: "d1"}, d, &secrets)
	if _, err := c.ServiceLog(t.Context(), pipeline.ServicePlace{App: "shop", Service: "web"}, pipeline.LogOrder{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"new-value", "old-value"}, secrets); diff != "" {
		t.Error(diff)
	}
	want := slices.Collect(maps.Values(d.env))
	d.envVersions["r1"] = 1 // the one of now
	if _, err := c.ServiceLog(t.Context(), pipeline.ServicePlace{App: "shop", Service: "web"}, pipeline.LogOrder{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, secrets); diff != "" {
		t.Error(diff)
	}
}
