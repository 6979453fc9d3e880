package source

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// guard hands a pack on after it was looked at. A few kilobytes can announce
// gigabytes, and the indexer allocates what is announced: the number of objects
// at once, then each object whole. So nothing reaches it that was not seen to
// be within the limits.
type guard struct {
	src  io.Reader
	in   *io.PipeWriter // to the inspection
	done chan struct{}  // closed when it ended
	err  error          // an ErrTooLarge that it found; read after done

	ready []byte // inspected
	held  []byte // given to the inspection, which may not be through with it
	spare []byte
	end   error // of src
}

// newGuard starts the inspection of a pack; stop ends it.
func newGuard(pack io.Reader, l Limits) *guard {
	pr, pw := io.Pipe()
	g := &guard{src: pack, in: pw, done: make(chan struct{})}
	go func() {
		defer close(g.done)
		err := inspect(pr, l)
		if errors.Is(err, ErrTooLarge) {
			g.err = err
			pr.CloseWithError(err)
			return
		}
		// A pack that cannot be parsed is the indexer's to report.
		_, _ = io.Copy(io.Discard, pr)
	}()
	return g
}

// stop waits for the inspection and tells what it found.
func (g *guard) stop() error {
	g.in.Close()
	<-g.done
	return g.err
}

// Read implements io.Reader. That the inspection took a chunk says that it is
// through with the one before it.
func (g *guard) Read(p []byte) (int, error) {
	for len(g.ready) == 0 {
		if g.end != nil {
			return 0, g.end
		}
		next := g.spare
		if next == nil {
			next = make([]byte, 32<<10)
		}
		n, err := g.src.Read(next[:cap(next)])
		if _, werr := g.in.Write(next[:n]); werr != nil {
			g.end, g.held = werr, nil
			continue
		}
		if n > 0 {
			g.ready, g.held, g.spare = g.held, next[:n], g.held
		}
		if err != nil {
			g.end = err
			if large := g.stop(); large != nil {
				g.ready, g.end = nil, large
				continue
			}
			g.ready = append(g.ready[:len(g.ready):len(g.ready)], g.held...)
		}
	}
	n := copy(p, g.ready)
	g.ready = g.ready[n:]
	return n, nil
}

// largeError is an ErrTooLarge with its reason.
type largeError struct{ what string }

func (e *largeError) Error() string { return e.what }
func (e *largeError) Unwrap() error { return ErrTooLarge }

func inspect(pack io.Reader, l Limits) error {
	s := packfile.NewScanner(pack)
	_, count, err := s.Header()
	if err != nil {
		return err
	}
	if int64(count) > l.Objects {
		return &largeError{fmt.Sprintf("%d new objects are more than the %d allowed", count, l.Objects)}
	}
	for range count {
		h, err := s.NextObjectHeader()
		if err != nil {
			return err
		}
		if h.Length > l.Object {
			return tooLarge(h.Length, l)
		}
		if h.Type != plumbing.OFSDeltaObject && h.Type != plumbing.REFDeltaObject {
			continue // the scanner skips its content
		}
		var first prefix
		if _, _, err := s.NextObject(&first); err != nil {
			return err
		}
		if size := first.target(); size > uint64(l.Object) {
			return tooLarge(int64(min(size, 1<<62)), l)
		}
	}
	return nil
}

func tooLarge(size int64, l Limits) error {
	return &largeError{fmt.Sprintf("an object of %d bytes is larger than the %d allowed", size, l.Object)}
}

// prefix keeps the first bytes of a delta: two numbers, the sizes of what it
// starts from and of what it makes.
type prefix struct {
	b [2 * binary.MaxVarintLen64]byte
	n int
}

func (p *prefix) Write(b []byte) (int, error) {
	p.n += copy(p.b[p.n:], b)
	return len(b), nil
}

func (p *prefix) target() uint64 {
	_, n := binary.Uvarint(p.b[:p.n])
	if n <= 0 {
		return 0
	}
	size, _ := binary.Uvarint(p.b[n:p.n])
	return size
}
