package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// crowd are visitors of an app that come without a pause, each request without
// any retry: a half over connections that stay open, a half over fresh ones.
type crowd struct {
	visitors
	t    *testing.T
	stop context.CancelFunc
	gone chan struct{}

	seen struct {
		sync.Mutex
		answers []answer
	}
}

// answer is what one visitor got.
type answer struct {
	begun, ended time.Time
	version      string
	err          error
}

// visit sends visitors to the app and returns once the first ones were
// answered.
func (s *site) visit(host string) *crowd {
	s.t.Helper()
	c := &crowd{visitors: visitors{address: s.web, host: host}, t: s.t, gone: make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	go func() {
		defer close(c.gone)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() { c.come(ctx, i%2 == 0) })
		}
		wg.Wait()
	}()
	s.t.Cleanup(func() { stop(); <-c.gone })
	c.more(40)
	return c
}

// come is one visitor after the other.
func (c *crowd) come(ctx context.Context, fresh bool) {
	dial := &net.Dialer{Timeout: 5 * time.Second}
	t := &http.Transport{DisableKeepAlives: fresh, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dial.DialContext(ctx, "tcp", c.address)
	}}
	defer t.CloseIdleConnections()
	to := &http.Client{Transport: t, Timeout: 10 * time.Second}
	for ctx.Err() == nil {
		begun := time.Now()
		version, err := c.ask(ctx, to)
		c.note(version, err)
		c.seen.Lock()
		c.seen.answers = append(c.seen.answers, answer{begun, time.Now(), version, err})
		c.seen.Unlock()
		if pause(ctx) != nil {
			return
		}
	}
}

// more waits until so many further visitors were answered.
func (c *crowd) more(n int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), ample)
	defer cancel()
	total, _, _ := c.counts()
	if err := c.await(ctx, total+n); err != nil {
		c.t.Fatal(err)
	}
}

// leave lets some more visitors come, ends them and returns all answers.
func (c *crowd) leave() []answer {
	c.t.Helper()
	c.more(40)
	c.stop()
	<-c.gone
	return c.seen.answers
}

// served fails the test unless every visitor was answered, and those that came
// after the given time by that version.
func (c *crowd) served(since time.Time, version string) {
	c.t.Helper()
	answers := c.leave()
	if err := lost(answers); err != nil {
		c.t.Error(err)
	}
	if err := stale(answers, since, version); err != nil {
		c.t.Error(err)
	}
}

// lost is an error if a request failed.
func lost(answers []answer) error {
	n, first := 0, answer{}
	for _, a := range answers {
		if a.err != nil {
			if n++; n == 1 {
				first = a
			}
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d requests failed, the first at %s after %s with: %w",
		n, len(answers), first.begun.Format(time.TimeOnly+".000"), first.ended.Sub(first.begun), first.err)
}

// stale is an error if a request that began after the given time was answered
// by another version, or if none began after it.
func stale(answers []answer, since time.Time, version string) error {
	after := 0
	for _, a := range answers {
		if a.err != nil || !a.begun.After(since) {
			continue
		}
		after++
		if a.version != version {
			return fmt.Errorf("a request that began at %s, after %s, was answered by %q, want %q",
				a.begun.Format(time.StampMilli), since.Format(time.StampMilli), a.version, version)
		}
	}
	if after == 0 {
		return errors.New("no visitor came after the cutover")
	}
	return nil
}

// sees fails the test unless visitors of the host get the version now.
func (s *site) sees(host, version string) {
	s.t.Helper()
	s.visit(host).served(time.Time{}, version)
}

// get asks the app for a path through the public listener.
func (s *site) get(host, path string) (string, error) {
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.web+path, nil)
	if err != nil {
		return "", err
	}
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d", resp.StatusCode)
	}
	return strings.TrimSpace(string(body)), nil
}

// linger opens a request that takes its time, and returns once it has begun to
// be answered. The result waits for its end.
func (s *site) linger(d string) (end func() error) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.web+"/linger?for="+d, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Host = appHost
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, resp.Body)
		ended <- errors.Join(err, resp.Body.Close())
	}()
	return func() error { return <-ended }
}

func TestVisitors_CountWhatFailsAndWhatIsStale(t *testing.T) {
	t.Parallel()
	var n int
	var mu sync.Mutex
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch n++; n {
		case 10:
			w.WriteHeader(http.StatusBadGateway)
		case 20:
			panic(http.ErrAbortHandler)
		case 30:
			fmt.Fprintln(w, "old")
		default:
			fmt.Fprintln(w, "new")
		}
	}))
	app.Config.ErrorLog = log.New(io.Discard, "", 0) // of the panic
	app.Start()
	defer app.Close()
	s := &site{t: t, web: strings.TrimPrefix(app.URL, "http://")}
	answers := s.visit(appHost).leave()
	if err := lost(answers); err == nil || !strings.HasPrefix(err.Error(), "2 of ") {
		t.Errorf("of one refused and one cut off request: %v", err)
	}
	if err := stale(answers, time.Time{}, "new"); err == nil {
		t.Error("an old answer went unnoticed")
	}
	if err := stale(answers, time.Now(), "new"); err == nil {
		t.Error("no visitors at all went unnoticed")
	}
	if err := lost(answers[:5]); err != nil {
		t.Error(err)
	}
}
