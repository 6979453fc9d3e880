package proxy

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

var (
	_ pipeline.Targets = (*Client)(nil)
	_ pipeline.Gauge   = (*Client)(nil)
	_ pipeline.Modes   = (*Client)(nil)
)

// Lose implements pipeline.Targets.
func (c *Client) Lose(ctx context.Context, appID string, at netip.Addr) error {
	return c.call(ctx, order{method: http.MethodDelete, path: appPath(appID) + "/targets/" + url.PathEscape(at.String())})
}

// EndStreams implements pipeline.Targets.
func (c *Client) EndStreams(ctx context.Context, deployment string, by time.Time) (int, error) {
	var n ended
	err := c.call(ctx, order{method: http.MethodPost, path: deploymentPath(deployment) + "/end-streams", body: ending{By: by}, into: &n})
	return n.Streams, err
}

// Visits implements pipeline.Gauge.
func (c *Client) Visits(ctx context.Context, deployment string, from, to time.Time) (pipeline.Visits, error) {
	var v pipeline.Visits
	span := url.Values{"from": {from.Format(time.RFC3339Nano)}, "to": {to.Format(time.RFC3339Nano)}}
	return v, c.call(ctx, order{method: http.MethodGet, path: deploymentPath(deployment) + "/visits?" + span.Encode(), into: &v})
}

// SetMode implements pipeline.Modes.
func (c *Client) SetMode(ctx context.Context, appID string, m pipeline.Mode) error {
	return c.call(ctx, order{method: http.MethodPut, path: appPath(appID) + "/mode", body: m})
}

// Mode implements pipeline.Modes.
func (c *Client) Mode(ctx context.Context, appID string) (pipeline.Mode, error) {
	var m pipeline.Mode
	return m, c.call(ctx, order{method: http.MethodGet, path: appPath(appID) + "/mode", into: &m})
}

func deploymentPath(id string) string { return "/v1/deployments/" + url.PathEscape(id) }
