package api

import (
	"bytes"
	"context"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

// stream writes server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
type stream struct {
	w   http.ResponseWriter
	out *http.ResponseController
	buf bytes.Buffer
}

// wantsStream reports whether the client asked for events.
func wantsStream(r *http.Request) bool {
	return strings.Contains(strings.ToLower(r.Header.Get("Accept")), "text/event-stream")
}

// openStream sends the head of the answer at once, so that a client knows that
// it is connected before anything happens.
func openStream(w http.ResponseWriter) (*stream, error) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx in between would hold events back
	w.WriteHeader(http.StatusOK)
	s := &stream{w: w, out: http.NewResponseController(w)}
	return s, s.out.Flush()
}

// send writes one event: a data field for each line of data, so that a reader
// who joins them with line feeds has data unchanged.
func (s *stream) send(event, id string, data []byte) error {
	s.buf.Reset()
	if event != "" {
		s.buf.WriteString("event: " + event + "\n")
	}
	s.buf.WriteString("id: " + id + "\n")
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		s.buf.WriteString("data: ")
		s.buf.Write(line)
		s.buf.WriteByte('\n')
	}
	s.buf.WriteByte('\n')
	return s.flush()
}

// beat writes a comment, so that whatever is in between keeps the connection
// and a client that is gone is noticed.
func (s *stream) beat() error {
	s.buf.Reset()
	s.buf.WriteString(":\n\n")
	return s.flush()
}

func (s *stream) flush() error {
	if _, err := s.w.Write(s.buf.Bytes()); err != nil {
		return err
	}
	return s.out.Flush()
}

// logText sends a log as events. A character is never split between two of
// them: a browser decodes each on its own.
type logText struct {
	to   *stream
	sent int64  // offset after what was sent
	held []byte // beginning of a character whose rest is not there yet
}

// maxEvent bounds the data of one event, in bytes.
const maxEvent = 32 << 10

func (l *logText) add(data []byte) error {
	data = append(l.held, data...)
	for len(data) > maxEvent {
		piece, _ := cutRune(data[:maxEvent])
		if err := l.send(piece); err != nil {
			return err
		}
		data = data[len(piece):]
	}
	whole, rest := cutRune(data)
	l.held = bytes.Clone(rest)
	return l.send(whole)
}

// end sends what was held back, for nothing follows, and the closing event.
func (l *logText) end() error {
	if err := l.send(l.held); err != nil {
		return err
	}
	l.held = nil
	return l.to.send("end", strconv.FormatInt(l.sent, 10), nil)
}

func (l *logText) send(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	l.sent += int64(len(data))
	return l.to.send("", strconv.FormatInt(l.sent, 10), lines(data))
}

// cutRune cuts off the beginning of a character that data ends with.
func cutRune(data []byte) (whole, rest []byte) {
	for i := len(data) - 1; i >= 0 && i > len(data)-utf8.UTFMax; i-- {
		if utf8.RuneStart(data[i]) {
			if !utf8.FullRune(data[i:]) {
				return data[:i], data[i:]
			}
			break
		}
	}
	return data, nil
}

// lines gives carriage returns as line feeds. An event stream cannot carry a
// carriage return; one byte for one byte keeps every offset, and the call for
// plain text does the same, so that both tell the same text.
func lines(data []byte) []byte { return bytes.ReplaceAll(data, []byte("\r"), []byte("\n")) }

// pump makes a channel of a sequence, which a select needs. stop ends the
// sequence and waits for it.
func pump[T any](ctx context.Context, open func(ctx context.Context) iter.Seq[T]) (values <-chan T, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	out, done := make(chan T), make(chan struct{})
	seq := open(ctx)
	go func() {
		defer close(done)
		defer close(out)
		for value := range seq {
			select {
			case out <- value:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, func() {
		cancel()
		<-done
	}
}
