package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

func only(events []event, names ...string) (out []event) {
	for _, e := range events {
		for _, name := range names {
			if e.name == name {
				out = append(out, e)
			}
		}
	}
	return out
}

func TestStream_GoesOnWhereThePageEnded(t *testing.T) {
	t.Parallel()
	s := setup(t)
	size := len(s.logs["d09"])
	go func() {
		s.chunks <- "half a "
		s.chunks <- "line\nanother one\nthe la"
		s.set("d09", func(d *pipeline.Deployment) {
			d.State = pipeline.Live
			d.Steps = append(d.Steps, pipeline.StepRecord{Attempt: 1, Name: "stop old", State: pipeline.StepRunning, LogOffset: int64(size + len("half a line\nanother one\n"))})
		})
		s.chunks <- "st one"
		close(s.chunks)
	}()
	events := parseStream(t, s.get(t, fmt.Sprintf("/deployments/d09/stream?offset=%d&line=105", size)))
	text := only(events, "section", "lines")
	if len(text) != 2 || text[0].name != "lines" || text[1].name != "section" {
		t.Fatalf("log events: %+v", text)
	}
	for i, want := range [][]string{
		{`<li id="L105">`, "half a line</span>", `<li id="L106">`, "another one"}, {"<b>stop old</b>", `<li id="L107">`, "the last one"},
	} {
		for _, part := range want {
			if !strings.Contains(text[i].data, part) {
				t.Errorf("event %d has no %q: %s", i, part, text[i].data)
			}
		}
	}
	head := false
	for _, e := range only(events, "part") {
		head = head || strings.Contains(e.data, `id="head"`) && strings.Contains(e.data, "state live")
	}
	if !head {
		t.Error("the new state was not sent")
	}
}

func TestStream_IsTakenUpWithoutLossOrRepetition(t *testing.T) {
	t.Parallel()
	whole := setup(t)
	close(whole.chunks)
	all := only(parseStream(t, whole.get(t, "/deployments/d09/stream")), "section", "lines")
	if len(all) < 5 {
		t.Fatalf("only %d sections", len(all))
	}
	for i := range all[:len(all)-1] {
		s := setup(t)
		close(s.chunks)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/deployments/d09/stream?offset=0&line=1", nil)
		r.Header.Set("Last-Event-ID", all[i].id)
		rest := only(parseStream(t, s.as(pipeline.Viewer, r)), "section", "lines")
		if len(rest) != len(all)-i-1 || rest[0].data != all[i+1].data {
			t.Errorf("after event %d (%s) %d events came, want %d", i, all[i].id, len(rest), len(all)-i-1)
		}
	}
}

func TestStream_EndsWithItsReader(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	events := parseStream(t, s.as(pipeline.Viewer, httptest.NewRequestWithContext(ctx, http.MethodGet, "/deployments/d09/stream", nil)))
	if len(only(events, "end")) != 0 {
		t.Error("the reader was told that nothing follows")
	}
}

func TestStream_EndsWhereADeploymentNeverRan(t *testing.T) {
	t.Parallel()
	s := setup(t)
	events := parseStream(t, s.get(t, "/deployments/d07/stream"))
	if len(only(events, "end")) != 1 {
		t.Errorf("events: %+v", events)
	}
}

func TestStream_BearsNonsense(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"?offset=-5&line=-1", "?offset=99999999999&line=3", "?offset=x&line=y", "?offset=9223372036854775808"} {
		s := setup(t)
		close(s.chunks)
		if events := parseStream(t, s.get(t, "/deployments/d09/stream"+query)); len(only(events, "end")) != 1 {
			t.Errorf("%s: %+v", query, events)
		}
	}
}

func TestLog_OfAnySizeIsShownFromItsEnd(t *testing.T) {
	t.Parallel()
	s := setup(t)
	var log strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&log, "line %06d of a long build\n", i+1)
	}
	s.logs["d06"] = log.String()
	page := s.get(t, "/deployments/d06").Body.String()
	for _, want := range []string{`<li id="L60000">`, "line 060000 of", "earlier lines are in the whole log"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(page, "line 000001 of") {
		t.Error("the page has all of it")
	}
	for _, n := range []int{25000, 59999} {
		if !strings.Contains(page, fmt.Sprintf(`<li id="L%d"><a href="#L%d" aria-label="Line %d">%d</a><span>line %06d of`, n, n, n, n, n)) {
			t.Errorf("line %d has another number", n)
		}
	}
	if got := s.get(t, "/deployments/d06/log").Body.String(); got != log.String() {
		t.Errorf("the whole log has %d bytes, want %d", len(got), log.Len())
	}
}

func TestLog_ColorsAndNothingElse(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.logs["d08"] = "\x1b[31mred\x1b[0m plain\nprogress 10%\rprogress 99%\r\n" + strings.Repeat("x", 40_000) + "\n\x1b[5Aup\n"
	page := s.get(t, "/deployments/d08").Body.String()
	for _, want := range []string{`<span class="term-fg31">red</span> plain</span>`, ">progress 99%</span>", "goes on in the whole log", ">up</span>"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in the log", want)
		}
	}
}

// The page was made while the log grew, and says so until its end.
func TestStream_TellsThePageThatTheLogIsWhole(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.logs["d09"] = "line 1\nline 2\n"
	if page := s.get(t, "/deployments/d09").Body.String(); !strings.Contains(page, "follows as it is written") {
		t.Fatal("the page does not say that the log grows")
	}
	go func() {
		s.chunks <- "line 3\n"
		close(s.chunks)
	}()
	events := parseStream(t, s.get(t, "/deployments/d09/stream?offset=14&line=3"))
	var states []string
	for _, e := range only(events, "part") {
		if strings.Contains(e.data, `id="log-state"`) {
			states = append(states, e.data)
		}
	}
	if len(states) != 1 || !strings.Contains(states[0], ">3 lines<") {
		t.Errorf("the end was told as %q", states)
	}
}
