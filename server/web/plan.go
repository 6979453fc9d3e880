package web

import (
	"errors"
	"net/http"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
)

type planPage struct {
	frame
	App    pipeline.App
	Commit string // empty: nothing is planned
	Why    string // why nothing is
	Groups []planGroup
}

// planGroup is one part of a plan.
type planGroup struct {
	ID, Title, Help string
	Lines           []string
	Bad             bool
}

// Plan is GET /apps/{app}/plan: what a deployment of ?commit=, or of the branch
// head, would do.
func (s *Web) Plan(w http.ResponseWriter, r *http.Request) {
	a, err := s.o.Store.AppByName(r.Context(), r.PathValue("app"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page := planPage{App: a, frame: s.frame(r, "apps", a.Name+" · plan")}
	sum, err := s.o.Commands.Plan(r.Context(), a.Name, strings.TrimSpace(r.URL.Query().Get("commit")))
	switch {
	case err == nil:
		page.Commit, page.Groups = sum.Commit, groupsOf(sum)
	case errors.Is(err, pipeline.ErrInvalid), errors.Is(err, pipeline.ErrNoCommit), errors.Is(err, pipeline.ErrNoBranch), errors.Is(err, pipeline.ErrUnreachable):
		page.Why = err.Error()
	default:
		s.fail(w, r, err)
		return
	}
	s.render(w, r, http.StatusOK, "plan", page)
}

// groupsOf are the parts of a plan that say something, in the order in which
// things happen.
func groupsOf(p pipeline.PlanSummary) []planGroup {
	var out []planGroup
	for _, g := range []planGroup{
		{ID: "missing", Title: "Missing", Help: "A deployment would fail until this is there.", Lines: p.Missing, Bad: true},
		{ID: "build", Title: "Built", Lines: p.Build},
		{ID: "pull", Title: "Pulled", Lines: p.Pull},
		{ID: "create", Title: "Created", Lines: p.Create},
		{ID: "release", Title: "Run once", Lines: p.Release},
		{ID: "replace", Title: "Replaced", Lines: p.Replace},
		{ID: "blink", Title: "Away for a moment", Lines: p.Blink},
		{ID: "keep", Title: "Left alone", Lines: p.Keep},
		{ID: "aside", Title: "Not deployed", Lines: p.Aside},
		{ID: "notes", Title: "Notes", Help: "What the files say to no effect.", Lines: p.Notes},
	} {
		if len(g.Lines) > 0 {
			out = append(out, g)
		}
	}
	return out
}
