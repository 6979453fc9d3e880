package github_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
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

func TestSender_IsSilentAsLongAsGitHubAsks(t *testing.T) {
	t.Parallel()
	faults := map[string]func(now time.Time) minihub.Fault{
		"429 with Retry-After": func(time.Time) minihub.Fault {
			return minihub.Fault{Status: 429, Header: http.Header{"Retry-After": {"1800"}}}
		},
		"403 with Retry-After": func(time.Time) minihub.Fault {
			return minihub.Fault{Status: 403, Header: http.Header{"Retry-After": {"1800"}}}
		},
		"403, the hour's requests used up": func(now time.Time) minihub.Fault {
			return minihub.Fault{Status: 403, Header: http.Header{
				"X-RateLimit-Remaining": {"0"}, "X-RateLimit-Reset": {strconv.FormatInt(now.Add(30*time.Minute).Unix(), 10)},
			}}
		},
		"429 by a clock that is an hour ahead": func(now time.Time) minihub.Fault {
			return minihub.Fault{Status: 429, Header: http.Header{
				"Date":                  {now.Add(time.Hour).UTC().Format(http.TimeFormat)},
				"X-RateLimit-Remaining": {"0"}, "X-RateLimit-Reset": {strconv.FormatInt(now.Add(90*time.Minute).Unix(), 10)},
			}}
		},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := setup(t, asToken)
				s := w.sender()
				w.hub.Inject(fault(time.Now()))
				stop := run(t, s)
				defer stop()
				w.outbox.put(deployment("01a", pipeline.Queued, pipeline.Running))
				s.Wake()
				pass(time.Second)
				if n := len(w.hub.Requests()); n != 1 {
					t.Fatalf("%d requests at the limit, want 1", n)
				}
				w.outbox.put(deployment("01b", pipeline.Queued)) // also what is new keeps silent
				s.Wake()
				if _, err := w.client.Head(t.Context(), repo, "main"); err == nil {
					t.Error("Head went through the limit")
				}
				pass(29 * time.Minute)
				if n := len(w.hub.Requests()); n != 1 {
					t.Errorf("%d requests before the limit is over", n)
				}
				pass(5 * time.Minute)
				if left := w.outbox.unsent(); len(left) > 0 {
					t.Errorf("not sent after the limit: %v", left)
				}
			})
		})
	}
}

func TestSender_WaitsLongerEachTimeWhereGitHubNamesNoTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, asToken)
		w.hub.Inject(minihub.Fault{Times: 4, Status: 403, Body: `{"message":"You have exceeded a secondary rate limit."}`})
		stop := run(t, w.sender())
		w.outbox.put(deployment("01a", pipeline.Queued))
		pass(time.Hour)
		stop()
		requests := w.hub.Requests()[:5]
		for i := 1; i < len(requests); i++ {
			if gap, least := requests[i].At.Sub(requests[i-1].At), time.Minute<<(i-1); gap < least {
				t.Errorf("request %d came %s after the one before, want at least %s", i, gap, least)
			}
		}
		if left := w.outbox.unsent(); len(left) > 0 {
			t.Errorf("not sent: %v", left)
		}
	})
}

func TestSender_WritesKeepTheirDistance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, asApp)
		w.outbox.apps["app-2"] = pipeline.App{ID: "app-2", Name: "other", Repo: "other/thing"}
		w.hub.SetHead("other/thing", "main", commit)
		for i := range 5 {
			w.outbox.put(deployment(fmt.Sprintf("01%d", i), pipeline.Running, pipeline.Failed))
			d := deployment(fmt.Sprintf("02%d", i), pipeline.Running, pipeline.Failed)
			d.AppID, d.AppName = "app-2", "other"
			w.outbox.put(d)
		}
		flush(t, w.sender(func(o *github.SenderOptions) { o.Pace = 0 }))
		all := writes(w.hub.Requests())
		for i := 1; i < len(all); i++ {
			if gap := all[i].At.Sub(all[i-1].At); gap < time.Second {
				t.Errorf("%s %s came %s after the write before", all[i].Method, all[i].Path, gap)
			}
		}
		if len(all) != 30 { // each: check run, record, its status
			t.Errorf("%d writes, want 30", len(all))
		}
		pass(time.Minute)
	})
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

func TestSender_NoTokenEverReachesLogOrOutbox(t *testing.T) {
	t.Parallel()
	for _, as := range identities() {
		t.Run(string(as), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := setup(t, as)
				var said safeBuffer
				w.log = &said
				var seen tokens
				w.handler = seen.watch(w.hub) // not validated: an answer of HTML is among the faults
				w.client = w.dial(t, as)
				stop := run(t, w.sender())
				for i, fault := range []minihub.Fault{
					{Times: 2, Status: 500}, {Times: 2, Drop: true}, {Times: 2, Hang: true}, {Times: 2, Status: 401}, {Times: 2, Status: 403},
					{Times: 2, Status: 422}, {Times: 2, Status: 200, Body: "<html>"}, {Times: 1, Status: 429},
					{Times: 1, Status: 302, Header: http.Header{"Location": {"https://elsewhere.test/x"}}},
				} {
					w.hub.Inject(fault)
					w.outbox.put(deployment(fmt.Sprintf("01%d", i), pipeline.Queued, pipeline.Running, pipeline.Failed))
					pass(2 * time.Hour)
				}
				stop()
				text := said.String() + strings.Join(w.outbox.unsent(), "\n")
				if len(seen.list()) == 0 || !strings.Contains(text, "github call") {
					t.Fatal("nothing was said, or nothing was logged: this proves nothing")
				}
				for _, secret := range seen.list() {
					if strings.Contains(text, secret) {
						t.Errorf("a credential is in the log: %.20s…", secret)
					}
				}
			})
		})
	}
}

// tokens notes every credential that a handler is shown.
type tokens struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (k *tokens) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, secret, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
			k.mu.Lock()
			if k.seen == nil {
				k.seen = map[string]bool{}
			}
			k.seen[secret] = true
			k.mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
}

func (k *tokens) list() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []string
	for secret := range k.seen {
		out = append(out, secret)
	}
	return out
}

// safeBuffer is a buffer for many writers.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
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
