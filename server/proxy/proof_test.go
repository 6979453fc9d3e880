package proxy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

func TestProve_EveryRouteIsAnsweredByTheDeployment(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Options){"HTTP": func(*Options) {}, "HTTPS": withTLS} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := setup(t, change)
			c, _ := serveControl(t, p)
			b := newBackend(t, "d1")
			e := entryOf("a", "proof-"+strings.ToLower(name)+".example", b)
			e.Paths = append(e.Paths, pipeline.Path{Host: e.Paths[0].Host, Prefix: "/status/500", Targets: e.Paths[0].Targets})
			swing(t, p, e)
			for who, prover := range map[string]pipeline.Prover{"in process": p, "over the socket": c} {
				if err := prover.Prove(t.Context(), e); err != nil {
					t.Errorf("%s: %v", who, err)
				}
			}
		})
	}
}

func TestProve_FailsForAnotherDeploymentOrNone(t *testing.T) {
	t.Parallel()
	p := setup(t)
	gone := newBackend(t, "gone")
	gone.die(t)
	live := entryOf("a", "a.example", newBackend(t, "d1"))
	swing(t, p, live)
	swing(t, p, entryOf("empty", "empty.example"))
	swing(t, p, entryOf("gone", "gone.example", gone))
	other := live
	other.Deployment = "d2"
	for want, e := range map[string]pipeline.Entry{
		"deployment d1 answered, not d2": other,
		"503":                            entryOf("empty", "empty.example"),
		"502":                            entryOf("gone", "gone.example", gone),
		"404":                            entryOf("x", "nobody.example"),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		err := p.Prove(ctx, e)
		cancel()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", e.Paths[0].Host, err, want)
		}
	}
}

func TestProve_TokenIsGoodForOneRequestAndOneMinute(t *testing.T) {
	t.Parallel()
	p := setup(t)
	swing(t, p, entryOf("a", "a.example", newBackend(t, "d1")))
	c := visitor(t, p)
	named := func(token string) string {
		return get(t, c, "http://a.example/headers", proofHeader, token).Header.Get(deploymentHeader)
	}
	token, err := p.mintProof(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := named(token); got != "d1" {
		t.Errorf("fresh token: %q", got)
	}
	for kind, token := range map[string]string{"spent": token, "made up": "MADEUP", "none": ""} {
		if got := named(token); got != "" {
			t.Errorf("%s token: the release is named: %q", kind, got)
		}
	}
	now := time.Now()
	old := newProofs(func() time.Time { return now })
	stale, err := old.mint()
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(proofLife + time.Second)
	if old.spend(stale) {
		t.Error("a token is good for longer than a minute")
	}
}

func TestProve_TokensAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := newProofs(func() time.Time { return now })
	for range proofLimit {
		if _, err := p.mint(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.mint(); err == nil {
		t.Error("no bound")
	}
	now = now.Add(2 * proofLife)
	if _, err := p.mint(); err != nil {
		t.Errorf("after their end: %v", err)
	}
}

// A certificate that cannot be had is a warning, never a failed deployment.
func TestProve_DoesNotNeedACertificate(t *testing.T) {
	t.Parallel()
	p := setup(t, withTLS, func(o *Options) {
		o.Internal = false
		o.ACME.CA = "https://127.0.0.1:1/directory" // nothing there
		o.Logger = nil
	})
	e := entryOf("a", "proof-no-certificate.example", newBackend(t, "d1"))
	swing(t, p, e)
	if err := p.Prove(t.Context(), e); err != nil {
		t.Error(err)
	}
	if got := get(t, visitor(t, p), "http://"+e.Paths[0].Host); got.Status != http.StatusPermanentRedirect {
		t.Errorf("a visitor without token: %d", got.Status)
	}
}

func TestProve_SaysThatTheProxyIsNotThere(t *testing.T) {
	t.Parallel()
	c := NewClient(socketPath(t))
	if err := c.Prove(t.Context(), entryOf("a", "a.example")); !errors.Is(err, pipeline.ErrUnreachable) {
		t.Error(err)
	}
}
