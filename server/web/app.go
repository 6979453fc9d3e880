package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// listLength is how many lines a list shows at once.
const listLength = 30

type appPage struct {
	frame
	App         pipeline.App
	Bridge      bridge
	Spark       *spark
	Services    []pipeline.ServiceStatus
	NoServices  string // why there are none to be seen
	Env         []pipeline.EnvVar
	Deployments []row
	Older       string // address of the next page; empty: this is the last
	UnderWay    *row
	CanRollBack bool
	Met         met
	Drift       []pipeline.Drift
	ModeFor     []choice
}

// App is GET /apps/{app}.
func (s *Web) App(w http.ResponseWriter, r *http.Request) {
	a, err := s.o.Store.AppByName(r.Context(), r.PathValue("app"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page, err := s.appPage(r, a)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.render(w, r, http.StatusOK, "app", page)
}

func (s *Web) appPage(r *http.Request, a pipeline.App) (appPage, error) {
	ctx, st := r.Context(), s.stats(r.Context())
	_, active, err := s.recent(ctx, a.ID)
	if err != nil {
		return appPage{}, fmt.Errorf("deployments of %s: %w", a.Name, err)
	}
	page := appPage{App: a, Spark: sparkOf(st, a.ID), Met: metBy(a, s.o.Now()), ModeFor: modeLengths(), Drift: s.o.Drift(a.ID)}
	after := r.URL.Query().Get("after")
	list, err := s.o.Store.Deployments(ctx, pipeline.DeploymentQuery{AppID: a.ID, Page: pipeline.Page{After: after, Limit: listLength}})
	if err != nil {
		return appPage{}, fmt.Errorf("deployments of %s: %w", a.Name, err)
	}
	page.Deployments = rowsOf(list, s.o.Now())
	if len(list) == listLength {
		page.Older = "/apps/" + a.Name + "?after=" + list[len(list)-1].ID
	}
	if page.Env, err = s.o.Store.EnvVars(ctx, a.ID); err != nil {
		return appPage{}, fmt.Errorf("environment of %s: %w", a.Name, err)
	}
	page.Services, page.NoServices = s.services(ctx, a.Name)
	state := a.Name
	for i, d := range active {
		if busy(d) && (page.UnderWay == nil || page.UnderWay.State == pipeline.Queued) {
			page.UnderWay = &row{active[i], s.o.Now()}
			state = a.Name + " · deploying"
		}
	}
	page.CanRollBack = slices.ContainsFunc(list, func(d pipeline.Deployment) bool { return d.State == pipeline.Retired || d.State == pipeline.Watching })
	page.Bridge = bridgeOf(a, active, page.Services, st, s.o.Now())
	page.frame = s.frame(r, "apps", state)
	page.Live = pause(page.UnderWay != nil)
	return page, nil
}

// services is what runs now, or why that cannot be said.
func (s *Web) services(ctx context.Context, app string) ([]pipeline.ServiceStatus, string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	list, err := s.o.Commands.Services(ctx, app)
	if err != nil {
		s.o.Logger.WarnContext(ctx, "look at services", "app", app, "error", err)
		return nil, "What runs cannot be seen now: the container engine or the proxy does not answer."
	}
	slices.SortStableFunc(list, func(a, b pipeline.ServiceStatus) int { return strings.Compare(a.Name, b.Name) })
	return list, ""
}

// bridge is the picture an app's page opens with.
type bridge struct {
	To    string // blue or green: where the deck leads; empty: nowhere
	Rate  string
	Sides [2]side
	Words string
}

// side is one of the two ends of the bridge.
type side struct {
	Color      pipeline.Color
	Word       string
	Deployment string // id; empty: nothing is there
	Commit     string
	Text       string
	Serves     bool
}

func bridgeOf(a pipeline.App, active []pipeline.Deployment, services []pipeline.ServiceStatus, st Stats, now time.Time) bridge {
	b := bridge{}
	if !st.At.IsZero() {
		b.Rate = perSecond(st, func(t Traffic) bool { return t.AppID == a.ID })
	}
	serving := servingOf(a.ID, active, st)
	var words []string
	for i, c := range []pipeline.Color{pipeline.Blue, pipeline.Green} {
		b.Sides[i] = side{Color: c, Word: "idle", Text: "nothing runs on this side"}
		for _, d := range slices.Backward(active) { // the newest one of a color wins
			if d.Color == c {
				b.Sides[i] = sideOf(d, services, d.ID == serving, now)
			}
		}
		if b.Sides[i].Serves {
			b.To = string(c)
			words = append(words, "visitors reach "+string(c))
		}
		words = append(words, string(c)+" is "+b.Sides[i].Word)
	}
	if b.To == "" {
		words = append([]string{"visitors reach nothing yet"}, words...)
	}
	b.Words = sentence(strings.Join(words, "; "))
	return b
}

// servingOf is the deployment that new requests go to: the proxy knows, and
// where it cannot be asked the records do.
func servingOf(appID string, active []pipeline.Deployment, st Stats) string {
	for _, t := range st.Traffic {
		if t.AppID == appID && t.Current {
			return t.Deployment
		}
	}
	for _, state := range []pipeline.State{pipeline.Watching, pipeline.Live} {
		for _, d := range active {
			if d.State == state {
				return d.ID
			}
		}
	}
	return ""
}

func sideOf(d pipeline.Deployment, services []pipeline.ServiceStatus, serves bool, now time.Time) side {
	out := side{Color: d.Color, Word: word(d.State), Deployment: d.ID, Commit: d.Commit, Serves: serves}
	if d.State == pipeline.Running {
		out.Word = row{d, now}.Progress().Name
	}
	if d.State == pipeline.Live && !serves {
		out.Word = "standing by"
	}
	var names []string
	restarts, since := 0, time.Time{}
	for _, v := range services {
		if v.Deployment != d.ID {
			continue
		}
		names, restarts = append(names, v.Name), restarts+v.Restarts
		if v.StartedAt.After(since) {
			since = v.StartedAt
		}
	}
	if len(names) == 0 {
		out.Text = row{d, now}.Headline()
		return out
	}
	out.Text = fmt.Sprintf("%s · started %s · %s", strings.Join(names, ", "), momentOf(since, now).Words, plural(restarts, "restart"))
	return out
}
