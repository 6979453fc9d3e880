package github

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// longestWait bounds what a single answer can make us wait; GitHub's own
// windows are an hour at most.
const longestWait = 2 * time.Hour

// limits remembers, by identity, until when GitHub wants to hear nothing.
type limits struct {
	now func() time.Time

	mu      sync.Mutex
	until   map[string]time.Time
	strikes map[string]int // limits in a row for which GitHub named no time
}

func newLimits(now func() time.Time) *limits {
	return &limits{now: now, until: map[string]time.Time{}, strikes: map[string]int{}}
}

// limited is a transport that keeps to the limits of one identity: it turns
// 429 and the 403 of primary and secondary limits into *RateLimited (go-github
// v60 does not see a 429 as a limit), and sends nothing until they are over.
// Sources: docs.github.com, "Rate limits for the REST API" and "Best practices
// for using the REST API".
type limited struct {
	next http.RoundTripper
	key  string
	*limits
}

// RoundTrip implements http.RoundTripper.
func (t limited) RoundTrip(req *http.Request) (*http.Response, error) {
	if until := t.held(t.key); !until.IsZero() {
		if req.Body != nil {
			_ = req.Body.Close() // nothing was read of it
		}
		return nil, &RateLimited{Until: until}
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if until := t.judge(t.key, resp); !until.IsZero() {
		_ = resp.Body.Close() // its text is not needed
		return nil, &RateLimited{Until: until}
	}
	return resp, nil
}

// held returns until when the identity is to be silent, zero if it is not.
func (l *limits) held(key string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := l.until[key]; l.now().Before(until) {
		return until
	}
	return time.Time{}
}

// judge reads the limits out of an answer. It returns a time if the answer is a
// limit and not an answer to what was asked.
func (l *limits) judge(key string, resp *http.Response) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	reset, spent := primary(resp, now)
	isLimit := resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusForbidden && (spent || retryAfter(resp, now) > 0 || secondary(resp))
	if !isLimit {
		if spent { // this one was answered, the next one would not be
			l.until[key] = now.Add(reset)
		}
		if resp.StatusCode < 300 {
			delete(l.strikes, key)
		}
		return time.Time{}
	}
	wait := retryAfter(resp, now)
	switch {
	case wait > 0:
	case spent:
		wait = reset
	default: // a minute, and longer each time
		wait = time.Minute << min(l.strikes[key], 6)
		l.strikes[key]++
	}
	l.until[key] = now.Add(min(wait, longestWait))
	return l.until[key]
}

// retryAfter reads Retry-After, in seconds or as a date; 0 if it is not there.
func retryAfter(resp *http.Response, now time.Time) time.Duration {
	value := resp.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(min(max(seconds, 0), 1<<20)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(said(resp, now)), 0)
	}
	return 0
}

// primary reports whether the hour's requests are used up, and for how long.
func primary(resp *http.Response, now time.Time) (time.Duration, bool) {
	if resp.Header.Get("X-RateLimit-Remaining") != "0" {
		return 0, false
	}
	seconds, err := strconv.ParseInt(resp.Header.Get("X-RateLimit-Reset"), 10, 64)
	if err != nil {
		return 0, false
	}
	// One second more: the header is cut to seconds.
	wait := time.Unix(seconds, 0).Sub(said(resp, now)) + time.Second
	return min(wait, longestWait), wait > 0
}

// said is the time by GitHub's clock, which ours may not agree with.
func said(resp *http.Response, now time.Time) time.Time {
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		return at
	}
	return now
}

// secondary reports whether a 403 speaks of a secondary limit, which carries no
// header that says so. The body stays readable.
func secondary(resp *http.Response) bool {
	head, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), resp.Body), resp.Body}
	if err != nil {
		return false
	}
	text := strings.ToLower(string(head))
	return strings.Contains(text, "secondary rate limit") || strings.Contains(text, "secondary-rate-limits") ||
		strings.Contains(text, "abuse detection")
}
