package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
)

// Part asks for a part of a list.
type Part struct {
	After  string           // Next of the part before
	Limit  int              // 0: the server's own
	States []pipeline.State // of deployments; none: all
}

func (p Part) query() url.Values {
	q := url.Values{}
	if p.After != "" {
		q.Set("after", p.After)
	}
	if p.Limit > 0 {
		q.Set("limit", strconv.Itoa(p.Limit))
	}
	for _, state := range p.States {
		q.Add("state", string(state))
	}
	return q
}

func get(path ...string) call  { return call{method: http.MethodGet, path: path} }
func post(path ...string) call { return call{method: http.MethodPost, path: path} }

func (what call) with(body any) call {
	what.body = body
	return what
}

func (what call) where(query url.Values) call {
	what.query = query
	return what
}

// Apps lists apps.
func (c *Client) Apps(ctx context.Context, p Part) (api.List[api.App], error) {
	return ask[api.List[api.App]](ctx, c, get("apps").where(p.query()))
}

// AllApps lists all apps, part by part.
func (c *Client) AllApps(ctx context.Context) ([]api.App, error) {
	var all []api.App
	for part := (Part{Limit: 200}); ; {
		list, err := c.Apps(ctx, part)
		if err != nil {
			return nil, err
		}
		all = append(all, list.Items...)
		if list.Next == "" {
			return all, nil
		}
		part.After = list.Next
	}
}

// App returns one app.
func (c *Client) App(ctx context.Context, app string) (api.App, error) {
	return ask[api.App](ctx, c, get("apps", app))
}

// CreateApp creates an app.
func (c *Client) CreateApp(ctx context.Context, change api.AppChange) (api.App, error) {
	return ask[api.App](ctx, c, post("apps").with(change))
}

// UpdateApp changes what the change names.
func (c *Client) UpdateApp(ctx context.Context, app string, change api.AppChange) (api.App, error) {
	return ask[api.App](ctx, c, call{method: http.MethodPatch, path: []string{"apps", app}, body: change})
}

// SetMode changes how visitors of an app are met.
func (c *Client) SetMode(ctx context.Context, app string, change api.ModeChange) (api.ModeSet, error) {
	return ask[api.ModeSet](ctx, c, call{method: http.MethodPut, path: []string{"apps", app, "mode"}, body: change})
}

// RemoveApp removes an app; it returns when its containers are gone.
func (c *Client) RemoveApp(ctx context.Context, app string) error {
	_, err := ask[struct{}](ctx, c, call{method: http.MethodDelete, path: []string{"apps", app}})
	return err
}

// Deployments lists an app's deployments, newest first.
func (c *Client) Deployments(ctx context.Context, app string, p Part) (api.List[api.Deployment], error) {
	return ask[api.List[api.Deployment]](ctx, c, get("apps", app, "deployments").where(p.query()))
}

// Deploy queues a deployment; no commit is the branch head.
func (c *Client) Deploy(ctx context.Context, app, commit string) (api.Deployment, error) {
	body := struct {
		Commit string `json:"commit,omitempty"`
	}{commit}
	return ask[api.Deployment](ctx, c, post("apps", app, "deployments").with(body))
}

// Rollback queues a rollback to a deployment's release; no id is the last good
// one before the live one.
func (c *Client) Rollback(ctx context.Context, app, to string) (api.Deployment, error) {
	body := struct {
		To string `json:"to,omitempty"`
	}{to}
	return ask[api.Deployment](ctx, c, post("apps", app, "rollback").with(body))
}

// Deployment returns one deployment.
func (c *Client) Deployment(ctx context.Context, id string) (api.Deployment, error) {
	return ask[api.Deployment](ctx, c, get("deployments", id))
}

// Cancel cancels a deployment, or swings back while its guard watches.
func (c *Client) Cancel(ctx context.Context, id string) (api.Deployment, error) {
	return ask[api.Deployment](ctx, c, post("deployments", id, "cancel"))
}

// Resolve decides what became of a stuck deployment.
func (c *Client) Resolve(ctx context.Context, id string, as pipeline.State) (api.Deployment, error) {
	body := struct {
		As pipeline.State `json:"as"`
	}{as}
	return ask[api.Deployment](ctx, c, post("deployments", id, "resolve").with(body))
}

// Log returns a deployment's log as it is now, from a byte offset on. The caller
// closes it.
func (c *Client) Log(ctx context.Context, id string, offset int64) (io.ReadCloser, error) {
	query := url.Values{"offset": {strconv.FormatInt(offset, 10)}}
	return c.text(ctx, get("deployments", id, "log").where(query))
}

// LogPart says which part of a service's output.
type LogPart struct {
	Color   pipeline.Color // empty: the one that visitors are on
	Replica int            // counted from 0
	Tail    int            // lines from the end; 0: the server's choice; less: all
	Since   time.Time
	Follow  bool
}

