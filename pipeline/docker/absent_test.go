package docker

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/client"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// dying is an engine that dies while it does the given number of calls more:
// of the last one the answer is lost, after it nobody listens.
type dying struct {
	left  int
	calls []string
}

func (d *dying) RoundTrip(r *http.Request) (*http.Response, error) {
	d.calls = append(d.calls, r.Method+" "+r.URL.Path)
	if d.left == 0 {
		return nil, &net.OpError{Op: "dial", Net: "unix", Err: syscall.ECONNREFUSED}
	}
	d.left--
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
	return nil, io.EOF
}

func (d *dying) engine(t *testing.T) *Engine {
	t.Helper()
	api, err := client.NewClientWithOpts(client.WithHost("tcp://engine:1"), client.WithVersion("1.41"),
		client.WithHTTPClient(&http.Client{Transport: d}))
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{api: api, installation: "abc123"}
	e.own.Store("known", true)
	return e
}

func acts() map[string]func(context.Context, *Engine) error {
	return map[string]func(context.Context, *Engine) error{
		"start": func(ctx context.Context, e *Engine) error { return e.Start(ctx, "known") },
		"ensure": func(ctx context.Context, e *Engine) error {
			_, err := e.Ensure(ctx, pipeline.ContainerOrder{
				Owner:   pipeline.Owner{App: "shop", AppID: "1", Service: "web", Color: pipeline.Blue, Deployment: "d1", Commit: "c0ffee"},
				Image:   "sha256:1",
				Service: stack.Service{Name: "web"},
			})
			return err
		},
	}
}

// What the engine was never told it has not done.
func TestEngine_ThatNobodyListensForIsNotLookedAt(t *testing.T) {
	t.Parallel()
	for name, act := range acts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d, begun := &dying{}, time.Now()
				if err := act(t.Context(), d.engine(t)); !errors.Is(err, pipeline.ErrUnreachable) {
					t.Errorf("got %v", err)
				}
				if len(d.calls) != 1 || time.Since(begun) > 0 {
					t.Errorf("asked %v for %s", d.calls, time.Since(begun))
				}
			})
		})
	}
}

// An answer that is lost leaves open what happened, as long as somebody wants
// to know.
func TestEngine_ThatDiesWhileItActsIsLookedForUntilNobodyWaits(t *testing.T) {
	t.Parallel()
	for name, act := range acts() {
		for when, c := range map[string]struct{ canceled, most time.Duration }{
			"wanted":           {canceled: time.Hour, most: lookFor + lookEvery},
			"canceled at once": {canceled: time.Nanosecond, most: lookLast + lookEvery},
			"canceled later":   {canceled: 2 * time.Second, most: 2*time.Second + lookLast + lookEvery},
		} {
			t.Run(name+", "+when, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					end := time.AfterFunc(c.canceled, cancel)
					defer end.Stop()
					d, begun := &dying{left: 1}, time.Now()
					if err := act(ctx, d.engine(t)); err == nil {
						t.Error("an engine that died did it")
					}
					took := time.Since(begun)
					if len(d.calls) < 2 || took > c.most || took < c.most-2*lookEvery {
						t.Errorf("looked %d times, for %s, want about %s", len(d.calls)-1, took, c.most)
					}
				})
			})
		}
	}
}
