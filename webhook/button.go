package webhook

import (
	"fmt"
	"slices"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
)

// The reasons of what buttons on check runs cause.
const (
	ReasonButton      = "button"        // someone pressed Redeploy, or GitHub's own Re-run
	ReasonRollback    = "rollback"      // someone pressed Roll back on the live deployment
	ReasonSwingBack   = "swing_back"    // or on the one that is being watched
	ReasonNotLive     = "not_live"      // or on one that visitors are not on
	ReasonNoEarlier   = "no_earlier"    // or where there is nothing to go back to
	ReasonNotOurCheck = "not_our_check" // a check run that is none of ours, or no button
)

// The identifiers of the buttons that check runs carry.
const (
	redeploy = "redeploy"
	rollback = "rollback"
)

// checkPrefix and an app's name make the name of its check runs.
const checkPrefix = "swingbridge/"

// button is what a check_run event asks for, empty if it asks for nothing.
// GitHub sends "rerequested" for its own button Re-run, which means the same as
// our Redeploy.
func button(action, pressed string) string {
	switch action {
	case "requested_action":
		return pressed
	case "rerequested":
		return redeploy
	}
	return ""
}

// press decides about a button for one app. Whoever may press it may push:
// GitHub asks for write access.
func press(e Event, d pipeline.Delivery, s pipeline.Standing) pipeline.Verdict {
	app, ours := strings.CutPrefix(e.Check, checkPrefix)
	ours = ours && app == s.App.Name && isCommit(e.Commit)
	switch {
	case ours && e.Button == redeploy:
		return again(e, d, s.App)
	case ours && e.Button == rollback:
		return back(e, d, s)
	}
	return ignored(ReasonNotOurCheck, "This check run asks %s for nothing.", s.App.Name)
}

func again(e Event, d pipeline.Delivery, app pipeline.App) pipeline.Verdict {
	return pipeline.Verdict{
		Outcome: pipeline.OutcomeQueued, Reason: ReasonButton,
		Message: fmt.Sprintf("%s asked for %s of %s to be deployed again.", e.Sender, pipeline.Short(e.Commit), app.Name),
		Queue: &pipeline.NewDeployment{
			AppID: app.ID, Commit: e.Commit, Trigger: pipeline.Redeploy, Actor: e.Sender, DeliveryID: d.ID,
		},
	}
}

// back decides where visitors go who are to leave the deployment that the
// button stands for. Only who is there can leave: a check stays on GitHub, with
// the buttons it had, long after visitors have moved on.
func back(e Event, d pipeline.Delivery, s pipeline.Standing) pipeline.Verdict {
	from, to := serving(s.Deployments), s.LastGood
	underway := slices.IndexFunc(s.Deployments, func(d pipeline.Deployment) bool {
		return d.Trigger == pipeline.Rollback && (d.State == pipeline.Queued || d.State == pipeline.Running)
	})
	switch {
	case from.ID == "" || from.ID != e.Deployment || from.State != pipeline.Live && from.State != pipeline.Watching:
		return ignored(ReasonNotLive, "Visitors of %s are not on this deployment of %s, so there is nothing to go back from.",
			s.App.Name, pipeline.Short(e.Commit))
	case from.State == pipeline.Watching:
		return pipeline.Verdict{
			Outcome: pipeline.OutcomeQueued, Reason: ReasonSwingBack, DeploymentID: from.ID, SwingBack: true,
			Message: fmt.Sprintf("%s asked for visitors of %s to swing back from %s.", e.Sender, s.App.Name, pipeline.Short(from.Commit)),
		}
	case underway >= 0:
		there := s.Deployments[underway]
		return pipeline.Verdict{
			Outcome: pipeline.OutcomeCoalesced, Reason: ReasonAlready, DeploymentID: there.ID,
			Message: fmt.Sprintf("%s is already going back to %s.", s.App.Name, pipeline.Short(there.Commit)),
		}
	case to.ID == "":
		return ignored(ReasonNoEarlier, "%s has no earlier release to go back to.", s.App.Name)
	}
	return pipeline.Verdict{
		Outcome: pipeline.OutcomeQueued, Reason: ReasonRollback,
		Message: fmt.Sprintf("%s asked for %s to go back from %s to %s.", e.Sender, s.App.Name, pipeline.Short(from.Commit), pipeline.Short(to.Commit)),
		Queue: &pipeline.NewDeployment{
			AppID: s.App.ID, Commit: to.Commit, Subject: to.Subject, Trigger: pipeline.Rollback, Actor: e.Sender,
			DeliveryID: d.ID, ReleaseID: to.ReleaseID,
		},
	}
}

// serving is the deployment that visitors are on, the zero one if there is none.
// While one is under way there, the live one is what it would go back to.
func serving(open []pipeline.Deployment) pipeline.Deployment {
	at := slices.IndexFunc(open, func(d pipeline.Deployment) bool { return d.State.Serves() && d.State != pipeline.Live })
	if at < 0 {
		at = slices.IndexFunc(open, func(d pipeline.Deployment) bool { return d.State == pipeline.Live })
	}
	if at < 0 {
		return pipeline.Deployment{}
	}
	return open[at]
}
