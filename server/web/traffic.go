package web

import (
	"fmt"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

const (
	rateWindow  = 10 * time.Second // what rates are taken over
	keptByProxy = time.Minute      // how long the proxy has single numbers
)

// perSecond is how many requests come in a second, in words.
func perSecond(st Stats, of func(Traffic) bool) string {
	var n uint32
	for _, t := range st.Traffic {
		if !of(t) {
			continue
		}
		for _, b := range t.Recent {
			if st.At.Sub(b.At) <= rateWindow {
				n += b.Requests
			}
		}
	}
	rate := float64(n) / rateWindow.Seconds()
	switch {
	case n == 0:
		return "no requests now"
	case rate < 9.5:
		return fmt.Sprintf("%.1f requests/s", rate)
	}
	return thousands(int64(rate+.5)) + " requests/s"
}

// spark is an app's last minute as a line, second by second.
type spark struct {
	Points string
	Errors []bar
	Words  string
}

// bar is an upright rectangle.
type bar struct {
	Class         string
	X, Y, W, High float64
}

const (
	sparkWidth  = 144
	sparkHeight = 30
	sparkSlots  = 60
)

// sparkOf draws the last whole minute of an app; nil without numbers.
func sparkOf(st Stats, appID string) *spark {
	if st.At.IsZero() {
		return nil
	}
	var all, bad [sparkSlots]uint32
	for _, t := range st.Traffic {
		if t.AppID != appID {
			continue
		}
		for _, b := range t.Recent {
			if slot := sparkSlots - 1 - int(st.At.Sub(b.At)/time.Second); slot >= 0 && slot < sparkSlots {
				all[slot] += b.Requests
				bad[slot] += b.ServerErrors
			}
		}
	}
	var most, sum, failed uint32
	for i := range all {
		most, sum, failed = max(most, all[i]), sum+all[i], failed+bad[i]
	}
	out := &spark{Words: fmt.Sprintf("%s in the last minute, %s", plural(int(sum), "request"), failedWords(failed))}
	var points []string
	for i, n := range all {
		x := float64(i) * sparkWidth / (sparkSlots - 1)
		points = append(points, fmt.Sprintf("%.1f,%.1f", x, scale(n, most)))
		if bad[i] > 0 {
			y := scale(bad[i], most)
			out.Errors = append(out.Errors, bar{Class: "red", X: x - 1, Y: y, W: 2, High: sparkHeight - y})
		}
	}
	out.Points = strings.Join(points, " ")
	return out
}

func scale(n, most uint32) float64 {
	if most == 0 {
		return sparkHeight - 1
	}
	return sparkHeight - 1 - float64(n)/float64(most)*(sparkHeight-4)
}

func failedWords(n uint32) string {
	if n == 0 {
		return "none failed"
	}
	return thousands(int64(n)) + " failed"
}

// cutover is the picture of the moment in which visitors moved.
type cutover struct {
	Bars    []bar
	Words   string // says the same as the bars
	Failed  string // short, for the heading
	Missing string // why there is no picture
	Detail  string // what the step saw
}

const (
	cutoverSlots  = 60 // half before, half after
	cutoverWidth  = 720
	cutoverHeight = 90
)

// cutoverOf draws three seconds before and after visitors moved, as long as the
// proxy has the numbers.
func cutoverOf(d pipeline.Deployment, st Stats) cutover {
	out := cutover{}
	for _, s := range current(d) {
		if s.Name == "cut over" {
			out.Detail = s.Detail
		}
	}
	if d.Carries != "" {
		out.Missing = "Nothing changed with this commit: visitors stayed where they were."
		return out
	}
	if d.LiveAt.IsZero() {
		out.Missing = "Visitors were not moved to this release."
		switch {
		case d.State == pipeline.Stuck:
			out.Missing = "It is not known whether visitors were moved."
		case busy(d):
			out.Missing = "Visitors have not been moved yet."
		}
		return out
	}
	before, after, failed := countCutover(d, st)
	var most, sums [2]uint32
	for i := range before {
		most[0] = max(most[0], before[i]+after[i])
		sums[0], sums[1] = sums[0]+before[i], sums[1]+after[i]
	}
	if most[0] == 0 {
		out.Missing = "No numbers of this cutover are left: the proxy keeps those of the last minute."
		return out
	}
	var bad uint32
	for i := range before {
		out.Bars = append(out.Bars, stacked(i, most[0], []uint32{before[i], after[i], failed[i]}, d.Color)...)
		bad += failed[i]
	}
	all := sums[0] + sums[1]
	out.Failed = fmt.Sprintf("%s of %s requests failed", thousands(int64(bad)), thousands(int64(all)))
	out.Words = fmt.Sprintf("Requests per 100 ms around the cutover: %s answered by %s, %s by %s; %s.",
		thousands(int64(sums[0])), d.Color.Other(), thousands(int64(sums[1])), d.Color, failedWords(bad))
	return out
}

// countCutover sorts the requests around the cutover into slots: answered by
// others, by this deployment, and failed ones among both.
func countCutover(d pipeline.Deployment, st Stats) (before, after, failed [cutoverSlots]uint32) {
	if st.Bucket <= 0 {
		return before, after, failed
	}
	begin := d.LiveAt.Add(-cutoverSlots / 2 * st.Bucket)
	for _, t := range st.Traffic {
		if t.AppID != d.AppID {
			continue
		}
		for _, b := range t.Recent {
			past := b.At.Sub(begin)
			slot := int(past / st.Bucket)
			if past < 0 || slot >= cutoverSlots {
				continue
			}
			failed[slot] += b.ServerErrors
			if t.Deployment == d.ID {
				after[slot] += b.Requests
			} else {
				before[slot] += b.Requests
			}
		}
	}
	return before, after, failed
}

// stacked draws one slot: the counts on top of each other, failed ones in front.
func stacked(slot int, most uint32, n []uint32, c pipeline.Color) []bar {
	const wide = float64(cutoverWidth) / cutoverSlots
	x, high := float64(slot)*wide, func(n uint32) float64 { return float64(n) / float64(most) * cutoverHeight }
	var out []bar
	foot := float64(cutoverHeight)
	for i, class := range []string{string(c.Other()), string(c)} {
		if n[i] > 0 {
			foot -= high(n[i])
			out = append(out, bar{Class: class, X: x, Y: foot, W: wide - 3, High: high(n[i])})
		}
	}
	if n[2] > 0 {
		out = append(out, bar{Class: "red", X: x, Y: cutoverHeight - high(n[2]), W: wide - 3, High: high(n[2])})
	}
	return out
}
