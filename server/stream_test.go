package server_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/swingbridge/swingbridge/pipeline"
)

// sent is an event as a reader by the specification gets it.
type sent struct{ name, id, data string }

// parseEvents reads a stream as the HTML specification says: lines end with CR,
// LF or both, one space after the colon goes, data lines are joined.
func parseEvents(stream string) []sent {
	var out []sent
	var e sent
	hasData := false
	stream = strings.ReplaceAll(strings.ReplaceAll(stream, "\r\n", "\n"), "\r", "\n")
	for line := range strings.Lines(stream) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			if hasData {
				e.data = strings.TrimSuffix(e.data, "\n")
				out = append(out, e)
			}
			e, hasData = sent{id: e.id}, false
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "data":
			e.data, hasData = e.data+value+"\n", true
		case "id":
			e.id = value
		case "event":
			e.name = value
		}
	}
	return out
}

// noise is a log as builds write it, and worse.
func noise(r *rand.Rand) string {
	parts := []string{"\n", "\n\n", "\r\n", "\r", "step 3\n", " leading", "data: x\n", "id: 7\n", ":", "event: end\n",
		"ä", "日本", "🎈", "e\u0301", "\x00", "\xff", "\xf0\x9f", "\ufeff", "\x1b[31m", "tail ", strings.Repeat("long", 9000)}
	var b strings.Builder
	for range r.IntN(40) {
		b.WriteString(parts[r.IntN(len(parts))])
	}
	return b.String()
}

func (w *world) follow(t *testing.T, id, query, last string) []sent {
	t.Helper()
	header := map[string]string{"Accept": "text/event-stream"}
	if last != "" {
		header["Last-Event-ID"] = last
	}
	got := w.do(t, request{method: "GET", path: "/api/v1/deployments/" + id + "/log" + query, token: "viewer", header: header})
	if got.Code != http.StatusOK {
		t.Fatalf("status %d: %s", got.Code, got.Body)
	}
	return parseEvents(got.Body.String())
}

func (w *world) text(t *testing.T, id string, offset int64) string {
	t.Helper()
	path := fmt.Sprintf("/api/v1/deployments/%s/log?offset=%d", id, offset)
	return w.do(t, request{method: "GET", path: path, token: "viewer"}).Body.String()
}

func TestLog_AnySplitAndAnyResumeGiveTheSameText(t *testing.T) {
	t.Parallel()
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := setup(t)
		raw := noise(r)
		w.files.change("d2", raw, true)
		most := 1 + r.IntN(50)
		w.files.piece = func(n int) int { return min(n, 1+r.IntN(most)+r.IntN(2)*r.IntN(40000)) }
		whole := w.text(t, "d2", 0)
		if len(whole) != len(raw) || strings.ReplaceAll(raw, "\r", "\n") != whole {
			t.Fatalf("seed %d: the text is not the log's", seed)
		}
		offset := int64(r.IntN(len(raw) + 1))
		var got strings.Builder
		query, last := fmt.Sprintf("?offset=%d", offset), ""
		for ended := false; !ended; {
			// The connection breaks after some events; the next one goes on.
			keep := 1 + r.IntN(30)
			for _, e := range w.follow(t, "d2", query, last) {
				if keep--; keep < 0 {
					break
				}
				if last = e.id; e.name == "end" {
					ended = true
					continue
				}
				got.WriteString(e.data)
				if at := strconv.FormatInt(offset+int64(got.Len()), 10); e.id != at {
					t.Fatalf("seed %d: id %s, want the offset after the data, %s", seed, e.id, at)
				}
			}
		}
		if want := whole[offset:]; got.String() != want {
			t.Fatalf("seed %d from %d: got\n%q, want\n%q", seed, offset, got.String(), want)
		}
		if last != strconv.Itoa(len(raw)) {
			t.Errorf("seed %d: the end has id %s, want %d", seed, last, len(raw))
		}
	}
}

func TestLog_NoEventHasHalfACharacter(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("ä日🎈\n", 5000)
	for size := 1; size < 8; size++ {
		w := setup(t)
		w.files.change("d2", text, true)
		w.files.piece = func(n int) int { return min(n, size*max(1, n%size*9000)) }
		var got strings.Builder
		for _, e := range w.follow(t, "d2", "", "") {
			if !utf8.ValidString(e.data) {
				t.Fatalf("pieces of %d: event %q splits a character", size, e.data[max(0, len(e.data)-8):])
			}
			got.WriteString(e.data)
		}
		if got.String() != text {
			t.Errorf("pieces of %d: the text changed", size)
		}
	}
}

