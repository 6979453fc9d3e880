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
	Asked           []asked // permissions, instead of Lines
	Allow           string  // the command that allows what is missing
	Fill            bool    // it has names of variables in place of their values
}

// asked is one line of the permissions' diff.
type asked struct{ Class, Sign, Word, Says string }

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
		permissionsOf(p.Permissions),
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
		if len(g.Lines)+len(g.Asked) > 0 {
			out = append(out, g)
		}
	}
	return out
}

// permissionsOf is the diff of permissions, if there is something to look at.
func permissionsOf(d pipeline.PermissionDiff) planGroup {
	g := planGroup{ID: "permissions", Title: "Permissions", Allow: d.Allow, Fill: strings.Contains(d.Allow, "${")}
	if !d.Changes() {
		return g
	}
	g.Help = "What the files ask for of the host. Nothing is live yet to compare it with."
	if d.Live != "" {
		g.Help = "What the files ask for of the host, compared with the live release " + pipeline.Short(d.Live) + "."
	}
	for _, l := range d.Lines() {
		a := asked{Sign: l.Sign, Word: l.Word}
		switch {
		case l.Missing:
			a.Class, a.Says = "missing", "the app is not allowed this"
		case l.Sign == "+":
			a.Class, a.Says = "new", "new, and allowed"
		case l.Sign == "-":
			a.Class, a.Says = "gone", "no longer asked for"
		}
		g.Asked = append(g.Asked, a)
	}
	return g
}
