package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
)

// historyLength is how many deployments an app's line remembers.
const historyLength = 10

type appsPage struct {
	frame
	Apps    []appLine
	Summary string
}

// appLine is an app in one row.
type appLine struct {
	pipeline.App
	Shown    *row // what visitors are on, or else the newest one; nil: never deployed
	UnderWay *row // nil: nothing
	Met      met
	Drift    bool // somebody changed by hand what runs
	History  history
	Spark    *spark // nil: no numbers
}

// history are an app's last deployments, oldest first.
type history struct {
	Marks []string // classes
	Words string
}

// Apps is GET /.
func (s *Web) Apps(w http.ResponseWriter, r *http.Request) {
	apps, err := s.o.Store.Apps(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	st := s.stats(r.Context())
	page := appsPage{}
	underWay := 0
	for _, a := range apps {
		line, err := s.appLine(r.Context(), a, st)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if line.UnderWay != nil {
			underWay++
		}
		page.Apps = append(page.Apps, line)
	}
	title := plural(len(apps), "app")
	if underWay > 0 {
		title += fmt.Sprintf(", %d deploying", underWay)
	}
	page.frame = s.frame(r, "apps", title+" · Swingbridge")
	page.Live = pause(underWay > 0)
	page.Summary = summary(len(apps), underWay, st)
	s.render(w, r, http.StatusOK, "apps", page)
}

// pause is how long a page waits before it looks for news, in seconds.
func pause(underWay bool) int {
	if underWay {
		return 1
	}
	return 5
}

func summary(apps, underWay int, st Stats) string {
	parts := []string{plural(apps, "app")}
	if underWay > 0 {
		parts = append(parts, plural(underWay, "deployment")+" under way")
	}
	if !st.At.IsZero() {
		parts = append(parts, perSecond(st, func(Traffic) bool { return true }))
	}
	return strings.Join(parts, " · ")
}

func (s *Web) appLine(ctx context.Context, a pipeline.App, st Stats) (appLine, error) {
	recent, active, err := s.recent(ctx, a.ID)
	if err != nil {
		return appLine{}, fmt.Errorf("deployments of %s: %w", a.Name, err)
	}
	now := s.o.Now()
	out := appLine{App: a, Met: metBy(a, now), Drift: len(s.o.Drift(a.ID)) > 0, History: historyOf(recent), Spark: sparkOf(st, a.ID)}
	if shown := shown(recent, active); shown != nil {
		out.Shown = &row{*shown, now}
	}
	for _, d := range slices.Backward(active) { // the oldest one is the one that moves
		if busy(d) && (out.UnderWay == nil || out.UnderWay.State == pipeline.Queued) {
			out.UnderWay = &row{d, now}
		}
	}
	return out, nil
}

// recent are an app's last deployments, and those that serve or will, both
// newest first.
func (s *Web) recent(ctx context.Context, appID string) (recent, active []pipeline.Deployment, err error) {
	recent, err = s.o.Store.Deployments(ctx, pipeline.DeploymentQuery{AppID: appID, Page: pipeline.Page{Limit: historyLength}})
	if err != nil {
		return nil, nil, err
	}
	active, err = s.o.Store.Deployments(ctx, pipeline.DeploymentQuery{AppID: appID, Page: pipeline.Page{Limit: 50}, States: []pipeline.State{
		pipeline.Queued, pipeline.Running, pipeline.CuttingOver, pipeline.Watching, pipeline.Live, pipeline.Stuck,
	}})
	return recent, active, err
}

// shown is what visitors are on, as far as the records know, or else the newest
// deployment that is over.
func shown(recent, active []pipeline.Deployment) *pipeline.Deployment {
	for _, state := range []pipeline.State{pipeline.Stuck, pipeline.Watching, pipeline.Live} {
		for i := range active {
			if active[i].State == state {
				return &active[i]
			}
		}
	}
	for i := range recent {
		if recent[i].State.Ended() {
			return &recent[i]
		}
	}
	return nil
}

func historyOf(recent []pipeline.Deployment) history {
	var h history
	var words []string
	for _, d := range slices.Backward(recent) {
		mark := string(d.State)
		if d.State == pipeline.Live || d.State == pipeline.Retired {
			mark = string(d.Color)
		}
		h.Marks = append(h.Marks, mark)
		words = append(words, word(d.State))
	}
	if len(words) > 0 {
		h.Words = "the last deployments, oldest first: " + strings.Join(words, ", ")
	}
	return h
}

// RedeployApp is POST /apps/{app}/redeploy: the branch head once more.
func (s *Web) RedeployApp(w http.ResponseWriter, r *http.Request) {
	d, err := s.o.Commands.Deploy(r.Context(), s.by(r), r.PathValue("app"), "", pipeline.Redeploy)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	goTo(w, r, "/deployments/"+d.ID+"?done=redeploy")
}

// RollBackApp is POST /apps/{app}/rollback: to the last good release before
// this one.
func (s *Web) RollBackApp(w http.ResponseWriter, r *http.Request) {
	d, err := s.o.Commands.Rollback(r.Context(), s.by(r), r.PathValue("app"), "")
	if err != nil {
		s.fail(w, r, err)
		return
	}
	goTo(w, r, "/deployments/"+d.ID+"?done=rollback")
}
