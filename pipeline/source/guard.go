package source

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// guarded returns a reader of the same pack that fails as soon as the pack
// announces more or larger objects than allowed: a few kilobytes can unpack to
// gigabytes, and the indexer holds whole objects in memory. The returned
// function must be called; it ends the check and tells what it found.
func guarded(pack io.Reader, l Limits) (io.Reader, func() error) {
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := inspect(pr, l)
		// A pack that cannot be parsed is the indexer's to report.
		if errors.Is(err, ErrTooLarge) {
			pr.CloseWithError(err)
		} else {
			_, _ = io.Copy(io.Discard, pr)
			err = nil
		}
		done <- err
	}()
	return io.TeeReader(pack, pw), func() error {
		pw.Close()
		return <-done
	}
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
