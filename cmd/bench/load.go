package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/swingbridge/swingbridge/cmd/bench/figure"
)

// raw is a connection that hides nothing: no retry, no second connection, an
// error is an error.
type raw struct {
	address string
	conn    net.Conn
	in      *bufio.Reader
}

// ask sends a whole request and reads a whole answer.
func (r *raw) ask(ctx context.Context, request []byte) (status int, body string, err error) {
	if r.conn == nil {
		dialer := net.Dialer{Timeout: 5 * time.Second}
		if r.conn, err = dialer.DialContext(ctx, "tcp", r.address); err != nil {
			return 0, "", err
		}
		r.in = bufio.NewReader(r.conn)
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if err := r.conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return 0, "", err
	}
	if _, err := r.conn.Write(request); err != nil {
		return 0, "", err
	}
	resp, err := http.ReadResponse(r.in, nil)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }() // read to its end below
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

func (r *raw) close() {
	if r.conn != nil {
		_ = r.conn.Close() // nothing is lost with it
		r.conn = nil
	}
}

func get(host string) []byte {
	return []byte("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
}

// load sends requests at a fixed rate over connections that stay open. Times
// count from when a request was due, so that a stall is seen in all requests
// that it held up.
type load struct {
	address, host string
	every         time.Duration // between two requests of all connections together
	connections   int

	phase atomic.Int32 // samples are kept by phase; 0 keeps none
	right expectation

	mu      sync.Mutex
	samples map[int32][]float64 // ms
	failed  []string
}

// expectation is what answers must say. It is odd while that changes, and then
// both are right.
type expectation struct {
	turn  atomic.Uint64
	color [2]string
}

func (x *expectation) now() uint64 { return x.turn.Load() }

// holds reports whether an answer is right for a request that was sent at the
// given turn.
func (x *expectation) holds(sent uint64, body string) bool {
	if sent%2 == 1 || x.turn.Load() != sent {
		return body == x.color[0] || body == x.color[1]
	}
	return body == x.color[sent/2%2]
}

// run sends until ctx ends and all answers are in.
func (l *load) run(ctx context.Context) {
	l.samples = map[int32][]float64{}
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range l.connections {
		wg.Go(func() { l.connection(ctx, begin.Add(time.Duration(i)*l.every)) })
	}
	wg.Wait()
}

func (l *load) connection(ctx context.Context, due time.Time) {
	r, request := raw{address: l.address}, get(l.host)
	defer r.close()
	for ; ; due = due.Add(time.Duration(l.connections) * l.every) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(due)):
		}
		phase, turn := l.phase.Load(), l.right.now()
		status, body, err := r.ask(context.WithoutCancel(ctx), request)
		took := time.Since(due)
		switch {
		case err != nil:
		case status != http.StatusOK:
			err = fmt.Errorf("status %d", status)
		case !l.right.holds(turn, body):
			err = fmt.Errorf("%q answers after visitors had moved on", body)
		}
		l.note(phase, took, err)
	}
}

func (l *load) note(phase int32, took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed = append(l.failed, err.Error())
	} else if phase > 0 {
		l.samples[phase] = append(l.samples[phase], figure.MS(took))
	}
}

// p99 is a phase's time that one request in a hundred takes longer than, in ms. The
// load must have ended.
func (l *load) p99(phase int32) (float64, error) {
	s := slices.Sorted(slices.Values(l.samples[phase]))
	if len(s) < 500 {
		return 0, fmt.Errorf("only %d requests were answered in phase %d", len(s), phase)
	}
	return figure.Quantile(s, 0.99), nil
}

// wait is a pause that ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
