package server

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// Check says whether a part that the server works with answers.
type Check struct {
	Name   string // database, docker, proxy, github
	Needed bool   // without it the server is not ready
	// Every is how long an answer is taken for the present one; 0 is a second.
	// Anyone may ask, so this bounds what asking costs.
	Every time.Duration
	Check func(ctx context.Context) error
}

// checkTime is how long a part may take to answer.
const checkTime = 3 * time.Second

// part is a check with its last answer.
type part struct {
	Check
	now func() time.Time

	mu    sync.Mutex
	asked time.Time
	last  partState
}

// partState is what readyz says about a part.
type partState struct {
	OK      bool   `json:"ok"`
	Needed  bool   `json:"needed"`
	Message string `json:"message,omitempty"`
}

// state asks the part, or repeats what it said a moment ago.
func (p *part) state(ctx context.Context) partState {
	p.mu.Lock()
	defer p.mu.Unlock()
	every := p.Every
	if every <= 0 {
		every = time.Second
	}
	if !p.asked.IsZero() && p.now().Sub(p.asked) < every {
		return p.last
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	p.last = partState{OK: true, Needed: p.Needed}
	if err := p.Check.Check(ctx); err != nil {
		p.last.OK, p.last.Message = false, err.Error()
	}
	p.asked = p.now()
	return p.last
}

// healthz says that the process answers.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // the client may be gone: nobody is left to tell
}

// readyz says which parts answer, each under its name, and whether those that
// are needed do.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	// Not the request's own end: the next one gets the same answers.
	ctx := context.WithoutCancel(r.Context())
	states := make([]partState, len(s.parts))
	var asking sync.WaitGroup
	for i, p := range s.parts {
		asking.Go(func() { states[i] = p.state(ctx) })
	}
	asking.Wait()
	ready, body := !s.streams.ended(), map[string]any{}
	for i, p := range s.parts {
		body[p.Name] = states[i]
		ready = ready && (states[i].OK || !p.Needed)
	}
	body["ready"] = ready
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // booleans and strings always marshal
	}
	w.Header().Set("Content-Type", "application/json")
	if !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(append(text, '\n')) // the client may be gone: nobody is left to tell
}
