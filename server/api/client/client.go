// Package client calls the API of a Swingbridge server. The command line is
// made of it; the types are those of package api.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/server/api"
)

// ErrUnreachable is wrapped when the server did not answer at all.
var ErrUnreachable = errors.New("the server is not reachable")

// Error is a refusal by the server.
type Error struct {
	Status int    // of HTTP
	Code   string // one of the codes of package api; empty if whatever answered is no Swingbridge
	Detail string // for people
	Field  string // the field or parameter at fault, where there is one
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("the server answered %d %s", e.Status, http.StatusText(e.Status))
	}
	return e.Detail
}

// Client calls one server as one operator. The fields may be changed before the
// first call.
type Client struct {
	HTTP *http.Client // without an overall timeout: logs are followed for long
	// Patience is how long a call that follows something goes on trying while
	// the server does not answer.
	Patience time.Duration
	// Pause waits between two tries.
	Pause func(ctx context.Context, d time.Duration) error
	Now   func() time.Time

	base  *url.URL
	token string
}

// New returns a client of the server at baseURL, like http://127.0.0.1:8080.
func New(baseURL, token string) (*Client, error) {
	base, err := url.Parse(baseURL)
	if err != nil {
		return nil, fmt.Errorf("server address: %w", err)
	}
	if base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.User != nil {
		return nil, fmt.Errorf("server address %q: write it as http://HOST:PORT or https://HOST", base.Redacted())
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = 5 * time.Minute // removing an app waits for its drain
	return &Client{
		HTTP: &http.Client{
			Transport: transport,
			// The API never redirects; what does would get to see the token.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Patience: time.Minute,
		Pause:    pause,
		Now:      time.Now,
		base:     base,
		token:    token,
	}, nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// call is one request.
type call struct {
	method string
	path   []string // below /api/v1, not yet escaped
	query  url.Values
	header http.Header
	body   any // nil: none
}

// send makes the call; an answer that is not 2xx is an *Error. The caller closes
// the body.
func (c *Client) send(ctx context.Context, what call) (*http.Response, error) {
	// Escaped one by one: a name with a slash stays one name.
	path := strings.TrimRight(c.base.EscapedPath(), "/") + "/api/v1"
	for _, part := range what.path {
		path += "/" + url.PathEscape(part)
	}
	target := *c.base
	target.RawQuery, target.Fragment = what.query.Encode(), ""
	var err error
	if target.Path, err = url.PathUnescape(path); err != nil {
		return nil, fmt.Errorf("server address: %w", err)
	}
	target.RawPath = path
	var body io.Reader
	if what.body != nil {
		text, err := json.Marshal(what.body)
		if err != nil {
			return nil, fmt.Errorf("write request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, what.method, target.String(), body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	for name, values := range what.header {
		r.Header[name] = values
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	answer, err := c.HTTP.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if answer.StatusCode/100 != 2 {
		defer func() { _ = answer.Body.Close() }()
		return nil, refusal(answer)
	}
	return answer, nil
}

// maxAnswer bounds what is read of an answer that is no log, in bytes.
const maxAnswer = 64 << 20

func refusal(answer *http.Response) error {
	e := &Error{Status: answer.StatusCode}
	var problem api.Problem
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err == nil && json.Unmarshal(text, &problem) == nil {
		e.Code, e.Detail, e.Field = problem.Code, problem.Detail, problem.Field
	}
	return e
}

// ask makes the call and reads its JSON.
func ask[T any](ctx context.Context, c *Client, what call) (T, error) {
	var out T
	answer, err := c.send(ctx, what)
	if err != nil {
		return out, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode == http.StatusNoContent {
		return out, nil
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&out); err != nil {
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		return out, fmt.Errorf("read answer: %w", err)
	}
	return out, nil
}
