package github_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/github"
	"github.com/swingbridge/swingbridge/pipeline/github/minihub"
)

// run runs a sender in a bubble of virtual time and returns what ends it.
func run(t *testing.T, s *github.Sender) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// pass lets virtual time go by.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func writes(requests []minihub.Request) []minihub.Request {
	var out []minihub.Request
	for _, r := range requests {
		if r.Method != http.MethodGet && !strings.HasSuffix(r.Path, "/access_tokens") {
			out = append(out, r)
		}
	}
	return out
}

func TestSender_LostAnswersMakeNothingTwice(t *testing.T) {
	t.Parallel()
	for _, as := range identities() {
		t.Run(string(as), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := setup(t, as)
				stop := run(t, w.sender())
				defer stop()
				s := []pipeline.State{pipeline.Queued, pipeline.Running, pipeline.Failed}
				lost := func(r *http.Request) bool {
					return r.Method != http.MethodGet && !strings.HasSuffix(r.URL.Path, "/access_tokens")
				}
				for i := range s {
					w.hub.Inject(minihub.Fault{Times: 3, Match: lost, Apply: true, Hang: i%2 == 0, Drop: i%2 == 1})
					w.outbox.put(deployment("01a", s[:i+1]...))
					pass(10 * time.Minute)
				}
				w.check(t, as, "only the end of the record", path{
					conclusion: "failure", status: "failure", records: []string{"in_progress", "failure"}, last: "failure",
				})
			})
		})
	}
}

func TestSender_ConvergesAfterGitHubWasDown(t *testing.T) {
	t.Parallel()
	for _, as := range identities() {
		t.Run(string(as), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := setup(t, as)
				s := w.sender(func(o *github.SenderOptions) { o.Pace, o.Progress = 0, 0 })
				stop := run(t, s)
				defer stop()
				w.hub.SetDown(true)
				ends := []pipeline.State{pipeline.Live, pipeline.Failed, pipeline.RolledBack, pipeline.Superseded, pipeline.Canceled}
				for i := range 20 {
					d := deployment(fmt.Sprintf("01%02d", i), pipeline.Queued, pipeline.Running, ends[i%len(ends)])
					d.Commit = fmt.Sprintf("%040d", i)
					w.outbox.put(d)
					s.Wake()
					pass(3 * time.Minute)
				}
				if n := len(w.hub.CheckRuns()) + len(w.hub.Statuses()) + len(w.hub.Deployments()); n != 0 {
					t.Fatalf("%d things got through while GitHub was down", n)
				}
				w.hub.SetDown(false)
				pass(10 * time.Minute)
				w.checkAll(t, as, 20)
			})
		})
	}
}

func TestSender_NewsDoNotHoldUpWhatIsToBeTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, asToken)
		s := w.sender()
		stop := run(t, s)
		defer stop()
		w.hub.FailNext(2, http.StatusBadGateway)
		w.outbox.put(deployment("01a", pipeline.Queued))
		s.Wake()
		pass(300 * time.Millisecond) // failed, to be tried again in a second or so
		other := deployment("01b", pipeline.Queued)
		other.Commit = fmt.Sprintf("%040d", 2) // statuses of one commit take each other's place
		w.outbox.put(other)
		s.Wake()
		pass(300 * time.Millisecond) // that one as well, a little later
		s.Wake()                     // of what is not due, or not ours
		pass(5 * time.Second)
		if n := len(w.hub.Statuses()); n != 2 {
			t.Errorf("there are %d statuses 5 seconds after GitHub failed twice, want 2", n)
		}
	})
}

func TestSender_TwentyDeploymentsCloseOnceEachUnderFaults(t *testing.T) {
	t.Parallel()
	for _, as := range identities() {
		t.Run(string(as), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := setup(t, as)
				s := w.sender(func(o *github.SenderOptions) { o.Pace, o.Progress = 0, 0 })
				stop := run(t, s)
				defer stop()
				states := []pipeline.State{pipeline.Queued, pipeline.Running, pipeline.CuttingOver, pipeline.Watching, pipeline.Live, pipeline.Retired}
				for i := range 20 {
					switch i % 5 {
					case 0:
						w.hub.FailNext(2, http.StatusBadGateway)
					case 1:
						w.hub.LoseAnswers(2)
					case 2:
						w.hub.LimitNext(1, http.StatusTooManyRequests, 40*time.Second)
					case 3:
						w.hub.LimitNext(1, http.StatusForbidden, 40*time.Second)
					}
					for n := range states {
						d := deployment(fmt.Sprintf("01%02d", i), states[:n+1]...)
						d.Commit = fmt.Sprintf("%040d", i)
						w.outbox.put(d)
						s.Wake()
						pass(time.Duration(i) * time.Second)
					}
				}
				pass(time.Hour)
				w.checkAll(t, as, 20)
			})
		})
	}
}