func TestLog_LastEventIDWinsOverOffset(t *testing.T) {
	t.Parallel()
	w := setup(t)
	events := w.follow(t, "d1", "?offset=0", "6")
	if len(events) != 2 || events[0].data != "build äöü\nlive\n" || events[1] != (sent{"end", "24", ""}) {
		t.Errorf("events are %q", events)
	}
	if past := w.follow(t, "d1", "", "9999"); len(past) != 1 || past[0] != (sent{"end", "24", ""}) {
		t.Errorf("events past the end are %q", past)
	}
	got := w.do(t, request{
		method: "GET", path: "/api/v1/deployments/d1/log", token: "viewer",
		header: map[string]string{"Accept": "text/event-stream", "Last-Event-ID": "x"},
	})
	if got.Code != http.StatusUnprocessableEntity {
		t.Errorf("a Last-Event-ID that is no offset: %d, want 422", got.Code)
	}
}

// open starts a stream over a real connection.
func open(t *testing.T, url, path string) (*bufio.Reader, *http.Response) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer viewer")
	r.Header.Set("Accept", "text/event-stream")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	if got := answer.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/event-stream") {
		t.Fatalf("content type %q, status %d", got, answer.StatusCode)
	}
	return bufio.NewReader(answer.Body), answer
}

// next reads one event, or all that is left.
func next(t *testing.T, in *bufio.Reader) []sent {
	t.Helper()
	var block bytes.Buffer
	for {
		line, err := in.ReadString('\n')
		block.WriteString(line)
		if events := parseEvents(block.String()); err != nil || len(events) > 0 {
			return events
		}
	}
}

func TestLog_IsFollowedWhileItGrows(t *testing.T) {
	t.Parallel()
	w := setup(t)
	in, _ := open(t, w.serve(t, nil).URL, "/api/v1/deployments/d2/log")
	w.files.change("d2", "no line", false)
	if got := next(t, in); len(got) != 1 || got[0] != (sent{"", "7", "no line"}) {
		t.Fatalf("first event is %q", got)
	}
	w.files.change("d2", " end\nnext\n", false)
	if got := next(t, in); len(got) != 1 || got[0] != (sent{"", "17", " end\nnext\n"}) {
		t.Fatalf("second event is %q", got)
	}
	w.files.change("d2", "", true)
	if got := next(t, in); len(got) != 1 || got[0].name != "end" {
		t.Fatalf("last event is %q", got)
	}
}

func TestLog_EndsForDeploymentsThatNeverRan(t *testing.T) {
	t.Parallel()
	w := setup(t)
	in, _ := open(t, w.serve(t, nil).URL, "/api/v1/deployments/d3/log")
	if _, err := w.memory.move("d3", pipeline.Superseded); err != nil {
		t.Fatal(err)
	}
	w.bus.publish(event{Kind: "deployment", Deployment: "d3", State: "superseded"})
	if got := next(t, in); len(got) != 1 || got[0] != (sent{"end", "0", ""}) {
		t.Fatalf("event is %q", got)
	}
	if got := w.follow(t, "d3", "", ""); len(got) != 1 || got[0].name != "end" {
		t.Errorf("followed afterwards: %q", got)
	}
}

func TestEvents_NothingIsMissedOnceConnected(t *testing.T) {
	t.Parallel()
	w := setup(t)
	in, _ := open(t, w.serve(t, nil).URL, "/api/v1/events")
	w.bus.publish(event{Kind: "deployment", App: "a1", Deployment: "d1", State: "live", At: w.memory.now()})
	w.bus.publish(event{Kind: "app", App: "a1", At: w.memory.now()})
	want := `{"id":1,"kind":"deployment","app":"shop","deployment":"d1","state":"live","at":"2026-03-01T11:00:00.005Z"}`
	if got := next(t, in); len(got) != 1 || got[0] != (sent{"", "1", want}) {
		t.Errorf("first event is %q", got)
	}
	if got := next(t, in); len(got) != 1 || got[0].id != "2" {
		t.Errorf("second event is %q", got)
	}
}

func TestServiceLog_FollowEndsWithTheClient(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s := w.serve(t, nil) // its Close waits for the handler
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/v1/apps/shop/services/web/log?follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer viewer")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 3)
	if _, err := answer.Body.Read(got); err != nil || string(got) != "web" {
		t.Fatalf("read %q, %v", got, err)
	}
	cancel()
	_ = answer.Body.Close()
}
