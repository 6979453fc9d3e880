package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/cmd/bench/subcommand"
)

// few is a plan for tests.
func few() plan {
	return plan{rounds: 2, swings: 5, every: 50 * time.Millisecond, quiet: 300 * time.Millisecond, warm: 100 * time.Millisecond}
}

func TestTrial_NobodyNoticesTheCutoversOfSwingbridge(t *testing.T) {
	t.Parallel()
	visitors, socket := serveProxy(t)
	s := newSwingbridge(socket, serveColors(t))
	trial := &trial{name: "test", routes: 3, bridge: s, plan: few(), traffic: traffic{address: visitors, rate: 100, slowness: 100 * time.Millisecond}}
	defer s.close()
	if err := s.fill(t.Context(), trial.routes); err != nil {
		t.Fatal(err)
	}
	if err := trial.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	var row strings.Builder
	if err := trial.print(&row); err != nil {
		t.Fatal(err)
	}
	t.Log(row.String())
	if err := trial.verdict(t.Context()); err != nil {
		t.Error(err)
	}
	if len(trial.costs) != 10 || trial.streams.kept() != 4*streamsEach {
		t.Errorf("%d cutovers, %d streams kept", len(trial.costs), trial.streams.kept())
	}
}

func TestTrial_AReloadOfCaddyIsNoticed(t *testing.T) {
	t.Parallel()
	at, socket, c := freeAddress(t), shortSocket(t), serveColors(t)
	spawn(t, fmt.Sprintf("reload -listen %s -socket %s -routes 3 -blue %s -green %s -other %s", at, socket, c.own[0], c.own[1], c.other))
	eventually(t, "Caddy serves", func() bool {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	trial := &trial{name: "test", routes: 3, bridge: newReloader(socket), plan: few(), traffic: traffic{address: at, rate: 100, slowness: 100 * time.Millisecond}}
	defer trial.bridge.close()
	if err := trial.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if trial.ended == nil || trial.verdict(t.Context()) == nil {
		t.Error("all WebSockets lasted, which Caddy closes when it is reloaded")
	}
	if trial.traffic.tally.old > 0 {
		t.Error("Caddy answered from a release that visitors had left; it never does")
	}
}

func TestTraffic_SeesWhatVisitorsWouldSee(t *testing.T) {
	t.Parallel()
	good := color{"blue"}.handler()
	sometimes := func(harm http.HandlerFunc) http.Handler {
		n := make(chan int, 1)
		n <- 0
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			count := <-n + 1
			n <- count
			if count%10 == 0 {
				harm(w, r)
				return
			}
			good.ServeHTTP(w, r)
		})
	}
	for name, c := range map[string]struct {
		target http.Handler
		seen   func(*tally) bool
	}{
		"a connection that is cut before the answer": {
			sometimes(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
			func(s *tally) bool { return s.stale > 0 && s.old == 0 },
		},
		"an answer that breaks off": {
			sometimes(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "100")
				_, _ = io.WriteString(w, "blu")
			}),
			func(s *tally) bool { return s.failed > 0 && s.stale == 0 && s.old == 0 },
		},
		"a refusal": {
			sometimes(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }),
			func(s *tally) bool { return s.failed > 0 && s.stale == 0 && s.old == 0 },
		},
		"a release that visitors had left": {
			sometimes(func(w http.ResponseWriter, r *http.Request) { color{"green"}.handler().ServeHTTP(w, r) }),
			func(s *tally) bool { return s.old > 0 && s.failed == 0 && s.stale == 0 },
		},
		"nothing": {good, func(s *tally) bool { return s.complaint() == nil }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			left := &turns{names: [2]string{"green", "blue"}}
			left.begin()
			left.end()
			x := &traffic{address: serve(t, c.target).String(), host: ownHost, rate: 400, turns: left, slowness: 100 * time.Millisecond}
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			x.run(ctx)
			if s := &x.tally; !c.seen(s) || (s.complaint() == nil) != (name == "nothing") {
				t.Errorf("seen: %v", s.complaint())
			}
		})
	}
}

func TestStreams_SeeTheirEnd(t *testing.T) {
	t.Parallel()
	ctx, cut := context.WithCancel(t.Context())
	good := color{"blue"}.handler()
	target := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		both, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		good.ServeHTTP(w, r.WithContext(both))
	})
	s, err := openStreams(t.Context(), serve(t, target).String(), 2, ownHost)
	if err != nil {
		t.Fatal(err)
	}
	cut()
	eventually(t, "all four are lost", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.lost) == 4 })
	if err := s.end(); err == nil || s.kept() != 0 {
		t.Errorf("%d kept, %v", s.kept(), err)
	}
}

func TestTurns_KnowWhichReleaseMayAnswer(t *testing.T) {
	t.Parallel()
	at := time.Unix(1000, 0)
	x := turns{names: names(), begun: []time.Time{at, at.Add(10)}, done: []time.Time{at.Add(2), at.Add(12)}}
	for _, c := range []struct {
		sent, received time.Duration
		right          []string
	}{
		{-2, -1, []string{"blue"}},
		{-2, 1, []string{"blue", "green"}},
		{1, 1, []string{"blue", "green"}},
		{3, 4, []string{"green"}},
		{3, 9, []string{"green"}},
		{3, 11, []string{"blue", "green"}},
		{13, 14, []string{"blue"}},
	} {
		for _, release := range []string{"blue", "green", ""} {
			got := x.right(answer{release, at.Add(c.received)}, at.Add(c.sent))
			if got != slices.Contains(c.right, release) {
				t.Errorf("sent at %d, had at %d, answered by %q: right is %v", c.sent, c.received, release, got)
			}
		}
	}
}

func TestCompare_PrintsBothAndTheirRatio(t *testing.T) {
	t.Parallel()
	c := serveColors(t)
	at := serve(t, plainProxy(c.own[0].String())).String()
	self := strconv.Itoa(os.Getpid())
	var out strings.Builder
	err := subcommand.Run(t.Context(), "", commands(), []string{"compare", "-visitors", at, "-plain", at, "-rounds", "2", "-for", "50ms", "-pid", self, "-plain-pid", self}, &out)
	if err != nil || strings.Count(out.String(), "\n") != 6 {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestController_GoesOnFromWhereAnotherEnded(t *testing.T) {
	t.Parallel()
	_, socket := serveProxy(t)
	s := newSwingbridge(socket, serveColors(t))
	defer s.close()
	if err := s.fill(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		was := s.was
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- subcommand.Run(ctx, "", commands(), []string{"controller", "-socket", socket, "-blue", s.colors.own[0].String(), "-green", s.colors.own[1].String()}, io.Discard)
		}()
		eventually(t, "some cutovers", func() bool {
			e, err := s.client.Entry(t.Context(), "app0")
			s.was = e.Version
			return err == nil && e.Version > was+3
		})
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
