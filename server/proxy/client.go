package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Client talks to a proxy in another process. It implements pipeline.Proxy and
// pipeline.Prover. Where the proxy does not answer, errors wrap
// pipeline.ErrUnreachable: a change may or may not have happened then.
type Client struct {
	http *http.Client
}

var (
	_ pipeline.Proxy  = (*Client)(nil)
	_ pipeline.Prover = (*Client)(nil)
)

// NewClient returns a client of the control socket, which need not be there
// yet. A leading "unix:" is allowed.
func NewClient(socket string) *Client {
	socket = strings.TrimPrefix(socket, "unix:")
	return &Client{http: &http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", socket)
			},
			MaxIdleConnsPerHost: 4,
			IdleConnTimeout:     time.Minute,
		},
	}}
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Health asks how the proxy is.
func (c *Client) Health(ctx context.Context) (Health, error) {
	var h Health
	return h, c.call(ctx, order{method: http.MethodGet, path: "/v1/health", into: &h})
}

// Entry implements pipeline.Proxy.
func (c *Client) Entry(ctx context.Context, appID string) (pipeline.Entry, error) {
	var e pipeline.Entry
	return e, c.call(ctx, order{method: http.MethodGet, path: appPath(appID), into: &e})
}

// Swing implements pipeline.Proxy.
func (c *Client) Swing(ctx context.Context, e pipeline.Entry, was uint64) (pipeline.Swung, error) {
	var swung pipeline.Swung
	return swung, c.call(ctx, order{method: http.MethodPut, path: appPath(e.AppID), match: etag(was), body: e, into: &swung})
}

// Drop implements pipeline.Proxy.
func (c *Client) Drop(ctx context.Context, appID string) error {
	return c.call(ctx, order{method: http.MethodDelete, path: appPath(appID)})
}

// Inflight implements pipeline.Proxy.
func (c *Client) Inflight(ctx context.Context, deployment string) (int, error) {
	var n open
	err := c.call(ctx, order{method: http.MethodGet, path: "/v1/inflight/" + url.PathEscape(deployment), into: &n})
	return n.Inflight, err
}

// Stats returns what the proxy counted for all apps.
func (c *Client) Stats(ctx context.Context) (Stats, error) { return c.StatsOf(ctx, "") }

// StatsOf returns what the proxy counted for one app, for all if appID is empty.
func (c *Client) StatsOf(ctx context.Context, appID string) (Stats, error) {
	var s Stats
	return s, c.call(ctx, order{method: http.MethodGet, path: "/v1/stats?app=" + url.QueryEscape(appID), into: &s})
}

// Prove implements pipeline.Prover: it dials the public listener from here.
func (c *Client) Prove(ctx context.Context, e pipeline.Entry) error { return prove(ctx, c, e) }

// Ask implements pipeline.Prover in the same way.
func (c *Client) Ask(ctx context.Context, e pipeline.Entry) error { return askAll(ctx, c, e) }

func (c *Client) mintProof(ctx context.Context) (string, error) {
	var m minted
	return m.Token, c.call(ctx, order{method: http.MethodPost, path: "/v1/proof", into: &m})
}

func (c *Client) public(ctx context.Context) (Public, error) {
	h, err := c.Health(ctx)
	if err == nil && !h.Ready {
		err = fmt.Errorf("the proxy does not serve visitors: %w", pipeline.ErrUnreachable)
	}
	return h.Public, err
}

func appPath(id string) string { return "/v1/apps/" + url.PathEscape(id) }

// order is one call.
type order struct {
	method, path, match string
	body, into          any
}

func (c *Client) call(ctx context.Context, o order) error {
	var body io.Reader
	if o.body != nil {
		raw, err := json.Marshal(o.body)
		if err != nil {
			return fmt.Errorf("encode request to the proxy: %w", err)
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, o.method, "http://proxy"+o.path, body)
	if err != nil {
		return fmt.Errorf("make request to the proxy: %w", err)
	}
	if o.match != "" {
		req.Header.Set("If-Match", o.match)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return unreachable(ctx, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return unreachable(ctx, err)
	}
	if resp.StatusCode != http.StatusOK {
		return refusal(resp.Status, raw)
	}
	if o.into == nil {
		return nil
	}
	if err := json.Unmarshal(raw, o.into); err != nil {
		return fmt.Errorf("read the proxy's answer: %w", err)
	}
	return nil
}

// unreachable says that the proxy did not answer, unless it is the caller who
// stopped waiting.
func unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("ask the proxy: %w", context.Cause(ctx))
	}
	return fmt.Errorf("ask the proxy: %w: %w", pipeline.ErrUnreachable, err)
}

// refusal is the proxy's error with the sentinel it had there.
func refusal(status string, raw []byte) error {
	var p problem
	if err := json.Unmarshal(raw, &p); err != nil {
		return fmt.Errorf("the proxy answered %s", status)
	}
	var kind error
	switch p.Code {
	case "conflict":
		kind = pipeline.ErrConflict
	case "not_found":
		kind = pipeline.ErrNotFound
	case "invalid":
		kind = pipeline.ErrInvalid
	case "unreachable":
		kind = pipeline.ErrUnreachable
	default:
		return fmt.Errorf("proxy: %w", errors.New(p.Detail))
	}
	return &remoteError{detail: p.Detail, kind: kind}
}

// remoteError has the text of an error in the proxy's process, which names its
// kind already.
type remoteError struct {
	detail string
	kind   error
}

func (e *remoteError) Error() string { return "proxy: " + e.detail }
func (e *remoteError) Unwrap() error { return e.kind }
