package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
)

// deploymentPage is a deployment as its page shows it. Its parts are templates
// of their own, for the stream sends them again when they change.
type deploymentPage struct {
	frame
	D       row
	App     string // name now; empty where the app is gone
	Buttons buttons
	Rows    []stepRow
	Cutover cutover
	Release *release
	Log     *logView
	Busy    bool // more will happen by itself
}

// buttons are what can be done about a deployment.
type buttons struct {
	Cancel, RollBack, Redeploy, Resolve bool
}

// release are the facts of what runs; never its environment, which is secret.
type release struct {
	ID         string
	Images     []image
	EnvVersion int64
	Kept       string // services left alone, "" if none
}

type image struct{ Service, ID string }

// Deployment is GET /deployments/{id}.
func (s *Web) Deployment(w http.ResponseWriter, r *http.Request) {
	d, err := s.o.Store.Deployment(r.Context(), r.PathValue("id"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	f := s.frame(r, "apps", fmt.Sprintf("%s · %s %s", word(d.State), d.AppName, pipeline.Short(d.Commit)))
	page, err := s.deploymentPage(r.Context(), f, d)
	if err == nil {
		page.Log, err = s.readLog(r.Context(), d)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if busy(d) {
		page.Live = 3
	}
	s.render(w, r, http.StatusOK, "deployment", page)
}

// deploymentPage fills everything but the log.
func (s *Web) deploymentPage(ctx context.Context, f frame, d pipeline.Deployment) (deploymentPage, error) {
	now := s.o.Now()
	page := deploymentPage{frame: f, D: row{d, now}, Rows: stepRows(d, now), App: d.AppName, Busy: busy(d)}
	a, err := s.o.Store.AppByID(ctx, d.AppID)
	switch {
	case errors.Is(err, pipeline.ErrNotFound):
		page.App = ""
	case err != nil:
		return page, fmt.Errorf("app %s: %w", d.AppName, err)
	default:
		page.App = a.Name
	}
	if f.CanDeploy && page.App != "" {
		page.Buttons = buttonsOf(d)
	}
	page.Cutover = cutoverOf(d, s.cutoverStats(ctx, d))
	page.Release, err = s.release(ctx, d)
	return page, err
}

// cutoverStats asks the proxy only while it can have numbers of the cutover.
func (s *Web) cutoverStats(ctx context.Context, d pipeline.Deployment) Stats {
	if d.LiveAt.IsZero() || s.o.Now().Sub(d.LiveAt) > keptByProxy {
		return Stats{}
	}
	return s.stats(ctx)
}

func buttonsOf(d pipeline.Deployment) buttons {
	switch d.State {
	case pipeline.Queued, pipeline.Running, pipeline.CuttingOver:
		return buttons{Cancel: true}
	case pipeline.Watching:
		return buttons{RollBack: true}
	case pipeline.Stuck:
		return buttons{Resolve: true}
	case pipeline.Live:
		return buttons{RollBack: true, Redeploy: true}
	}
	return buttons{Redeploy: true, RollBack: d.State == pipeline.Retired && d.ReleaseID != ""}
}

func (s *Web) release(ctx context.Context, d pipeline.Deployment) (*release, error) {
	if d.ReleaseID == "" {
		return nil, nil //nolint:nilnil // no release yet is no error
	}
	rel, err := s.o.Store.Release(ctx, d.ReleaseID)
	if errors.Is(err, pipeline.ErrNotFound) {
		return nil, nil //nolint:nilnil // pruned
	}
	if err != nil {
		return nil, fmt.Errorf("release of %s: %w", d.ID, err)
	}
	out := &release{ID: rel.ID, EnvVersion: rel.EnvVersion}
	for service, id := range rel.Images {
		out.Images = append(out.Images, image{service, strings.TrimPrefix(id, "sha256:")[:min(12, len(strings.TrimPrefix(id, "sha256:")))]})
	}
	slices.SortFunc(out.Images, func(a, b image) int { return strings.Compare(a.Service, b.Service) })
	var kept []string
	for _, svc := range rel.Stack.Services {
		if svc.Role == "keep" {
			kept = append(kept, svc.Name)
		}
	}
	out.Kept = strings.Join(kept, ", ")
	return out, nil
}

// Log is GET /deployments/{id}/log: the whole log as text.
func (s *Web) Log(w http.ResponseWriter, r *http.Request) {
	d, err := s.o.Store.Deployment(r.Context(), r.PathValue("id"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	size, err := s.logSize(d.ID)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	for offset := int64(0); offset < size && r.Context().Err() == nil; {
		data, err := s.o.Logs.ReadAt(d.ID, offset, int(min(logPiece, size-offset)))
		if err != nil && len(data) == 0 {
			s.o.Logger.ErrorContext(r.Context(), "read log", "deployment", d.ID, "error", err)
			panic(http.ErrAbortHandler) // the only way left to say that the text is not whole
		}
		if len(data) == 0 {
			return
		}
		if _, err := w.Write(data); err != nil {
			return // the browser is gone
		}
		offset += int64(len(data))
	}
}

// Cancel is POST /deployments/{id}/cancel.
func (s *Web) Cancel(w http.ResponseWriter, r *http.Request) {
	d, err := s.o.Commands.Cancel(r.Context(), s.by(r), r.PathValue("id"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	goTo(w, r, "/deployments/"+d.ID+"?done=cancel")
}

// RollBack is POST /deployments/{id}/rollback: away from this deployment while
// visitors are on it, back to it afterwards.
func (s *Web) RollBack(w http.ResponseWriter, r *http.Request) {
	d, err := s.o.Store.Deployment(r.Context(), r.PathValue("id"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	to := ""
	if !d.State.Serves() {
		to = d.ID
	}
	if d, err = s.o.Commands.Rollback(r.Context(), s.by(r), d.AppName, to); err != nil {
		s.fail(w, r, err)
		return
	}
	goTo(w, r, "/deployments/"+d.ID+"?done=rollback")
}

// Redeploy is POST /deployments/{id}/redeploy: the same commit once more.
func (s *Web) Redeploy(w http.ResponseWriter, r *http.Request) {
	d, err := s.o.Store.Deployment(r.Context(), r.PathValue("id"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if d, err = s.o.Commands.Deploy(r.Context(), s.by(r), d.AppName, d.Commit, pipeline.Redeploy); err != nil {
		s.fail(w, r, err)
		return
	}
	goTo(w, r, "/deployments/"+d.ID+"?done=redeploy")
}

// Resolve is POST /deployments/{id}/resolve, with as=live, rolled_back or
// failed.
func (s *Web) Resolve(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	d, err := s.o.Commands.Resolve(r.Context(), s.by(r), r.PathValue("id"), pipeline.State(r.PostForm.Get("as")))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	goTo(w, r, "/deployments/"+d.ID+"?done=resolve")
}
