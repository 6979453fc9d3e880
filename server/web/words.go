package web

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/swingbridge/swingbridge/pipeline"
)

// moment is a time as people say it, and as machines do.
type moment struct {
	Machine string // for datetime
	Full    string // for title
	Words   string
}

func momentOf(t, now time.Time) moment {
	if t.IsZero() {
		return moment{Words: "never"}
	}
	t = t.UTC()
	return moment{Machine: t.Format(time.RFC3339), Full: t.Format("2 January 2006, 15:04:05 MST"), Words: ago(t, now.UTC())}
}

func ago(t, now time.Time) string {
	d := now.Sub(t)
	days := int(now.Truncate(24*time.Hour).Sub(t.Truncate(24*time.Hour)) / (24 * time.Hour))
	switch {
	case d < 2*time.Second:
		return "just now"
	case d < time.Minute:
		return plural(int(d.Seconds()), "second") + " ago"
	case d < time.Hour:
		return plural(int(d.Minutes()), "minute") + " ago"
	case d < 24*time.Hour:
		return plural(int(d.Hours()), "hour") + " ago"
	case days == 1:
		return "yesterday"
	case days < 30:
		return plural(days, "day") + " ago"
	}
	return "on " + t.Format("2 January 2006")
}

// span is how long something took; empty where that is not known.
func span(from, to time.Time) string {
	if from.IsZero() || to.Before(from) {
		return ""
	}
	return length(to.Sub(from))
}

func length(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

// word is a state as it is said.
func word(state any) string { return strings.ReplaceAll(fmt.Sprint(state), "_", " ") }

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return thousands(int64(n)) + " " + thing + "s"
}

// thousands writes 1842 as 1,842.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// sentence begins a text of ours with a capital and ends it with a full stop.
func sentence(text string) string {
	first, n := utf8.DecodeRuneInString(text)
	switch {
	case n == 0:
		return ""
	case first != utf8.RuneError:
		text = string(unicode.ToUpper(first)) + text[n:]
	}
	if strings.ContainsAny(text[len(text)-1:], ".!?") || strings.Contains(text, "\n") { // of several lines the last may be a command
		return text
	}
	return text + "."
}

// caused says who or what caused a deployment.
func caused(d pipeline.Deployment) string {
	verb := map[pipeline.Trigger]string{
		pipeline.Push: "pushed", pipeline.Manual: "deployed", pipeline.Redeploy: "redeployed",
		pipeline.Rollback: "rolled back", pipeline.Schedule: "scheduled",
	}[d.Trigger]
	switch {
	case d.Trigger == pipeline.Poll:
		return "found at the branch head"
	case verb == "":
		verb = string(d.Trigger)
	}
	if d.Actor == "" {
		return verb
	}
	return verb + " by " + d.Actor
}

// bytesOf is a size for people.
func bytesOf(n int64) string {
	switch {
	case n < 1<<10:
		return plural(int(n), "byte")
	case n < 1<<20:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/(1<<10)), ".0") + " KiB"
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/(1<<20)), ".0") + " MiB"
}

// brief is a reason without what follows its first paragraph.
func brief(reason string) string {
	first, _, _ := strings.Cut(reason, "\n\n")
	return first
}

// remedy is what to do about a drift: words, then a command if there is one.
type remedy struct{ Words, Command string }

func remedyOf(fix string) remedy {
	if i := strings.Index(fix, "docker "); i >= 0 {
		return remedy{Words: strings.TrimSuffix(sentence(strings.TrimSpace(fix[:i])), "."), Command: fix[i:]}
	}
	return remedy{Words: sentence(fix)}
}
