package github

import (
	"fmt"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Subject is everything that a report is made of.
type Subject struct {
	Deployment pipeline.Deployment
	App        pipeline.App
	Log        []string // last lines of the deployment's log, masked; used where it went wrong
	Earlier    bool     // of a live deployment: there is an earlier release to go back to
	Plain      bool     // visitors come over http, not https
	PublicURL  string   // base of links, without a slash at its end; empty: no links
}

// contextName is the name of the check run, and the context of the status.
func contextName(s Subject) string { return "swingbridge/" + appName(s) }

func appName(s Subject) string {
	if s.Deployment.AppName != "" {
		return s.Deployment.AppName
	}
	return s.App.Name
}

func environment(s Subject) string {
	if name := appName(s); name != "" {
		return name
	}
	return "production"
}

// link is the deployment's page, empty if we have no public address.
func (s Subject) link() string {
	if s.PublicURL == "" {
		return ""
	}
	return s.PublicURL + linkPath + s.Deployment.ID
}

const linkPath = "/deployments/"

// wentWrong reports whether the log's end helps whoever reads the report.
func (s Subject) wentWrong() bool {
	switch s.Deployment.State {
	case pipeline.Failed, pipeline.RolledBack, pipeline.Stuck:
		return true
	}
	return false
}

// title says in one line where the deployment stands.
func (s Subject) title() string {
	d := s.Deployment
	title := faceOf(d.State).title
	switch d.State {
	case pipeline.Running:
		if step := current(d); step != "" {
			title += ": " + step
		}
	case pipeline.Live:
		if d.Color != "" {
			title += " on " + string(d.Color)
		}
		if d.Carries != "" {
			title += ", nothing changed"
		}
		if !d.StartedAt.IsZero() && !d.LiveAt.IsZero() {
			title += fmt.Sprintf(" after %s", took(d.StartedAt, d.LiveAt))
		}
	}
	if d.Reason != "" && d.State != pipeline.Live && d.State != pipeline.Retired {
		title += ": " + d.Reason
	}
	return clip(oneLine(rough(title, 200)), 200)
}

// current is the name of the step that runs.
func current(d pipeline.Deployment) string {
	for _, step := range latestSteps(d) {
		if step.State == pipeline.StepRunning {
			return step.Name
		}
	}
	return ""
}

// second cuts a time to what GitHub shows.
func second(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Second)
}
