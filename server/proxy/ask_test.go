package proxy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

func TestProve_EveryTargetOfARouteHasToAnswer(t *testing.T) {
	t.Parallel()
	p := setup(t)
	idle, busy, dead := newBackend(t, "d1"), newBackend(t, "d1"), newBackend(t, "d1")
	var asked [2]atomic.Int32
	for i, b := range []*backend{idle, busy} {
		b.answer("/ready", func(http.ResponseWriter, *http.Request) { asked[i].Add(1) })
	}
	e := entryOf("a", "a.example", busy)
	swing(t, p, e)
	c := visitor(t, p)
	var visits sync.WaitGroup
	for range 3 { // visitors would go to the other one from now on
		visits.Go(func() { get(t, c, "http://a.example/held") })
		<-busy.got
	}
	defer func() { close(busy.hold); visits.Wait() }()
	e = entryOf("a", "a.example", idle, busy)
	e.Paths[0].Ask = "/ready"
	swing(t, p, e)
	if err := p.Prove(t.Context(), e); err != nil || asked[0].Load() != 1 || asked[1].Load() != 1 {
		t.Errorf("%v; asked %d and %d times", err, asked[0].Load(), asked[1].Load())
	}
	dead.die(t)
	e = entryOf("a", "a.example", idle, busy, dead)
	swing(t, p, e)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := p.Prove(ctx, e); err == nil || !strings.Contains(err.Error(), "a.example/ of "+dead.addr.String()) || strings.Contains(err.Error(), idle.addr.String()) {
		t.Errorf("with a dead target: %v", err)
	}
}

func TestServe_OnlyAProofChoosesItsTarget(t *testing.T) {
	t.Parallel()
	p := setup(t)
	one, other := newBackend(t, "one"), newBackend(t, "other")
	e := entryOf("a", "a.example", one, other)
	swing(t, p, e)
	c, seen := visitor(t, p), map[string]bool{}
	for range 10 {
		seen[get(t, c, "http://a.example/", targetHeader, one.addr.String()).Header.Get("X-Release")] = true
	}
	if !seen["other"] {
		t.Error("a visitor chose a target")
	}
}

func TestAsk_TakesOnly5xxIllWhereTheAppIsKnownToAnswer(t *testing.T) {
	t.Parallel()
	p := setup(t)
	c, _ := serveControl(t, p)
	b := newBackend(t, "d1")
	for path, want := range map[string]string{"": "", "/status/200": "", "/status/404": "", "/status/503": "503 Service Unavailable"} {
		e := entryOf("a", "a.example", b)
		e.Paths[0].Prefix, e.Paths[0].Ask = "/status", path
		if path == "" {
			e.Paths[0].Prefix = "/status/500"
		}
		swing(t, p, e)
		for who, prover := range map[string]pipeline.Prover{"in process": p, "over the socket": c} {
			err := prover.Ask(t.Context(), e)
			if err == nil != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s, ask %q: %v", who, path, err)
			}
		}
	}
}

func TestAsk_TellsAnAppThatDoesNotAnswerFromAProxyThatDoesNot(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := newBackend(t, "d1")
	defer close(b.hold)
	e := entryOf("a", "a.example", b)
	e.Paths[0].Ask = "/held"
	swing(t, p, e)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := p.Ask(ctx, e); err == nil || errors.Is(err, pipeline.ErrUnreachable) {
		t.Errorf("a hanging app: %v", err)
	}
	b.die(t)
	if err := p.Ask(t.Context(), e); err == nil || errors.Is(err, pipeline.ErrUnreachable) {
		t.Errorf("a dead app: %v", err)
	}
	if err := NewClient(socketPath(t)).Ask(t.Context(), e); !errors.Is(err, pipeline.ErrUnreachable) {
		t.Errorf("no proxy: %v", err)
	}
}
