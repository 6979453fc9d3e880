package webhook

import (
	"fmt"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
)

// The reasons of what buttons on check runs cause.
const (
	ReasonButton      = "button"        // someone pressed Redeploy, or GitHub's own Re-run
	ReasonNotOurCheck = "not_our_check" // a check run that is none of ours, or no button
)

// redeploy is the identifier of the button that check runs carry.
const redeploy = "redeploy"

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
	if !ours || app != s.App.Name || e.Button != redeploy || !isCommit(e.Commit) {
		return ignored(ReasonNotOurCheck, "This check run asks %s for nothing.", s.App.Name)
	}
	return pipeline.Verdict{
		Outcome: pipeline.OutcomeQueued, Reason: ReasonButton,
		Message: fmt.Sprintf("%s asked for %s of %s to be deployed again.", e.Sender, pipeline.Short(e.Commit), s.App.Name),
		Queue: &pipeline.NewDeployment{
			AppID: s.App.ID, Commit: e.Commit, Trigger: pipeline.Redeploy, Actor: e.Sender, DeliveryID: d.ID,
		},
	}
}
