package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

func TestKeep_WhatOthersWaitForMustBecomeHealthy(t *testing.T) {
	t.Parallel()
	const overlay = shortGuard + `
services:
  web:
    depends_on: {db: {condition: service_healthy}}
  db:
    image: postgres:17
    %s
`
	const pgIsReady = "healthcheck: {test: [CMD, pg_isready]}"
	const slowly = "healthcheck: {test: [CMD, pg_isready], start_period: 10m}"
	for name, c := range map[string]struct {
		check string
		does  pipelinetest.Behavior
		want  string
	}{
		"healthy":   {pgIsReady, pipelinetest.Behavior{Health: "healthy"}, ""},
		"unhealthy": {pgIsReady, pipelinetest.Behavior{Health: "unhealthy"}, "service db: its health check says that it is unhealthy"},
		"never":     {pgIsReady, pipelinetest.Behavior{Health: "starting"}, "has not become healthy within 5m0s"},
		"too late":  {pgIsReady, pipelinetest.Behavior{UpAfter: 14 * time.Minute}, "has not become healthy within 5m0s"},
		"no check":  {"restart: always", pipelinetest.Behavior{}, "has no health check"},
		// Its start period is added.
		"slowly":     {slowly, pipelinetest.Behavior{UpAfter: 14 * time.Minute}, ""},
		"too slowly": {slowly, pipelinetest.Behavior{UpAfter: 16 * time.Minute}, "has not become healthy within 15m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := pipelinetest.New()
				w.Ledger().SetOverlay(fmt.Sprintf(overlay, c.check))
				w.Engine().Behave("sha256:postgres:17", c.does)
				d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
				if c.want == "" {
					wantState(t, w, d.ID, pipeline.Live)
				} else if d.State != pipeline.Failed || !strings.Contains(d.Reason, c.want) {
					t.Errorf("%s: %s", d.State, d.Reason)
				}
			})
		})
	}
}

func TestKeep_SaysOnceWhichServiceDidNotComeUp(t *testing.T) {
	t.Parallel()
	const files = "services:\n  web: {depends_on: [db]}\n  db: {image: 'postgres:%d', depends_on: {cache: {condition: service_healthy}}}\n  cache: {image: redis%s}\n"
	const check = ", healthcheck: {test: [CMD, ping]}"
	for want, c := range map[string]struct {
		image, check string
		does         pipelinetest.Behavior
	}{
		"service db: ended with exit code 3":                                         {"sha256:postgres:18", check, pipelinetest.Behavior{ExitAfter: time.Millisecond, ExitCode: 3}},
		"service cache: others wait until it is healthy, but it has no health check": {"sha256:postgres:18", "", pipelinetest.Behavior{}},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := pipelinetest.New()
				w.Engine().Behave("sha256:redis", pipelinetest.Behavior{Health: "healthy"})
				w.Ledger().SetOverlay(fmt.Sprintf(files, 17, check))
				wantState(t, w, deploy(t, w, w.Forge().Push("main", nil), pipeline.Push).ID, pipeline.Live)
				w.Engine().Behave(c.image, c.does)
				w.Ledger().SetOverlay(fmt.Sprintf(files, 18, c.check))
				d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
				if d.State != pipeline.Failed || !strings.HasPrefix(d.Reason, want) {
					t.Errorf("%s: %s", d.State, d.Reason)
				}
			})
		})
	}
}

// The engine carries a stop through that it has begun, also where nobody waits any
// more: what is to run again must have ended first.
func TestKeep_OneThatIsBeingStoppedRunsAgainAfterTheUndo(t *testing.T) {
	t.Parallel()
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed=%t", killed), func(t *testing.T) {
			t.Parallel()
			inKeptWorld(t, func(t *testing.T, w *pipelinetest.World, live pipeline.Deployment) {
				w.Engine().Linger(redisAlone(t, w).ID, 8*time.Second)
				w.Ledger().SetOverlay(withRedis("8"))
				d := w.Ledger().Queue(w.Forge().Push("main", nil), pipeline.Push)
				ctx, cancel := context.WithCancelCause(t.Context())
				w.Fail = func(call string, after bool) error {
					switch {
					case call == "engine.Stop" && after && killed:
						return pipelinetest.ErrKilled
					case call == "engine.Stop" && after:
						time.AfterFunc(time.Second, func() { cancel(pipeline.ErrCanceled) })
					}
					return nil
				}
				err := w.Run(ctx, d.ID)
				w.Fail = nil
				if killed {
					w.Revive()
					w.Ledger().SetOverlay(withRedis("7"))
					w.Engine().Behave(d.Commit, pipelinetest.Behavior{BuildError: errors.New("no")})
					err = w.Run(t.Context(), d.ID)
				}
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				redisAlone(t, w)
			})
		})
	}
}

func TestKeep_VisitorsAreHeldAsLongAsAServiceMayTakeToBegin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := pipelinetest.New()
		overlay := func(version string) string {
			return shortGuard + `
services:
  web:
    depends_on: {db: {condition: service_healthy}}
  db:
    image: postgres:` + version + `
    healthcheck: {test: [CMD, pg_isready], start_period: 20m}
`
		}
		w.Ledger().SetOverlay(overlay("16"))
		wantState(t, w, deploy(t, w, w.Forge().Push("main", nil), pipeline.Push).ID, pipeline.Live)
		w.Ledger().SetOverlay(overlay("17"))
		w.Engine().Behave("sha256:postgres:17", pipelinetest.Behavior{UpAfter: 24 * time.Minute})
		var met []pipeline.Mode // when the new one has been started
		w.Fail = func(call string, after bool) error {
			if m := w.Proxy().PeekMode("app1"); call == "engine.Start" && after && m.Kind == pipeline.ModeHold {
				met = append(met, m)
				if time.Until(m.Until) < 25*time.Minute {
					t.Errorf("visitors meet %+v at %s", m, time.Now())
				}
			}
			return nil
		}
		d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		w.Fail = nil
		wantState(t, w, d.ID, pipeline.Live)
		if m := w.Proxy().PeekMode("app1"); m.Kind != pipeline.ModeServe || len(met) != 1 {
			t.Errorf("visitors meet %+v, met %+v", m, met)
		}
	})
}
