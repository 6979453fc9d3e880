package minihub

import (
	"net/http"
	"strings"
)

func (h *Hub) getBranch(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	repo := h.enterRepo(w, r, "contents", "read")
	if repo == nil {
		return
	}
	branch := r.PathValue("branch")
	sha, ok := repo.heads[branch]
	if !ok {
		refuse(w, http.StatusNotFound, "Branch not found")
		return
	}
	at := repoURL(repo) + "/branches/" + branch
	answer(w, http.StatusOK, object{
		"name": branch, "commit": commitBody(repo, sha), "protected": false, "protection_url": at + "/protection",
		"_links":     object{"self": at, "html": web + repo.fullName + "/tree/" + branch},
		"protection": object{"enabled": false},
	})
}

func (h *Hub) getRef(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	repo := h.enterRepo(w, r, "contents", "read")
	if repo == nil {
		return
	}
	branch, isBranch := strings.CutPrefix(r.PathValue("ref"), "heads/")
	sha, ok := repo.heads[branch]
	if !isBranch || !ok {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	answer(w, http.StatusOK, object{
		"ref": "refs/heads/" + branch, "node_id": node("REF", repo.id), "url": repoURL(repo) + "/git/refs/heads/" + branch,
		"object": object{"type": "commit", "sha": sha, "url": repoURL(repo) + "/git/commits/" + sha},
	})
}

func commitBody(repo *repository, sha string) object {
	person := object{"name": "Swingbridge", "email": "dev@swingbridge.dev", "date": stamp(epoch())}
	at := repoURL(repo) + "/commits/" + sha
	return object{
		"sha": sha, "node_id": node("C", repo.id), "url": at, "html_url": web + repo.fullName + "/commit/" + sha,
		"comments_url": at + "/comments", "author": nil, "committer": nil, "parents": []object{},
		"commit": object{
			"author": person, "committer": person, "message": "", "comment_count": 0, "url": repoURL(repo) + "/git/commits/" + sha,
			"tree": object{"sha": sha, "url": repoURL(repo) + "/git/trees/" + sha},
		},
	}
}
