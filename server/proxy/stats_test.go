package proxy

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStats_KeepAMinuteInBuckets(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0).UTC()
	tr := newTraffic("d1", func() time.Time { return now })
	start := now
	for _, status := range []int{200, 404, 500, visitorLeft} {
		tr.answered(status, time.Millisecond)
	}
	now = start.Add(30 * time.Second)
	tr.answered(200, time.Millisecond)
	want := []Bucket{
		{start, Counts{Requests: 4, ClientErrors: 1, ServerErrors: 1}},
		{start.Add(30 * time.Second), Counts{Requests: 1}},
	}
	if diff := cmp.Diff(want, tr.counts().Recent); diff != "" {
		t.Error(diff)
	}
	now = start.Add(time.Minute) // the first bucket's place in the ring is used again
	tr.answered(200, time.Millisecond)
	want = []Bucket{want[1], {now, Counts{Requests: 1}}}
	if diff := cmp.Diff(want, tr.counts().Recent); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Counts{Requests: 6, ClientErrors: 1, ServerErrors: 1}, tr.counts().Total); diff != "" {
		t.Error(diff)
	}
	if tr.quiet() {
		t.Error("quiet right after an answer")
	}
	if now = now.Add(time.Minute); !tr.quiet() {
		t.Error("not quiet after a minute")
	}
}

func TestStats_ForgetDeploymentsThatAreDrainedAndQuiet(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p, err := New(Options{HTTP: "127.0.0.1:0", DataDir: t.TempDir(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	a, b := newBackend(t, "d1"), newBackend(t, "d2")
	swing(t, p, entryOf("a", "a.example", a))
	held, _ := p.admit(ask{host: "a.example", path: "/"})
	p.traffic["d1"].answered(200, time.Millisecond)
	shown := func() (ids []string) {
		s, _ := p.Stats(t.Context())
		for _, c := range s.Traffic {
			ids = append(ids, c.Deployment)
		}
		return ids
	}
	step := func(want ...string) {
		t.Helper()
		swing(t, p, entryOf("a", "a.example", b))
		if diff := cmp.Diff(want, shown()); diff != "" {
			t.Error(diff)
		}
	}
	step("d1", "d2")
	now = now.Add(2 * time.Minute)
	step("d1", "d2") // still one in flight
	held.entry.traffic.inflight.Add(-1)
	step("d2")
}
