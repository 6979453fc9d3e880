package webhook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// small is what every request may send before its signature is known, in
	// bytes. Nearly all deliveries are smaller, so that however many strangers
	// send large bodies slowly, those still come through.
	small = 1 << 20
	// largeBodies is how many bodies of the full limit may be in memory at once.
	largeBodies = 8
	// bodyTimeout is how long a body may take to arrive.
	bodyTimeout = 30 * time.Second
)

var errBusy = errors.New("too many large bodies at once")

// read returns the whole body. What goes beyond small is taken out of a budget
// that all requests share, and given back when it was read or refused: the
// budget bounds what unsigned requests can hold while they trickle in.
func (h *handler) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(bodyTimeout)); err == nil {
		defer control.SetReadDeadline(time.Time{}) //nolint:errcheck // the next request sets its own
	}
	rest := http.MaxBytesReader(w, r.Body, h.Limit)
	var body bytes.Buffer
	if r.ContentLength > 0 { // believed as far as it costs nothing
		body.Grow(int(min(r.ContentLength, 64<<10)) + bytes.MinRead)
	}
	n, err := io.CopyN(&body, rest, small)
	if errors.Is(err, io.EOF) {
		return body.Bytes(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	need := h.Limit - n
	if r.ContentLength >= 0 {
		need = r.ContentLength - n
	}
	if need > 0 {
		if !h.large.take(need) {
			return nil, errBusy
		}
		defer h.large.give(need)
	}
	if _, err := io.Copy(&body, rest); err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	return body.Bytes(), nil
}

// discardLimit bounds what is read only to be thrown away.
const discardLimit = 64 << 20

// discard reads what is left of a refused body, within bounds: a client that
// is still sending when the connection closes never sees the answer. One that
// waits to be told to go on is told the answer instead.
func discard(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.ContentLength > discardLimit || r.Header.Get("Expect") != "" {
		return
	}
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil {
		return // a server that cannot bound the time does not wait
	}
	_, _ = io.CopyN(io.Discard, r.Body, discardLimit) // its end is all that is wanted
	_ = control.SetReadDeadline(time.Time{})          // the next request sets its own
}

// budget is a number of bytes that may be held at once.
type budget struct{ left atomic.Int64 }

func newBudget(bytes int64) *budget {
	b := &budget{}
	b.left.Store(bytes)
	return b
}

func (b *budget) take(n int64) bool {
	if b.left.Add(-n) >= 0 {
		return true
	}
	b.left.Add(n)
	return false
}

func (b *budget) give(n int64) { b.left.Add(n) }
