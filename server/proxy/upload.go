package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
)

// upload is a request's body on its way to a target. It remembers why reading
// it failed: that is the visitor's doing, and no target's.
type upload struct {
	io.ReadCloser
	failed atomic.Pointer[error]
}

// Read implements io.Reader.
func (u *upload) Read(b []byte) (int, error) {
	n, err := u.ReadCloser.Read(b)
	if err != nil && err != io.EOF {
		u.failed.CompareAndSwap(nil, &err)
	}
	return n, err
}

// bound limits the request's body to what its app takes. It reports false where
// the request says already that it is longer; one that does not say is ended
// where it goes over the limit.
func (v *visit) bound(w http.ResponseWriter, r *http.Request) bool {
	if r.ProtoMajor == 3 && r.ContentLength < 0 && safe(r.Method) {
		look(r)
	}
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return true
	}
	limit := v.route.entry.Front.MaxBody
	if limit > 0 {
		if r.ContentLength > limit {
			return false
		}
		r.Body = http.MaxBytesReader(w, r.Body, limit)
	}
	v.upload = &upload{ReadCloser: r.Body}
	r.Body = v.upload
	return true
}

// look finds out whether the request has a body at all: of one over HTTP/3 that
// does not say how long it is, nobody knows, and one with a body cannot be sent
// again.
func look(r *http.Request) {
	var first [1]byte
	n, err := r.Body.Read(first[:])
	if n == 0 && err == io.EOF {
		r.Body, r.ContentLength = http.NoBody, 0
		return
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(first[:n]), r.Body), r.Body}
}

// fault returns why the visitor's part of the request failed, nil if it did not.
func (v *visit) fault() error {
	if v.upload == nil {
		return nil
	}
	if err := v.upload.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// faulty makes the page for a request whose body could not be read.
func (v *visit) faulty() *page {
	err := v.fault()
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return tooLarge(v.host, long.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &page{status: http.StatusRequestTimeout, title: "Too slow", text: "The request did not go on for a long time. Send it again."}
	}
	return left()
}

func tooLarge(host string, limit int64) *page {
	return &page{status: http.StatusRequestEntityTooLarge, title: "Too large",
		text: fmt.Sprintf("The app behind %s takes at most %d bytes in one request.", host, limit)}
}