// checkAll counts what n deployments of n commits left on the hub.
func (w *world) checkAll(t *testing.T, as who, n int) {
	t.Helper()
	if left := w.outbox.unsent(); len(left) > 0 {
		t.Errorf("not sent: %v", left)
	}
	closed := map[string]int{}
	if as == asApp {
		for _, c := range w.hub.CheckRuns() {
			closed[c.ExternalID] += closings(c)
		}
	} else {
		for _, s := range w.hub.Statuses() {
			if s.State != "pending" {
				closed[s.TargetURL]++
			}
		}
	}
	for id, times := range closed {
		if times != 1 {
			t.Errorf("%s was closed %d times", id, times)
		}
	}
	if len(closed) != n {
		t.Errorf("%d deployments were closed, want %d", len(closed), n)
	}
	seen := map[string]bool{}
	for _, d := range w.hub.Deployments() {
		if seen[d.Payload] {
			t.Errorf("two deployment records for %s", d.Payload)
		}
		seen[d.Payload] = true
		if s := d.State(); s == "in_progress" || s == "" {
			t.Errorf("record of %s is left %q", d.Payload, s)
		}
	}
}

func TestSender_StepsWaitForCompany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, asApp)
		s := w.sender(func(o *github.SenderOptions) { o.Progress = 0 })
		defer run(t, s)()
		d := deployment("01a", pipeline.Running)
		for i := range 30 { // one step each 100 ms
			d.Steps = append(d.Steps, pipeline.StepRecord{Attempt: 1, Name: "step " + strconv.Itoa(i), State: pipeline.StepDone, StartedAt: began(), EndedAt: began()})
			w.outbox.put(d)
			s.Wake()
			pass(100 * time.Millisecond)
		}
		pass(10 * time.Second)
		c := w.hub.CheckRuns()[0]
		if len(c.History) > 3 {
			t.Errorf("%d writes for 30 steps in 3 s", len(c.History))
		}
		if !strings.Contains(c.Summary, "step 29") {
			t.Errorf("the last step is missing:\n%s", c.Summary)
		}
	})
}

func TestSender_RefusedReportsAreTriedRarelyAndBlockNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, asApp)
		w.outbox.apps["gone"] = pipeline.App{ID: "gone", Name: "gone", Repo: "somebody/deleted"}
		s := w.sender()
		stop := run(t, s)
		defer stop()
		d := deployment("00a", pipeline.Running)
		d.AppID = "gone"
		w.outbox.put(d)
		d.ID, d.AppID = "00b", "no such app"
		w.outbox.put(d)
		w.outbox.put(deployment("01a", pipeline.Queued, pipeline.Running, pipeline.Live))
		s.Wake()
		pass(2 * time.Hour)
		if c := w.hub.CheckRuns(); len(c) != 1 || c[0].Conclusion != "success" {
			t.Errorf("the good one did not get through: %+v", c)
		}
		if n := len(w.hub.Requests()); n > 60 {
			t.Errorf("%d requests in two hours", n)
		}
		if left := w.outbox.unsent(); len(left) != 4 || !strings.Contains(left[0], "404") {
			t.Errorf("errors in the outbox: %q", left)
		}
	})
}

func TestSender_GoesOnAfterTheAppWasInstalledAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, asApp)
		s := w.sender()
		stop := run(t, s)
		defer stop()
		w.outbox.put(deployment("01a", pipeline.Queued))
		s.Wake()
		pass(time.Minute)
		w.hub.RemoveApp(appID)
		w.outbox.put(deployment("01a", pipeline.Queued, pipeline.Running))
		s.Wake()
		pass(time.Minute)
		w.hub.AddApp(minihub.App{ID: appID, Key: &appKey().PublicKey})
		w.outbox.put(deployment("01a", pipeline.Queued, pipeline.Running, pipeline.Failed))
		pass(time.Hour)
		if c := w.hub.CheckRuns(); len(c) != 1 || c[0].Conclusion != "failure" || closings(c[0]) != 1 {
			t.Errorf("check runs: %+v", c)
		}
	})
}

func TestSender_CompletesACheckRunThatGitHubCalledStale(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, asApp)
		w.handler = w.hub // the description of answers does not know the conclusion stale, GitHub does
		w.client = w.dial(t, asApp)
		w.outbox.put(deployment("01a", pipeline.Queued, pipeline.Running, pipeline.Stuck))
		flush(t, w.sender())
		w.hub.MarkStale(w.hub.CheckRuns()[0].ID)
		w.outbox.put(deployment("01a", pipeline.Queued, pipeline.Running, pipeline.Stuck, pipeline.RolledBack))
		flush(t, w.sender())
		if c := w.hub.CheckRuns(); len(c) != 1 || c[0].Conclusion != "failure" {
			t.Errorf("check runs: %+v", c)
		}
	})
}

func TestSender_ShutdownLeavesNothingHalfKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, asApp)
		w.hub.LoseAnswers(1) // the token
		w.hub.LoseAnswers(1) // the check run, made, answer on its way
		stop := run(t, w.sender())
		w.outbox.put(deployment("01a", pipeline.Queued))
		pass(time.Minute - time.Second)
		stop()
		if diff := cmp.Diff(1, len(w.hub.CheckRuns())); diff != "" {
			t.Fatalf("check runs before the restart (-want +got):\n%s", diff)
		}
		w.outbox.put(deployment("01a", pipeline.Queued, pipeline.Canceled))
		stop = run(t, w.sender())
		pass(10 * time.Minute)
		stop()
		if c := w.hub.CheckRuns(); len(c) != 1 || closings(c[0]) != 1 {
			t.Errorf("check runs after the restart: %+v", c)
		}
	})
}
