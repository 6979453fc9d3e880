package github

import (
	"fmt"
	"html"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Limits of a check run's output. GitHub takes 65,535 characters of summary and
// of text each; we count bytes, so as not to depend on what it counts.
const (
	outputLimit  = 65535
	cellLimit    = 300  // characters of a table's cell
	reasonLimit  = 4000 // characters of the reason
	logLineLimit = 2000 // characters of one log line
)

// summary is the Markdown that a check run shows: why it is as it is, what was
// deployed, and the steps.
func summary(s Subject) string {
	d := s.Deployment
	var b strings.Builder
	if d.Reason != "" {
		b.WriteString(why(d.Reason))
	}
	facts := []string{"Commit " + pipeline.Short(d.Commit)}
	if d.Subject != "" {
		facts[0] += " " + escape(clip(oneLine(rough(d.Subject, 120)), 120))
	}
	facts = append(facts, "trigger "+escape(string(d.Trigger)))
	if d.Color != "" {
		facts = append(facts, "color "+escape(string(d.Color)))
	}
	if d.Attempt > 1 {
		facts = append(facts, fmt.Sprintf("attempt %d", d.Attempt))
	}
	fmt.Fprintf(&b, "%s\n", strings.Join(facts, " · "))
	steps := latestSteps(d)
	if len(steps) == 0 {
		return b.String()
	}
	b.WriteString("\n| Step | State | Took | Seen |\n| --- | --- | ---: | --- |\n")
	for i, step := range steps {
		row := stepRow(step)
		if b.Len()+len(row) > outputLimit-100 {
			fmt.Fprintf(&b, "\n%d further steps are not shown.\n", len(steps)-i)
			break
		}
		b.WriteString(row)
	}
	return b.String()
}

// why is the reason: its first line as text and the others, whose order and
// columns say something, as a block.
func why(reason string) string {
	first, rest, _ := strings.Cut(strings.TrimSpace(reason), "\n")
	text := escape(clip(oneLine(rough(first, reasonLimit)), reasonLimit)) + "\n\n"
	if rest = strings.Trim(rest, "\r\n"); strings.TrimSpace(rest) == "" {
		return text
	}
	var lines []string
	for line := range strings.Lines(rough(rest, reasonLimit)) {
		lines = append(lines, strings.TrimRight(plain(line), " "))
	}
	block := clip(strings.Join(lines, "\n"), reasonLimit)
	fence := strings.Repeat("`", max(2, longestRun(block, '`'))+1) // nothing in the block can close it
	return text + fence + "\n" + block + "\n" + fence + "\n\n"
}

// stepRow is one line of the table. A step that runs has no duration: the row
// would differ each time it is looked at.
func stepRow(s pipeline.StepRecord) string {
	duration := ""
	if !s.EndedAt.IsZero() && s.State != pipeline.StepSkipped {
		duration = took(s.StartedAt, s.EndedAt)
	}
	seen := s.Detail
	if s.Error != "" {
		seen = s.Error
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", cell(s.Name), cell(string(s.State)), duration, cell(seen))
}

// latestSteps are the steps of the newest attempt, each with its newest state,
// in the order in which they began.
func latestSteps(d pipeline.Deployment) []pipeline.StepRecord {
	newest := 0
	for _, s := range d.Steps {
		newest = max(newest, s.Attempt)
	}
	var out []pipeline.StepRecord
	at := map[string]int{}
	for _, s := range d.Steps {
		if s.Attempt != newest {
			continue
		}
		if i, seen := at[s.Name]; seen {
			out[i] = s
			continue
		}
		at[s.Name] = len(out)
		out = append(out, s)
	}
	return out
}

// took is a duration as people read it.
func took(from, to time.Time) string {
	d := max(to.Sub(from), 0)
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

func cell(s string) string { return escape(clip(oneLine(rough(s, cellLimit)), cellLimit)) }

// rough cuts text that may be of any size to what is enough for a number of
// characters, so that cleaning it costs little. Characters have at most four
// bytes; the same again is left for what is taken out.
func rough(s string, characters int) string { return s[:min(len(s), 8*characters)] }

// oneLine takes control characters out and folds white space.
func oneLine(s string) string { return strings.Join(strings.Fields(plain(s)), " ") }

// escape makes text show as it is in GitHub's Markdown: no markup, no HTML, no
// link, no mention of a person or an issue.
func escape(s string) string {
	var b strings.Builder
	for _, r := range html.EscapeString(s) {
		switch r {
		case '@':
			b.WriteString("&#64;")
		case '\\', '`', '*', '_', '[', ']', '|', '~', '#':
			if r == '#' && strings.HasSuffix(b.String(), "&") { // of an entity that EscapeString made
				b.WriteRune(r)
				continue
			}
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// logBlock is the end of a log as a fenced block that nothing in the log can
// close. The oldest lines go first where it would be too long.
func logBlock(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	clean := make([]string, len(lines))
	longest := 2
	for i, line := range lines {
		clean[i] = clip(plain(rough(line, logLineLimit)), logLineLimit)
		longest = max(longest, longestRun(clean[i], '`'))
	}
	fence := strings.Repeat("`", longest+1)
	room := outputLimit - 2*len(fence) - len("Last lines of the log:\n\n\n\n\n")
	first := len(clean)
	for first > 0 && room-len(clean[first-1])-1 >= 0 {
		first--
		room -= len(clean[first]) + 1
	}
	return "Last lines of the log:\n\n" + fence + "\n" + strings.Join(clean[first:], "\n") + "\n" + fence + "\n"
}

func longestRun(s string, of rune) int {
	longest, run := 0, 0
	for _, r := range s {
		if r != of {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

// plain takes terminal sequences and control characters out of text, and what
// is not UTF-8.
func plain(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\x1b':
			i += escapeLength(s[i:])
			continue
		case r == utf8.RuneError && size == 1:
			b.WriteRune(utf8.RuneError)
		case r == '\t' || r == '\n' || r == '\r':
			b.WriteByte(' ')
		case unicode.IsControl(r) || isBidi(r):
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// escapeLength is how many bytes a terminal sequence at the start of s takes
// (ECMA-48: CSI ends at a byte from @ to ~; OSC ends at BEL or ESC \).
func escapeLength(s string) int {
	if len(s) < 2 {
		return 1
	}
	switch s[1] {
	case '[':
		for i := 2; i < len(s); i++ {
			if s[i] >= '@' && s[i] <= '~' {
				return i + 1
			}
		}
		return len(s)
	case ']':
		for i := 2; i < len(s); i++ {
			if s[i] == '\a' {
				return i + 1
			}
			if s[i] == '\x1b' {
				return min(i+2, len(s))
			}
		}
		return len(s)
	}
	return 2
}

// isBidi reports characters that reorder what people see.
func isBidi(r rune) bool { return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 }

// clip cuts text to a number of characters and marks the cut.
func clip(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	n := 0
	for i := range s {
		if n == limit-1 {
			return s[:i] + "…"
		}
		n++
	}
	return s
}
