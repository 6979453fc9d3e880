package web

import (
	"slices"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// row is a deployment as lists show it.
type row struct {
	pipeline.Deployment
	now time.Time
}

func rowsOf(list []pipeline.Deployment, now time.Time) []row {
	out := make([]row, len(list))
	for i, d := range list {
		out[i] = row{d, now}
	}
	return out
}

// By says who or what caused it.
func (r row) By() string { return caused(r.Deployment) }

// Headline is the commit's subject, or what stands for it.
func (r row) Headline() string {
	switch {
	case r.Subject != "":
		return r.Subject
	case r.Commit != "":
		return "Commit " + pipeline.Short(r.Commit)
	}
	return "The branch head"
}

// Took is how long it ran, so far or in all; empty if it never did.
func (r row) Took() string {
	end := r.lastChange()
	if busy(r.Deployment) {
		end = r.now
	}
	return span(r.StartedAt, end)
}

// lastChange is when its last step ended.
func (r row) lastChange() time.Time {
	var last time.Time
	for _, s := range current(r.Deployment) {
		if s.EndedAt.After(last) {
			last = s.EndedAt
		}
	}
	if last.IsZero() {
		return r.EndedAt
	}
	return last
}

// Since is from when on it stands as it does.
func (r row) Since() time.Time {
	for _, t := range []time.Time{r.LiveAt, r.EndedAt, r.StartedAt} {
		if !t.IsZero() && (t != r.LiveAt || r.State.Serves() || r.State == pipeline.Retired) {
			return t
		}
	}
	return r.CreatedAt
}

// busy reports whether more will happen without anybody's doing.
func busy(d pipeline.Deployment) bool {
	if d.State == pipeline.Stuck {
		return false
	}
	if !d.State.Ended() {
		return true
	}
	return d.State == pipeline.Live && slices.ContainsFunc(current(d), func(s pipeline.StepRecord) bool { return s.State == pipeline.StepRunning })
}

// current are the journal's lines about the newest attempt.
func current(d pipeline.Deployment) []pipeline.StepRecord {
	attempt := d.Attempt
	for _, s := range d.Steps {
		attempt = max(attempt, s.Attempt)
	}
	return slices.DeleteFunc(slices.Clone(d.Steps), func(s pipeline.StepRecord) bool { return s.Attempt != attempt })
}

// progress is how far a deployment under way is.
type progress struct {
	Step, Of int    // counted from 1; 0 before the first
	Name     string // what it does now
	Width    int    // of 180
}

// Progress is how far it is.
func (r row) Progress() progress {
	names := pipeline.StepNames()
	p := progress{Of: len(names), Name: "waiting for its turn"}
	for _, s := range current(r.Deployment) {
		if i := slices.Index(names, s.Name); i >= p.Step {
			p.Step, p.Name = i+1, s.Name
		}
		if undone, ok := strings.CutPrefix(s.Name, "undo "); ok {
			p.Name = "undoing " + undone
		}
	}
	p.Width = 180 * p.Step / p.Of
	return p
}

// Bad reports whether it ended in a way that somebody should look at.
func (r row) Bad() bool {
	return r.State == pipeline.Failed || r.State == pipeline.RolledBack || r.State == pipeline.Stuck
}