// ServiceLog returns the output of an app's service. The caller closes it.
func (c *Client) ServiceLog(ctx context.Context, app, service string, p LogPart) (io.ReadCloser, error) {
	query := url.Values{}
	if p.Color != "" {
		query.Set("color", string(p.Color))
	}
	if p.Replica > 0 {
		query.Set("replica", strconv.Itoa(p.Replica))
	}
	switch {
	case p.Tail < 0:
		query.Set("tail", "all")
	case p.Tail > 0:
		query.Set("tail", strconv.Itoa(p.Tail))
	}
	if !p.Since.IsZero() {
		query.Set("since", p.Since.UTC().Format(time.RFC3339Nano))
	}
	if p.Follow {
		query.Set("follow", "true")
	}
	return c.text(ctx, get("apps", app, "services", service, "log").where(query))
}

func (c *Client) text(ctx context.Context, what call) (io.ReadCloser, error) {
	answer, err := c.send(ctx, what)
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// Services lists what runs of an app.
func (c *Client) Services(ctx context.Context, app string) ([]api.Service, error) {
	return items[api.Service](ctx, c, get("apps", app, "services"))
}

// Plan says what a deployment would do; no commit is the branch head.
func (c *Client) Plan(ctx context.Context, app, commit string) (api.Plan, error) {
	query := url.Values{}
	if commit != "" {
		query.Set("commit", commit)
	}
	return ask[api.Plan](ctx, c, get("apps", app, "plan").where(query))
}

// Env lists the names of an app's variables.
func (c *Client) Env(ctx context.Context, app string) ([]api.EnvVar, error) {
	return items[api.EnvVar](ctx, c, get("apps", app, "env"))
}

// SetEnv sets a variable and returns the environment's new version.
func (c *Client) SetEnv(ctx context.Context, app, name, value string) (int64, error) {
	body := struct {
		Value string `json:"value"`
	}{value}
	set, err := ask[api.EnvVar](ctx, c, call{method: http.MethodPut, path: []string{"apps", app, "env", name}, body: body})
	return set.Version, err
}

// UnsetEnv removes a variable and returns the environment's new version.
func (c *Client) UnsetEnv(ctx context.Context, app, name string) (int64, error) {
	set, err := ask[api.EnvVar](ctx, c, call{method: http.MethodDelete, path: []string{"apps", app, "env", name}})
	return set.Version, err
}

// Files lists the paths of the files that the server holds for an app.
func (c *Client) Files(ctx context.Context, app string) ([]api.File, error) {
	return items[api.File](ctx, c, get("apps", app, "files"))
}

// SetFile has the server hold a file and returns the environment's new version.
func (c *Client) SetFile(ctx context.Context, app, path string, content []byte) (int64, error) {
	body := struct {
		Content []byte `json:"content"`
	}{content}
	set, err := ask[api.File](ctx, c, call{method: http.MethodPut, path: []string{"apps", app, "files", path}, body: body})
	return set.Version, err
}

// UnsetFile takes a file away and returns the environment's new version.
func (c *Client) UnsetFile(ctx context.Context, app, path string) (int64, error) {
	set, err := ask[api.File](ctx, c, call{method: http.MethodDelete, path: []string{"apps", app, "files", path}})
	return set.Version, err
}

// Deliveries lists webhook requests, newest first.
func (c *Client) Deliveries(ctx context.Context, p Part) (api.List[api.Delivery], error) {
	return ask[api.List[api.Delivery]](ctx, c, get("deliveries").where(p.query()))
}

// Replay decides about a delivery once more.
func (c *Client) Replay(ctx context.Context, id string) (api.Delivery, error) {
	return ask[api.Delivery](ctx, c, post("deliveries", id, "replay"))
}

// Audit lists who did what, newest first.
func (c *Client) Audit(ctx context.Context, p Part) (api.List[api.AuditEntry], error) {
	return ask[api.List[api.AuditEntry]](ctx, c, get("audit").where(p.query()))
}

// Tokens lists API tokens.
func (c *Client) Tokens(ctx context.Context) ([]api.Token, error) {
	return items[api.Token](ctx, c, get("tokens"))
}

// CreateToken makes an API token; the answer holds it, once.
func (c *Client) CreateToken(ctx context.Context, name string, role pipeline.Role) (api.Token, error) {
	body := struct {
		Name string        `json:"name"`
		Role pipeline.Role `json:"role"`
	}{name, role}
	return ask[api.Token](ctx, c, post("tokens").with(body))
}

// RevokeToken revokes an API token, by id or name.
func (c *Client) RevokeToken(ctx context.Context, token string) error {
	_, err := ask[struct{}](ctx, c, call{method: http.MethodDelete, path: []string{"tokens", token}})
	return err
}

// Doctor asks the server what it finds about itself.
func (c *Client) Doctor(ctx context.Context) ([]api.Check, error) {
	return items[api.Check](ctx, c, get("doctor"))
}

func items[T any](ctx context.Context, c *Client, what call) ([]T, error) {
	list, err := ask[api.List[T]](ctx, c, what)
	return list.Items, err
}
