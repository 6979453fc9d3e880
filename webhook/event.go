package webhook

import (
	"errors"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Event is what is read of a payload. Fields that are missing, null or of
// another type than GitHub documents are left zero: Decide says so in a
// sentence, and a payload that grew a new shape elsewhere is still understood.
type Event struct {
	Name    string // X-GitHub-Event
	Action  string
	Repo    string // owner/name
	RepoID  int64
	Ref     string
	Commit  string // what the ref points at after the push
	Deleted bool
	Moved   bool   // the ref was created or forced: it may have gone back to an older commit
	Subject string // first line of the commit's message
	Sender  string

	// Of a check_run event:
	Check      string // the check run's name
	Deployment string // its external id, which is our deployment's
	Button     string // what was asked for
}

// errNotObject is answered with 400: GitHub sends one JSON object per delivery.
var errNotObject = errors.New("the body is not a JSON object")

// Read decodes the body of an event. The error is for bodies that are not one
// JSON object; everything else is left to Decide.
func Read(name string, body []byte) (Event, error) {
	e := Event{Name: name}
	var created, forced bool
	var pusher, head, message, checked, pressed string
	m := members{
		"action":      &e.Action,
		"ref":         &e.Ref,
		"after":       &e.Commit,
		"created":     &created,
		"deleted":     &e.Deleted,
		"forced":      &forced,
		"repository":  members{"id": &e.RepoID, "full_name": &e.Repo},
		"head_commit": members{"id": &head, "message": &message},
		"sender":      members{"login": &e.Sender},
		"pusher":      members{"name": &pusher},
	}
	if name == "check_run" {
		m["check_run"] = members{"name": &e.Check, "head_sha": &checked, "external_id": &e.Deployment}
		m["requested_action"] = members{"identifier": &pressed}
	}
	if err := readObject(body, m); err != nil {
		return Event{}, err
	}
	e.Moved = forced || created
	if e.Sender == "" {
		e.Sender = pusher
	}
	if head == e.Commit {
		e.Subject = firstLine(message)
	}
	if name == "check_run" {
		e.Commit, e.Button = checked, button(e.Action, pressed)
	}
	return e, nil
}

// Delivery is the record of this event before anyone decided about it.
func (e Event) Delivery(id string, body []byte, at time.Time) pipeline.Delivery {
	return pipeline.Delivery{
		ID: id, Event: e.Name, Action: e.Action, Repo: e.Repo, RepoID: e.RepoID,
		Ref: e.Ref, Commit: e.Commit, Sender: e.Sender, Body: body, ReceivedAt: at,
		GoBack: e.Button == rollback,
	}
}

// subjectLimit is how much of a commit's first line is kept, in runes.
const subjectLimit = 200

func firstLine(message string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(message), "\n")
	return shorten(strings.TrimSpace(line), subjectLimit)
}

func shorten(s string, runes int) string {
	r := []rune(s)
	if len(r) <= runes {
		return s
	}
	return string(r[:runes-1]) + "…"
}
