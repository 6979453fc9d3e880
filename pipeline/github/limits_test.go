package github_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/github"
	"github.com/swingbridge/swingbridge/pipeline/github/minihub"
)

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
