package webhook

import (
	"encoding/json"
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
	Check   string // of a check_run event: the check run's name
	Button  string // and what was asked for
}

// errNotObject is answered with 400: GitHub sends one JSON object per delivery.
var errNotObject = errors.New("the body is not a JSON object")

// Read decodes the body of an event. The error is for bodies that are not one
// JSON object; everything else is left to Decide.
func Read(name string, body []byte) (Event, error) {
	top, err := object(body)
	if err != nil {
		return Event{}, err
	}
	repo := top.object("repository")
	commit := top.object("head_commit")
	e := Event{
		Name:    name,
		Action:  top.text("action"),
		Repo:    repo.text("full_name"),
		RepoID:  repo.number("id"),
		Ref:     top.text("ref"),
		Commit:  top.text("after"),
		Deleted: top.flag("deleted"),
		Moved:   top.flag("forced") || top.flag("created"),
		Sender:  top.object("sender").text("login"),
	}
	if e.Sender == "" {
		e.Sender = top.object("pusher").text("name")
	}
	if commit.text("id") == e.Commit {
		e.Subject = firstLine(commit.text("message"))
	}
	if name == "check_run" {
		e.readCheck(top)
	}
	return e, nil
}

// Delivery is the record of this event before anyone decided about it.
func (e Event) Delivery(id string, body []byte, at time.Time) pipeline.Delivery {
	return pipeline.Delivery{
		ID: id, Event: e.Name, Action: e.Action, Repo: e.Repo, RepoID: e.RepoID,
		Ref: e.Ref, Commit: e.Commit, Sender: e.Sender, Body: body, ReceivedAt: at,
	}
}

// fields is a JSON object read key by key. Unlike a struct it matches keys
// exactly: encoding/json would take "REF" for "ref".
type fields map[string]json.RawMessage

func object(raw []byte) (fields, error) {
	var f fields
	if err := json.Unmarshal(raw, &f); err != nil || f == nil {
		return nil, errNotObject
	}
	return f, nil
}

func (f fields) object(key string) fields {
	inner, err := object(f[key])
	if err != nil {
		return fields{}
	}
	return inner
}

func (f fields) text(key string) string {
	var s string
	if json.Unmarshal(f[key], &s) != nil {
		return ""
	}
	return s
}

func (f fields) number(key string) int64 {
	var n int64
	if json.Unmarshal(f[key], &n) != nil {
		return 0
	}
	return n
}

func (f fields) flag(key string) bool {
	var b bool
	return json.Unmarshal(f[key], &b) == nil && b
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
