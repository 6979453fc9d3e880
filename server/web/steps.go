package web

import (
	"slices"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// barWidth is the width of a step's bar, in units of its own picture.
const barWidth = 1000

// stepRow is one step in the timeline.
type stepRow struct {
	Name  string
	State string // waiting where it has not begun
	Note  string // what was seen, or what went wrong
	Took  string
	Fill  string
	X, W  int // of barWidth
}

// stepRows lays the steps of the newest attempt out in time, with those still
// to come, and what was undone after them.
func stepRows(d pipeline.Deployment, now time.Time) []stepRow {
	records := current(d)
	begin, end := extent(records, now)
	var out []stepRow
	for _, name := range pipeline.StepNames() {
		i := slices.IndexFunc(records, func(s pipeline.StepRecord) bool { return s.Name == name })
		if i < 0 {
			if busy(d) && d.State != pipeline.Live {
				out = append(out, stepRow{Name: name, State: "waiting"})
			}
			continue
		}
		out = append(out, stepRowOf(records[i], d.Color, begin, end, now))
	}
	for _, s := range records {
		if strings.HasPrefix(s.Name, "undo ") {
			out = append(out, stepRowOf(s, d.Color, begin, end, now))
		}
	}
	return out
}

func extent(records []pipeline.StepRecord, now time.Time) (begin, end time.Time) {
	for _, s := range records {
		if begin.IsZero() || s.StartedAt.Before(begin) {
			begin = s.StartedAt
		}
		if until := endOf(s, now); until.After(end) {
			end = until
		}
	}
	return begin, end
}

func endOf(s pipeline.StepRecord, now time.Time) time.Time {
	if s.EndedAt.IsZero() {
		return now
	}
	return s.EndedAt
}

func stepRowOf(s pipeline.StepRecord, c pipeline.Color, begin, end, now time.Time) stepRow {
	out := stepRow{Name: s.Name, State: string(s.State), Note: s.Detail, Fill: fill(s, c)}
	if s.Error != "" {
		out.Note = s.Error
	}
	if s.State != pipeline.StepSkipped {
		out.Took = span(s.StartedAt, endOf(s, now))
	}
	if whole := end.Sub(begin); whole > 0 {
		at := func(t time.Time) int { return int(barWidth * t.Sub(begin) / whole) }
		out.X = min(at(s.StartedAt), barWidth-6)
		out.W = max(at(endOf(s, now))-out.X, 6)
	}
	return out
}

// fill is the color of a bar: trouble and work under way have theirs, else the
// side on which the step acts, or ink where it is neither's.
func fill(s pipeline.StepRecord, c pipeline.Color) string {
	switch {
	case s.State == pipeline.StepFailed:
		return "red"
	case s.State == pipeline.StepRunning:
		return "amber"
	case s.State == pipeline.StepUndone, s.State == pipeline.StepSkipped:
		return "rest"
	}
	switch s.Name {
	case "start", "probe", "hand over early", "cut over", "guard", "hand over":
		return string(c)
	case "drain", "stop old":
		return string(c.Other())
	}
	return "ink"
}
