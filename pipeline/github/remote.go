package github

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// perPage and maxPages bound a search for something of ours: GitHub keeps at
// most 1,000 check runs of a name, and of deployments of one commit in one
// environment there are few.
const (
	perPage  = 100
	maxPages = 10
)

// remoteCheck is what we want to know about a check run that GitHub has.
type remoteCheck struct {
	ID         int64  `json:"id"`
	ExternalID string `json:"external_id"`
	Status     string `json:"status"`
	Conclusion string `json:"conclusion"`
	Output     struct {
		Title string `json:"title"`
	} `json:"output"`
}

// closed reports whether the check run is completed by us. GitHub itself marks
// a check run as stale after 14 days; that one may still be completed.
func (r remoteCheck) closed() bool { return r.Status == "completed" && r.Conclusion != "stale" }

// findCheck looks for the check run of a deployment by its external id.
func (c *Client) findCheck(ctx context.Context, repo string, want CheckRun) (have remoteCheck, found bool, err error) {
	path, err := repoPath(repo, "commits", want.HeadSHA, "check-runs")
	if err != nil {
		return remoteCheck{}, false, err
	}
	query := url.Values{"check_name": {want.Name}, "filter": {"all"}} // the default hides all but the newest
	for page := 1; page != 0 && page <= maxPages; {
		var answer struct {
			CheckRuns []remoteCheck `json:"check_runs"`
		}
		page, err = c.list(ctx, call{repo: repo, scope: writeChecks, path: path, query: query, into: &answer}, page)
		if err != nil {
			return remoteCheck{}, false, err
		}
		for _, run := range answer.CheckRuns {
			if run.ExternalID == want.ExternalID {
				return run, true, nil
			}
		}
	}
	return remoteCheck{}, false, nil
}

// list asks for one page and returns the number of the next, 0 after the last.
func (c *Client) list(ctx context.Context, w call, page int) (int, error) {
	w.method = http.MethodGet
	w.query.Set("per_page", strconv.Itoa(perPage))
	w.query.Set("page", strconv.Itoa(page))
	return c.do(ctx, w)
}

func (c *Client) checkByID(ctx context.Context, repo string, id int64) (remoteCheck, error) {
	path, err := repoPath(repo, "check-runs", strconv.FormatInt(id, 10))
	if err != nil {
		return remoteCheck{}, err
	}
	var answer remoteCheck
	_, err = c.do(ctx, call{repo: repo, scope: writeChecks, method: http.MethodGet, path: path, into: &answer})
	return answer, err
}

func (c *Client) createCheck(ctx context.Context, repo string, want CheckRun) (int64, error) {
	return c.create(ctx, call{repo: repo, scope: writeChecks, body: want}, "check-runs")
}

func (c *Client) updateCheck(ctx context.Context, repo string, id int64, want CheckRun) error {
	path, err := repoPath(repo, "check-runs", strconv.FormatInt(id, 10))
	if err != nil {
		return err
	}
	want.HeadSHA = "" // cannot change
	_, err = c.do(ctx, call{repo: repo, scope: writeChecks, method: http.MethodPatch, path: path, body: want})
	return err
}

// create posts something to a repository and returns its id.
func (c *Client) create(ctx context.Context, w call, parts ...string) (int64, error) {
	path, err := repoPath(w.repo, parts...)
	if err != nil {
		return 0, err
	}
	var answer struct {
		ID int64 `json:"id"`
	}
	w.method, w.path, w.into = http.MethodPost, path, &answer
	if _, err := c.do(ctx, w); err != nil {
		return 0, err
	}
	if answer.ID == 0 {
		return 0, fmt.Errorf("%s of %s: the answer has no id", parts[0], w.repo)
	}
	return answer.ID, nil
}

// remoteStatus is what we want to know about a commit status.
type remoteStatus struct {
	Context     string `json:"context"`
	State       string `json:"state"`
	Description string `json:"description"`
	TargetURL   string `json:"target_url"`
}

// deployment is the id of the deployment that the status is about, empty if it
// does not say.
func (r remoteStatus) deployment() string {
	if at := strings.LastIndex(r.TargetURL, linkPath); at >= 0 {
		return r.TargetURL[at+len(linkPath):]
	}
	return ""
}

// newestStatus returns the newest status of the commit in our context; the zero
// value if there is none.
func (c *Client) newestStatus(ctx context.Context, repo, commit, contextName string) (remoteStatus, error) {
	path, err := repoPath(repo, "commits", commit, "statuses")
	if err != nil {
		return remoteStatus{}, err
	}
	for page := 1; page != 0 && page <= maxPages; {
		var answer []remoteStatus // newest first
		page, err = c.list(ctx, call{repo: repo, scope: writeStatuses, path: path, query: url.Values{}, into: &answer}, page)
		if err != nil {
			return remoteStatus{}, err
		}
		for _, status := range answer {
			if status.Context == contextName {
				return status, nil
			}
		}
	}
	return remoteStatus{}, nil
}

func (c *Client) createStatus(ctx context.Context, repo, commit string, want CommitStatus) error {
	_, err := c.create(ctx, call{repo: repo, scope: writeStatuses, body: want}, "statuses", commit)
	return err
}

// findRecord looks for the deployment record of a deployment by its payload. It
// returns 0 if there is none.
func (c *Client) findRecord(ctx context.Context, repo string, want Record) (int64, error) {
	path, err := repoPath(repo, "deployments")
	if err != nil {
		return 0, err
	}
	query := url.Values{"sha": {want.Ref}, "environment": {want.Environment}}
	for page := 1; page != 0 && page <= maxPages; {
		var answer []struct {
			ID      int64           `json:"id"`
			Payload json.RawMessage `json:"payload"`
		}
		page, err = c.list(ctx, call{repo: repo, scope: writeDeployments, path: path, query: query, into: &answer}, page)
		if err != nil {
			return 0, err
		}
		for _, record := range answer {
			if payloadID(record.Payload) == want.Payload[payloadKey] {
				return record.ID, nil
			}
		}
	}
	return 0, nil
}

// payloadID reads our deployment's id out of a payload, which GitHub returns as
// an object or as a string that holds one.
func payloadID(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		raw = json.RawMessage(text)
	}
	var payload map[string]json.RawMessage
	var id string
	if json.Unmarshal(raw, &payload) != nil || json.Unmarshal(payload[payloadKey], &id) != nil {
		return ""
	}
	return id
}

func (c *Client) createRecord(ctx context.Context, repo string, want Record) (int64, error) {
	return c.create(ctx, call{repo: repo, scope: writeDeployments, body: want}, "deployments")
}

// newestRecordStatus returns the state of a deployment record, empty if it has
// none yet.
func (c *Client) newestRecordStatus(ctx context.Context, repo string, id int64) (RecordStatus, error) {
	path, err := repoPath(repo, "deployments", strconv.FormatInt(id, 10), "statuses")
	if err != nil {
		return RecordStatus{}, err
	}
	var answer []RecordStatus // newest first
	_, err = c.list(ctx, call{repo: repo, scope: writeDeployments, path: path, query: url.Values{}, into: &answer}, 1)
	if err != nil || len(answer) == 0 {
		return RecordStatus{}, err
	}
	return answer[0], nil
}

func (c *Client) createRecordStatus(ctx context.Context, repo string, id int64, want RecordStatus) error {
	_, err := c.create(ctx, call{repo: repo, scope: writeDeployments, body: want}, "deployments", strconv.FormatInt(id, 10), "statuses")
	return err
}
