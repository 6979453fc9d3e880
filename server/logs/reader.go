package logs

import (
	"errors"
	"io"
)

// reader masks what it reads. As its masker, it holds back the end of what it
// has read where that may be the beginning of a secret.
type reader struct {
	from   io.ReadCloser
	masker *masker
	buf    []byte // to read into
	ready  []byte // masked, and not yet taken
	err    error  // that from ended with
}

// Masked reads from, with the values of the secrets masked as they are in the
// log of a deployment, wherever the pieces in which it comes are divided. A
// stream that breaks shows nothing of what may be the beginning of a secret.
// Closing it closes from.
func Masked(from io.ReadCloser, secrets []string) io.ReadCloser {
	return &reader{from: from, masker: newMasker(secrets), buf: make([]byte, 32<<10)}
}

func (r *reader) Read(p []byte) (int, error) {
	for len(r.ready) == 0 && r.err == nil {
		n, err := r.from.Read(r.buf)
		r.ready, r.err = r.masker.mask(r.buf[:n]), err
		if errors.Is(err, io.EOF) {
			r.ready = append(r.ready, r.masker.flush()...)
		}
	}
	if len(r.ready) == 0 && len(p) > 0 {
		return 0, r.err
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

func (r *reader) Close() error { return r.from.Close() }
