package proxy

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"sync"
	"time"
)

// streamEnd bounds how long a stream that was told to end may take: for the
// message it is in the middle of, and for the visitor's goodbye.
const streamEnd = 2 * time.Second

// ender is a stream that can be ended between two messages. It returns at
// once, may be called more than once, and after the stream has ended.
type ender interface{ end() }

// streamSet has the streams of one deployment.
type streamSet struct {
	mu    sync.Mutex
	open  map[ender]*time.Timer // nil until it is to end
	until time.Time             // zero: they are not to end
}

// opened adds a stream. One that comes when all are to end, ends with them.
func (s *streamSet) opened(e ender) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[ender]*time.Timer{}
	}
	s.open[e] = nil
	if !s.until.IsZero() {
		s.open[e] = endWithin(e, time.Until(s.until))
	}
}

func (s *streamSet) closed(e ender) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.open[e]; t != nil {
		t.Stop()
	}
	delete(s.open, e)
}

// endAll ends each at a moment of its own, so that their visitors do not all
// come back at once. It returns how many there are.
func (s *streamSet) endAll(by time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	sooner := s.until.IsZero() || by.Before(s.until)
	if sooner {
		s.until = by
	}
	for e, t := range s.open {
		if t != nil && (!sooner || !t.Stop()) {
			continue
		}
		s.open[e] = endWithin(e, time.Until(by))
	}
	return len(s.open)
}

// keep takes back endAll for those that have not ended.
func (s *streamSet) keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = time.Time{}
	for e, t := range s.open {
		if t != nil && t.Stop() {
			s.open[e] = nil
		}
	}
}

func endWithin(e ender, d time.Duration) *time.Timer {
	if d > 0 {
		d = rand.N(d) //nolint:gosec // when, not a secret
	}
	return time.AfterFunc(max(0, d), e.end)
}

// EndStreams implements pipeline.Targets: it closes the WebSockets and event
// streams on the deployment's targets, each at a random moment until by and
// between two messages: a WebSocket with a close frame 1001 (RFC 6455, 7.4.1),
// an event stream with the proper end of the answer. Streams that open later
// end as well. Requests of other kinds are left alone. Swinging back to the
// deployment calls off what has not ended.
func (p *Proxy) EndStreams(_ context.Context, deployment string, by time.Time) (int, error) {
	if err := p.hands.from.endStreams(deployment, by); err != nil {
		return 0, fmt.Errorf("end streams in the process that was taken over: %w", err)
	}
	p.changes.Lock()
	defer p.changes.Unlock()
	t := p.traffic[deployment]
	if t == nil {
		return 0, nil
	}
	return t.streams.endAll(by), nil
}

// eventStream reports whether the answer is one that ends only when somebody
// ends it (https://html.spec.whatwg.org/#server-sent-events).
func eventStream(h http.Header) bool {
	kind := h.Get("Content-Type")
	if len(kind) < len("text/event-stream") {
		return false
	}
	media, _, err := mime.ParseMediaType(kind)
	return err == nil && media == "text/event-stream"
}

// events is the body of an event stream.
type events struct {
	io.ReadCloser

	encoded bool

	mu      sync.Mutex
	between bool // the last byte passed on ended an event
	ending  bool
	last    byte
	limit   *time.Timer
}

// newEvents watches the answer's body. Where it is encoded, nobody can see
// where an event ends.
func newEvents(resp *http.Response) *events {
	return &events{ReadCloser: resp.Body, between: true, encoded: resp.Header.Get("Content-Encoding") != ""}
}

// Read implements io.Reader. After end it is over when an event is; what a
// visitor got of an event that never ended, he does not use.
func (e *events) Read(p []byte) (int, error) {
	if e.over() {
		return 0, io.EOF
	}
	n, err := e.ReadCloser.Read(p)
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.encoded {
		e.saw(p[:n])
	}
	if err != nil && e.ending {
		err = io.EOF // the read was cut short by end
	}
	return n, err
}

func (e *events) over() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ending && e.between
}

// saw notes whether the data ends with an empty line, which ends an event.
func (e *events) saw(data []byte) {
	if longest := len("\r\n\r\n"); len(data) > longest {
		data, e.last, e.between = data[len(data)-longest:], 0, false
	}
	for _, b := range data {
		switch {
		case b == '\n' && e.last == '\r': // both are one end of a line
		case b == '\n' || b == '\r':
			e.between = e.last == '\n' || e.last == '\r'
		default:
			e.between = false
		}
		e.last = b
	}
}

// end implements ender.
func (e *events) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ending {
		return
	}
	e.ending = true
	if e.between {
		_ = e.ReadCloser.Close() // wakes a Read; that is all it is for
		return
	}
	e.limit = time.AfterFunc(streamEnd, func() { _ = e.ReadCloser.Close() })
}

// Close implements io.Closer.
func (e *events) Close() error {
	e.mu.Lock()
	if e.limit != nil {
		e.limit.Stop()
	}
	e.mu.Unlock()
	return e.ReadCloser.Close()
}
