package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// errEnded ends the copying of a stream that was told to end.
var errEnded = errors.New("the stream was ended")

// socket is the target's side of a WebSocket. What is read goes to the visitor,
// what is written comes from him; both are followed frame by frame, so that a
// close frame can be put between two: a torn frame would be worse than a cut.
type socket struct {
	io.ReadWriteCloser          // the target's connection
	conn               net.Conn // the same, for its deadlines

	ending  atomic.Bool
	down    frames        // to the visitor; only Read's goroutine
	tail    []byte        // of our close frame, still to be read
	said    bool          // our close frame is on its way to the visitor
	limit   time.Time     // for what is left to do after end; only Read's goroutine
	goodbye chan struct{} // closed when the visitor has said goodbye, or cannot any more
	bye     sync.Once

	mu   sync.Mutex // guards what follows and serialises writes
	up   frames     // from the visitor
	told bool       // our close frame went to the target
}

func newSocket(body io.ReadWriteCloser, conn net.Conn) *socket {
	return &socket{ReadWriteCloser: body, conn: conn, goodbye: make(chan struct{})}
}

// end implements ender.
func (s *socket) end() {
	if s.ending.Swap(true) {
		return
	}
	_ = s.conn.SetReadDeadline(time.Now()) // wakes a Read; one that fails later finds it
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell()
}

// tell sends the target our close frame if none is under way. The caller holds
// s.mu.
func (s *socket) tell() {
	if s.told || s.up.closed || !s.up.between() {
		return
	}
	s.told = true
	_ = s.conn.SetWriteDeadline(time.Now().Add(streamEnd))
	_, _ = s.ReadWriteCloser.Write(farewellFrame(true)) // the target may be gone
}

// Read implements io.Reader, for the visitor.
func (s *socket) Read(p []byte) (int, error) {
	for {
		if len(s.tail) > 0 {
			n := copy(p, s.tail)
			s.tail = s.tail[n:]
			return n, nil
		}
		if s.said {
			return 0, s.part(p)
		}
		ending := s.ending.Load()
		if ending && s.down.between() && !s.down.closed {
			s.say()
			continue
		}
		n, err := s.ReadWriteCloser.Read(p)
		if n > 0 {
			return s.pass(p[:n], ending || s.ending.Load()), nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, err
		}
		if !s.limit.IsZero() {
			return 0, errEnded // the frame did not come to its end
		}
		s.bound()
	}
}

// say puts our close frame on its way to the visitor.
func (s *socket) say() { s.said, s.tail = true, farewellFrame(false) }

// bound gives what is left to do a limit.
func (s *socket) bound() {
	s.limit = time.Now().Add(streamEnd)
	_ = s.conn.SetReadDeadline(s.limit) // a connection without deadline is closed
}

// pass returns how much of what was read goes to the visitor: all, or what is
// left of the frame after which we say goodbye.
func (s *socket) pass(data []byte, ending bool) int {
	if !ending || s.down.closed {
		s.down.all(data)
		return len(data)
	}
	n := s.down.next(data)
	if s.down.between() && !s.down.closed {
		s.say()
	}
	s.down.all(data[n:])
	return n
}

// part waits for both sides to say goodbye. What the target still sends is
// read, for an unread byte would make of our end a reset.
func (s *socket) part(p []byte) error {
	s.bound()
	for !s.down.closed {
		n, err := s.ReadWriteCloser.Read(p)
		s.down.all(p[:n])
		if err != nil {
			break
		}
	}
	timer := time.NewTimer(time.Until(s.limit))
	defer timer.Stop()
	select {
	case <-s.goodbye:
	case <-timer.C:
	}
	return errEnded
}

// Write implements io.Writer, for the target. Once the target was told that the
// visitor goes away, only the visitor's goodbye is looked for.
func (s *socket) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for rest := p; len(rest) > 0; {
		if s.ending.Load() {
			s.tell()
		}
		n := len(rest)
		if s.ending.Load() {
			n = s.up.next(rest)
		} else {
			s.up.all(rest)
		}
		if s.up.closed {
			s.partNow()
		}
		if !s.told {
			if _, err := s.ReadWriteCloser.Write(rest[:n]); err != nil {
				return len(p) - len(rest), err
			}
		}
		rest = rest[n:]
	}
	if s.ending.Load() {
		s.tell()
	}
	return len(p), nil
}

// CloseWrite is called when the visitor sends no more.
func (s *socket) CloseWrite() error {
	s.partNow()
	if half, ok := s.ReadWriteCloser.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errEnded
}

// Close implements io.Closer. It ends a Read.
func (s *socket) Close() error {
	s.partNow()
	return s.ReadWriteCloser.Close()
}

func (s *socket) partNow() { s.bye.Do(func() { close(s.goodbye) }) }

// tunnel is an upgraded connection of a protocol that we do not know: it can
// only be cut.
type tunnel struct{ io.ReadWriteCloser }

func (t *tunnel) end() { _ = t.Close() }

// CloseWrite is called when the visitor sends no more.
func (t *tunnel) CloseWrite() error {
	if half, ok := t.ReadWriteCloser.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errEnded
}
