package proxy

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// eventsOf reads an event stream to its end.
func eventsOf(t *testing.T, c *http.Client, url string, each func(line string)) error {
	t.Helper()
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		each(lines.Text())
	}
	return lines.Err()
}

func TestEndStreams_EndsEventStreamsAsIfTheAppHad(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Options){"HTTP/1.1": func(*Options) {}, "HTTP/2": withTLS} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := setup(t, change)
			swing(t, p, entryOf("a", "events.example", newBackend(t, "d1")))
			c, url := visitor(t, p), "http://events.example/events"
			if p.https != nil {
				url = "https://events.example/events"
				c.Transport.(*http.Transport).ForceAttemptHTTP2 = true
			}
			err := eventsOf(t, c, url, func(line string) {
				if line != "data: d1" {
					return
				}
				if n, err := p.EndStreams(t.Context(), "d1", time.Now()); n != 1 || err != nil {
					t.Errorf("%d streams, %v", n, err)
				}
			})
			if err != nil {
				t.Errorf("the stream was cut: %v", err)
			}
			until(t, "nothing in flight", func() bool { return inflight(t, p, "d1") == 0 })
		})
	}
}

func TestEndStreams_LetsAnEventComeToItsEnd(t *testing.T) {
	t.Parallel()
	p := setup(t)
	half, rest := make(chan struct{}), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		fmt.Fprint(w, "data: one\r\n\r\ndata: tw")
		_ = http.NewResponseController(w).Flush()
		<-half
		<-rest
		fmt.Fprint(w, "o\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	e := entryOf("a", "a.example")
	e.Paths[0].Targets = []netip.AddrPort{netip.MustParseAddrPort(s.Listener.Addr().String())}
	swing(t, p, e)
	var got []string
	err := eventsOf(t, visitor(t, p), "http://a.example/", func(line string) {
		if got = append(got, line); line == "data: one" {
			close(half)
			if n, err := p.EndStreams(t.Context(), e.Deployment, time.Now()); n != 1 || err != nil {
				t.Errorf("%d streams, %v", n, err)
			}
			close(rest)
		}
	})
	if want := "data: one||data: two|"; err != nil || strings.Join(got, "|") != want {
		t.Errorf("%q %v, want %q", got, err, want)
	}
}

func TestEndStreams_LeavesSlowRequestsAlone(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := newBackend(t, "d1")
	swing(t, p, entryOf("a", "a.example", b))
	answer := make(chan answerOf, 1)
	go func() { answer <- get(t, visitor(t, p), "http://a.example/held") }()
	<-b.got
	if n, err := p.EndStreams(t.Context(), "d1", time.Now()); n != 0 || err != nil {
		t.Errorf("%d streams, %v", n, err)
	}
	close(b.hold)
	if got := <-answer; got.Body != "d1" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
}
