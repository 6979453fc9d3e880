package pipeline_test

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

// moment is one at which something may happen to a run: before a call, or after
// it has had its effect.
type moment struct {
	n    int // counted from 1
	name string
	left *pipelinetest.Snapshot // of the world, if the server dies now
}

// begun is a world with a deployment that waits to be carried out.
type begun func(t *testing.T) (w *pipelinetest.World, id string)

// counting calls f with each moment of a run, and passes the call on. What is
// not listed among the calls is no moment.
func counting(w *pipelinetest.World, f func(n int, call string, after bool) error) {
	n, was := 0, w.Fail
	w.Fail = func(call string, after bool) error {
		if was != nil {
			if err := was(call, after); err != nil {
				return err
			}
		}
		if call == "proxy.Visits" {
			return nil
		}
		n++
		return f(n, call, after)
	}
}

// momentsOf carries the deployment out and lists the moments at which the world
// is another one than at the moment before: for a server that dies they are all
// that there are.
func momentsOf(t *testing.T, w *pipelinetest.World, id string) (out []moment) {
	t.Helper()
	note := func(m moment) error {
		m.left = w.Snapshot()
		if len(out) == 0 || !m.left.Equal(out[len(out)-1].left) {
			out = append(out, m)
		}
		return nil
	}
	counting(w, func(n int, call string, after bool) error {
		return note(moment{n: n, name: fmt.Sprintf("%d %s, after=%t", n, call, after)})
	})
	if err := w.Run(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return out
}

// eachDeath lets the server die at every moment of the run that begin prepares,
// and calls f with the world that is left, in a bubble of its own: all that a
// server had in memory is lost, and f starts the next one.
func eachDeath(t *testing.T, begin begun, f func(t *testing.T, w *pipelinetest.World, id string)) {
	t.Helper()
	var moments []moment
	var id string
	synctest.Test(t, func(t *testing.T) {
		var w *pipelinetest.World
		w, id = begin(t)
		moments = momentsOf(t, w, id)
	})
	each(t, moments, func(t *testing.T, m moment) {
		w := m.left.Restore()
		watched(t, w)
		f(t, w, id)
	})
}

// failure is a run of which one call failed.
type failure struct {
	n    int    // its moment
	id   string // of the deployment
	said error  // by Run
}

// eachFailure has one call fail at every moment of the run that begin prepares.
func eachFailure(t *testing.T, err error, begin begun, f func(t *testing.T, w *pipelinetest.World, failed failure)) {
	t.Helper()
	var moments []moment
	var id string
	var left *pipelinetest.Snapshot
	synctest.Test(t, func(t *testing.T) {
		var w *pipelinetest.World
		w, id = begin(t)
		left = w.Snapshot()
		counting(w, func(n int, call string, after bool) error {
			moments = append(moments, moment{n: n, name: fmt.Sprintf("%d %s, after=%t", n, call, after)})
			return nil
		})
		if err := w.Run(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	})
	each(t, moments, func(t *testing.T, m moment) {
		w := left.Restore()
		watched(t, w)
		counting(w, func(n int, _ string, _ bool) error {
			if n == m.n {
				return err
			}
			return nil
		})
		said := w.Run(t.Context(), id)
		watched(t, w)
		f(t, w, failure{m.n, id, said})
	})
}

// each calls f for each moment, in a bubble of its own.
func each(t *testing.T, moments []moment, f func(t *testing.T, m moment)) {
	t.Helper()
	if len(moments) < 7 { // as many as a run has that changes nothing
		t.Fatalf("%d moments only", len(moments))
	}
	for _, m := range moments {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { f(t, m) })
		})
	}
}

// The control: what a run leaves behind that is killed for real, so that every
// further call of it fails, is the world as it was at that moment.
func TestSnapshot_IsWhatAKilledServerLeaves(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"ledger.Record start done, probe running", "engine.Ensure", "engine.Start", "engine.Inspect", "proxy.Swing", "proxy.Prove"} {
		for _, after := range []bool{false, true} {
			if after && (call == "engine.Inspect" || call == "proxy.Prove") {
				continue // they have no effect
			}
			t.Run(fmt.Sprintf("%s, after=%t", call, after), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w, id := pushed(pipelinetest.Behavior{})(t)
					var left *pipelinetest.Snapshot
					w.Fail = func(now string, isAfter bool) error {
						if now != call || isAfter != after || left != nil {
							return nil
						}
						left = w.Snapshot()
						return pipelinetest.ErrKilled
					}
					if err := w.Run(t.Context(), id); err == nil {
						t.Error("the killed run has ended")
					}
					if diff := cmp.Diff(things(left.Restore()), things(w), cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); diff != "" {
						t.Errorf("(-snapshot +killed):\n%s", diff)
					}
				})
			})
		}
	}
}

// things is what there is in a world.
func things(w *pipelinetest.World) []any {
	entry, err := w.Proxy().Peek(w.Ledger().App().ID)
	return []any{w.Engine().Containers(), w.Engine().Images(), w.Engine().Effects(), w.Ledger().All(), entry, err}
}

// The control: a call that changes something makes another snapshot, as time
// does, and a call that only looks does not.
func TestSnapshot_EqualsAnotherOneAsLongAsNothingHappens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, _ := keptWorld(t)
		redis := redisAlone(t, w).ID
		was := w.Snapshot()
		if _, err := w.Engine().Inspect(t.Context(), redis); err != nil {
			t.Fatal(err)
		}
		if !w.Snapshot().Equal(was) || !was.Restore().Snapshot().Equal(was) {
			t.Error("it is another one, though nothing happened")
		}
		time.Sleep(time.Nanosecond) // bubble time
		if w.Snapshot().Equal(was) {
			t.Error("time went unnoticed")
		}
		for name, change := range map[string]func(w *pipelinetest.World) error{
			"stop":  func(w *pipelinetest.World) error { return w.Engine().Stop(t.Context(), redis) },
			"leave": func(w *pipelinetest.World) error { return w.Engine().Leave(t.Context(), redis, "net-shopdefault/live") },
			"drop":  func(w *pipelinetest.World) error { return w.Proxy().Drop(t.Context(), "app1") },
			"queue": func(w *pipelinetest.World) error { w.Ledger().Queue("1", pipeline.Push); return nil },
			"push":  func(w *pipelinetest.World) error { w.Forge().Push("main", nil); return nil },
			"record": func(w *pipelinetest.World) error {
				return w.Ledger().Record(t.Context(), pipeline.Record{Deployment: "d001", Subject: "s"})
			},
		} {
			now := w.Snapshot()
			changed := now.Restore()
			if err := change(changed); err != nil || changed.Snapshot().Equal(now) {
				t.Errorf("%s went unnoticed, %v", name, err)
			}
			if !w.Snapshot().Equal(now) {
				t.Errorf("%s reached another world", name)
			}
		}
	})
}
