package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// visitors are requests to an app through the proxy: half of them over
// connections that stay open, half over fresh ones, each without any retry.
type visitors struct {
	address, host string

	mu       sync.Mutex
	total    int
	failed   int
	first    string         // what the first failure was
	versions map[string]int // answers by what the page says
	last     string
}

// run sends requests with 8 workers until ctx ends and all answers are in.
func (v *visitors) run(ctx context.Context) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			dial := &net.Dialer{Timeout: 5 * time.Second}
			t := &http.Transport{
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return dial.DialContext(ctx, "tcp", v.address)
				},
				DisableKeepAlives: i%2 == 0,
			}
			defer t.CloseIdleConnections()
			client := &http.Client{Transport: t, Timeout: 10 * time.Second}
			for ctx.Err() == nil {
				v.note(v.ask(ctx, client))
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
	wg.Wait()
}

// ask sends one request; it is not cut short by the end of ctx.
func (v *visitors) ask(ctx context.Context, client *http.Client) (string, error) {
	req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, "http://"+v.host+"/", strings.NewReader("hello"))
	if err != nil {
		return "", err
	}
	req.GetBody = nil // what net/http cannot replay, it does not hide
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }() // read to its end below
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d", resp.StatusCode)
	}
	return strings.TrimSpace(string(body)), nil
}

func (v *visitors) note(version string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.total++
	if err != nil {
		if v.failed++; v.first == "" {
			v.first = err.Error()
		}
		return
	}
	if v.versions == nil {
		v.versions = map[string]int{}
	}
	v.versions[version]++
	v.last = version
}

// counts says how it went so far.
func (v *visitors) counts() (total, failed int, last string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.total, v.failed, v.last
}
