package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestExpectation_FindsTheOldColorAfterTheSwap(t *testing.T) {
	t.Parallel()
	x := expectation{color: [2]string{"blue", "green"}}
	if sent := x.now(); !x.holds(sent, "blue") || x.holds(sent, "green") {
		t.Error("before the swap only blue is right")
	}
	sent := x.now()
	x.turn.Add(1)
	if !x.holds(sent, "green") || !x.holds(x.now(), "blue") || x.holds(x.now(), "502") {
		t.Error("during the swap both colors are right, and nothing else")
	}
	x.turn.Add(1)
	if sent := x.now(); x.holds(sent, "blue") || !x.holds(sent, "green") {
		t.Error("after the swap only green is right")
	}
}

func TestRaw_HidesNoFailure(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 2 {
			panic(http.ErrAbortHandler)
		}
	}))
	defer server.Close()
	r := raw{address: strings.TrimPrefix(server.URL, "http://")}
	defer r.close()
	for i, fails := range []bool{false, true, false} {
		if _, _, err := r.ask(t.Context(), get("bench")); (err != nil) != fails {
			t.Errorf("request %d: %v", i, err)
		}
	}
}

func TestLoad_RefusesAPhaseWithTooFewRequests(t *testing.T) {
	t.Parallel()
	l := &load{samples: map[int32][]float64{}}
	l.note(0, time.Second, nil) // of no phase
	for range 500 {
		l.note(1, 2*time.Millisecond, nil)
	}
	if got, err := l.p99(1); err != nil || got != 2 {
		t.Errorf("p99 %v, %v", got, err)
	}
	if _, err := l.p99(2); err == nil {
		t.Error("a phase without requests has a p99")
	}
}
