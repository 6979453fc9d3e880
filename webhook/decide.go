package webhook

import (
	"fmt"
	"slices"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Reasons are the stable codes of what Decide found.
const (
	ReasonPing        = "ping"
	ReasonPush        = "push"
	ReasonPaused      = "paused"       // queued, waits until the app is resumed
	ReasonAlready     = "already"      // the commit is queued, running or live
	ReasonDuplicate   = "duplicate"    // this delivery id was stored before
	ReasonEvent       = "event"        // an event that nothing here acts on
	ReasonIncomplete  = "incomplete"   // a push without repository, ref or commit
	ReasonUnknownRepo = "unknown_repo" // no app follows the repository
	ReasonTag         = "tag"
	ReasonRef         = "ref" // neither branch nor tag
	ReasonOtherBranch = "other_branch"
	ReasonDeleted     = "branch_deleted"
)

// Decide says what a delivery means: to each app of apps, which follow its
// repository, and as a whole, which is the strongest of these. It looks at
// nothing else, so the same delivery and the same standing always end alike.
//
// What a commit's message says, "[skip ci]" included, is no reason: the deploy
// branch is what runs.
func Decide(e Event, d pipeline.Delivery, apps []pipeline.Standing) pipeline.Delivery {
	switch {
	case e.Name == "ping":
		return conclude(d, pipeline.OutcomePong, ReasonPing, "GitHub reaches this server and knows the secret.")
	case e.Name == "check_run" && e.Button != "":
		return each(d, apps, func(s pipeline.Standing) pipeline.Verdict { return press(e, d, s) })
	case e.Name != "push":
		return conclude(d, pipeline.OutcomeIgnored, ReasonEvent,
			fmt.Sprintf("Nothing here acts on the event %s.", quote(e.Name)))
	case e.Repo == "" && e.RepoID == 0, e.Ref == "", !e.Deleted && !isCommit(e.Commit):
		return conclude(d, pipeline.OutcomeIgnored, ReasonIncomplete,
			"The push names no repository, no branch or no commit.")
	}
	return each(d, apps, func(s pipeline.Standing) pipeline.Verdict { return judge(e, d, s) })
}

// each decides for every app, and for the delivery as a whole.
func each(d pipeline.Delivery, apps []pipeline.Standing, judge func(pipeline.Standing) pipeline.Verdict) pipeline.Delivery {
	if len(apps) == 0 {
		return conclude(d, pipeline.OutcomeIgnored, ReasonUnknownRepo,
			fmt.Sprintf("No app follows the repository %s.", quote(d.Repo)))
	}
	d.Apps = make([]pipeline.Verdict, 0, len(apps))
	for _, s := range apps {
		v := judge(s)
		v.App, v.AppID = s.App.Name, s.App.ID
		d.Apps = append(d.Apps, v)
	}
	top := strongest(d.Apps)
	return conclude(d, top.Outcome, top.Reason, top.Message)
}

func conclude(d pipeline.Delivery, o pipeline.Outcome, reason, message string) pipeline.Delivery {
	d.Outcome, d.Reason, d.Message = o, reason, message
	return d
}

// judge decides about a push for one app.
func judge(e Event, d pipeline.Delivery, s pipeline.Standing) pipeline.Verdict {
	branch, isBranch := strings.CutPrefix(e.Ref, "refs/heads/")
	switch {
	case strings.HasPrefix(e.Ref, "refs/tags/"):
		return ignored(ReasonTag, "Tags are not deployed; %s follows the branch %s.", s.App.Name, s.App.Branch)
	case !isBranch:
		return ignored(ReasonRef, "%s is not a branch.", quote(e.Ref))
	case branch != s.App.Branch:
		return ignored(ReasonOtherBranch, "The branch %s was pushed; %s follows %s.", quote(branch), s.App.Name, s.App.Branch)
	case e.Deleted || isZero(e.Commit):
		return ignored(ReasonDeleted, "The branch %s was deleted; %s stays as it is.", s.App.Branch, s.App.Name)
	}
	if there, ok := already(e, s.Deployments); ok {
		return pipeline.Verdict{
			Outcome: pipeline.OutcomeCoalesced, Reason: ReasonAlready, DeploymentID: there.ID,
			Message: fmt.Sprintf("%s of %s is already %s.", pipeline.Short(e.Commit), s.App.Name, phase(there.State)),
		}
	}
	return queued(e, d, s.App)
}

func queued(e Event, d pipeline.Delivery, app pipeline.App) pipeline.Verdict {
	v := pipeline.Verdict{
		Outcome: pipeline.OutcomeQueued, Reason: ReasonPush,
		Message: fmt.Sprintf("The deployment of %s to %s is queued.", pipeline.Short(e.Commit), app.Name),
		Queue: &pipeline.NewDeployment{
			AppID: app.ID, Commit: e.Commit, Subject: e.Subject,
			Trigger: pipeline.Push, Actor: e.Sender, DeliveryID: d.ID,
		},
	}
	if app.Paused {
		v.Reason = ReasonPaused
		v.Message = fmt.Sprintf("The deployment of %s is queued and waits: %s is paused.", pipeline.Short(e.Commit), app.Name)
	}
	return v
}

// already finds the deployment that makes another one of the pushed commit
// needless. deployments are newest first. Where the branch was moved back to a
// commit that is live or runs while a newer deployment stands before it, that
// newer one would end up live: then the push counts.
func already(e Event, deployments []pipeline.Deployment) (pipeline.Deployment, bool) {
	at := slices.IndexFunc(deployments, func(d pipeline.Deployment) bool {
		return d.Commit == e.Commit && phase(d.State) != ""
	})
	if at < 0 || at > 0 && e.Moved {
		return pipeline.Deployment{}, false
	}
	return deployments[at], true
}

// phase is what people call a state in which a deployment makes another one of
// the same commit needless, empty for the other states.
func phase(s pipeline.State) string {
	switch s {
	case pipeline.Queued:
		return "queued"
	case pipeline.Running, pipeline.CuttingOver, pipeline.Watching:
		return "running"
	case pipeline.Live:
		return "live"
	}
	return ""
}

func ignored(reason, format string, args ...any) pipeline.Verdict {
	return pipeline.Verdict{Outcome: pipeline.OutcomeIgnored, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// strongest is the first verdict of the strongest outcome; the zero Verdict if
// there are none.
func strongest(verdicts []pipeline.Verdict) pipeline.Verdict {
	order := []pipeline.Outcome{pipeline.OutcomeQueued, pipeline.OutcomeCoalesced, pipeline.OutcomeIgnored}
	for _, o := range order {
		if i := slices.IndexFunc(verdicts, func(v pipeline.Verdict) bool { return v.Outcome == o }); i >= 0 {
			return verdicts[i]
		}
	}
	return pipeline.Verdict{}
}

// isCommit accepts SHA-1 and SHA-256 object names.
func isCommit(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}

func isZero(commit string) bool { return strings.Trim(commit, "0") == "" }

// quote shows what a stranger wrote inside a sentence: short, and with no
// control characters.
func quote(s string) string { return fmt.Sprintf("%q", shorten(s, 80)) }
