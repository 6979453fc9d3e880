package minihub

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object of an answer.
type object = map[string]any

const (
	api         = "https://api.github.com/"
	web         = "https://github.com/"
	contentType = "application/json; charset=utf-8"
	maxBody     = 1 << 20
)

// epoch is the age of everything whose age does not matter.
func epoch() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// stampOrNull is null for a time that is not known.
func stampOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return stamp(t)
}

// orNull is null for an empty text.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func node(kind string, id int64) string {
	return base64.RawURLEncoding.EncodeToString([]byte(kind + "_" + strconv.FormatInt(id, 10)))
}

// answer writes a JSON body.
func answer(w http.ResponseWriter, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	for name, value := range map[string]string{
		"Content-Type": contentType, "X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "4999", "X-RateLimit-Used": "1",
		"X-RateLimit-Reset": strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10),
	} {
		if w.Header().Get(name) == "" { // a fault may have said something else
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(status)
	_, _ = w.Write(raw) // the caller may be gone
}

// refuse writes an error in GitHub's form.
func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, object{"message": message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(status)})
}

// invalid refuses a field of a request.
func invalid(w http.ResponseWriter, resource, field, message string) {
	answer(w, http.StatusUnprocessableEntity, object{
		"message": "Validation Failed", "documentation_url": "https://docs.github.com/rest", "status": "422",
		"errors": []object{{"resource": resource, "field": field, "code": "invalid", "message": message}},
	})
}

// decode reads a JSON body; it answers itself if that is not one.
func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(into); err != nil {
		refuse(w, http.StatusBadRequest, "Problems parsing JSON")
		return false
	}
	return true
}

// page cuts a list to the page that the query asks for and names the next one
// in a Link header.
func page[T any](w http.ResponseWriter, r *http.Request, all []T) []T {
	size, number := 30, 1
	if n, err := strconv.Atoi(r.URL.Query().Get("per_page")); err == nil && n > 0 {
		size = min(n, 100)
	}
	if n, err := strconv.Atoi(r.URL.Query().Get("page")); err == nil && n > 0 {
		number = n
	}
	from := min((number-1)*size, len(all))
	to := min(from+size, len(all))
	if to < len(all) {
		next := url.URL{Scheme: "https", Host: "api.github.com", Path: r.URL.Path}
		query := r.URL.Query()
		query.Set("page", strconv.Itoa(number+1))
		next.RawQuery = query.Encode()
		w.Header().Set("Link", fmt.Sprintf("<%s>; rel=\"next\"", next.String()))
	}
	return all[from:to]
}

func userBody(login string) object {
	at := api + "users/" + login
	body := object{
		"login": login, "id": 1, "node_id": node("U", 1), "avatar_url": "https://avatars.githubusercontent.com/u/1",
		"gravatar_id": "", "url": at, "html_url": web + login, "type": "User", "site_admin": false,
		"gists_url": at + "/gists{/gist_id}", "starred_url": at + "/starred{/owner}{/repo}",
		"following_url": at + "/following{/other_user}", "events_url": at + "/events{/privacy}",
	}
	for field, path := range map[string]string{
		"followers_url": "followers", "organizations_url": "orgs", "repos_url": "repos",
		"subscriptions_url": "subscriptions", "received_events_url": "received_events",
	} {
		body[field] = at + "/" + path
	}
	return body
}

func repoURL(r *repository) string { return api + "repos/" + r.fullName }

// repositoryBody is a repository with a custom property that has several
// values, as GitHub sends it.
func repositoryBody(r *repository) object {
	owner, name, _ := strings.Cut(r.fullName, "/")
	body := object{
		"id": r.id, "node_id": node("R", r.id), "name": name, "full_name": r.fullName, "owner": userBody(owner),
		"url": repoURL(r), "html_url": web + r.fullName, "clone_url": web + r.fullName + ".git", "svn_url": web + r.fullName,
		"git_url": "git://github.com/" + r.fullName + ".git", "ssh_url": "git@github.com:" + r.fullName + ".git",
		"description": nil, "homepage": nil, "language": nil, "mirror_url": nil, "license": nil, "default_branch": "main",
		"pushed_at": stamp(epoch()), "created_at": stamp(epoch()), "updated_at": stamp(epoch()),
		"custom_properties": object{"languages": []string{"go", "sql"}},
	}
	for _, flag := range []string{"private", "fork", "has_downloads", "has_issues", "has_projects", "has_wiki", "has_pages", "archived", "disabled"} {
		body[flag] = false
	}
	for _, count := range []string{"forks", "forks_count", "open_issues", "open_issues_count", "size", "stargazers_count", "watchers", "watchers_count"} {
		body[count] = 0
	}
	for _, of := range []string{
		"archive", "assignees", "blobs", "branches", "collaborators", "comments", "commits", "compare", "contents",
		"contributors", "deployments", "downloads", "events", "forks", "git_commits", "git_refs", "git_tags", "hooks",
		"issue_comment", "issue_events", "issues", "keys", "labels", "languages", "merges", "milestones", "notifications",
		"pulls", "releases", "stargazers", "statuses", "subscribers", "subscription", "tags", "teams", "trees",
	} {
		body[of+"_url"] = repoURL(r) + "/" + of
	}
	return body
}
