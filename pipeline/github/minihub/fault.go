package minihub

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// Fault makes calls go wrong.
type Fault struct {
	Times int                      // how many calls; 0 is one
	Match func(*http.Request) bool // which calls; nil is any
	Apply bool                     // do what was asked first, then go wrong

	// What the caller gets: nothing until it gives up (Hang), a cut connection
	// (Drop), or an answer with this status and these headers.
	Hang   bool
	Drop   bool
	Status int
	Header http.Header
	Body   string // JSON; empty: GitHub's form with a message
}

// Inject lets the next matching calls meet the fault. Faults that were injected
// first come first.
func (h *Hub) Inject(f Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.Times = max(f.Times, 1)
	h.faults = append(h.faults, &f)
}

// FailNext answers the next calls with a status, without doing anything.
func (h *Hub) FailNext(times, status int) { h.Inject(Fault{Times: times, Status: status}) }

// LimitNext answers the next calls as GitHub does above a rate limit: 429 or
// 403, with the seconds to wait.
func (h *Hub) LimitNext(times, status int, wait time.Duration) {
	h.Inject(Fault{
		Times: times, Status: status,
		Header: http.Header{"Retry-After": {strconv.Itoa(int(wait / time.Second))}},
		Body:   `{"message":"You have exceeded a secondary rate limit.","documentation_url":"https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}`,
	})
}

// LoseAnswers does what the next writing calls ask for and never answers them.
func (h *Hub) LoseAnswers(times int) {
	h.Inject(Fault{Times: times, Apply: true, Hang: true, Match: func(r *http.Request) bool {
		return r.Method == http.MethodPost || r.Method == http.MethodPatch
	}})
}

// SetDown answers everything with 503 until it is called with false.
func (h *Hub) SetDown(down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down = down
}

func (f *Fault) answer(w http.ResponseWriter, r *http.Request, hub http.Handler) {
	if f.Apply {
		hub.ServeHTTP(&unheard{header: http.Header{}}, r)
	} else {
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 1<<20)) // so that the connection can be used on
	}
	switch {
	case f.Hang:
		<-r.Context().Done()
	case f.Drop:
		panic(http.ErrAbortHandler)
	default:
		for name, values := range f.Header {
			w.Header()[http.CanonicalHeaderKey(name)] = values
		}
		if f.Body == "" {
			refuse(w, f.Status, http.StatusText(f.Status))
			return
		}
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(f.Status)
		_, _ = io.WriteString(w, f.Body) // the caller may be gone
	}
}

// unheard is an answer that nobody gets.
type unheard struct{ header http.Header }

func (u *unheard) Header() http.Header         { return u.header }
func (u *unheard) Write(p []byte) (int, error) { return len(p), nil }
func (u *unheard) WriteHeader(int)             {}
