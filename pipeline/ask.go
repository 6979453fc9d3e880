package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// PermissionDiff compares what a commit asks for of the host with what the live
// release has of it, in the words of `swingbridge app allow`, sorted.
type PermissionDiff struct {
	Live    string   // commit of the live release; empty: nothing is live
	Had     []string // what the live release has
	New     []string // what the commit asks for beyond that
	Gone    []string // what the live release has and the commit no longer asks for
	Missing []string // of what the commit asks for, what the app is not allowed
	Allow   string   // the command that allows it; empty: nothing is missing
}

// Changes reports whether there is something to look at.
func (d PermissionDiff) Changes() bool { return len(d.New)+len(d.Gone)+len(d.Missing) > 0 }

// PermissionLine is one line of the diff.
type PermissionLine struct {
	Sign    string // + is new, - is gone, a space is neither
	Word    string
	Missing bool // the app is not allowed it
}

func (l PermissionLine) String() string {
	if l.Missing {
		return l.Sign + " " + l.Word + " (not allowed)"
	}
	return l.Sign + " " + l.Word
}

// Lines are the permissions as a diff has them, by their words.
func (d PermissionDiff) Lines() []PermissionLine {
	var out []PermissionLine
	for _, word := range sorted(slices.Concat(d.Had, d.New, d.Missing)) {
		l := PermissionLine{Sign: " ", Word: word, Missing: slices.Contains(d.Missing, word)}
		switch {
		case slices.Contains(d.New, word):
			l.Sign = "+"
		case slices.Contains(d.Gone, word):
			l.Sign = "-"
		}
		out = append(out, l)
	}
	return out
}

// Heading says with what is compared.
func (d PermissionDiff) Heading() string {
	if d.Live == "" {
		return "Permissions; nothing is live yet:"
	}
	return "Permissions, compared with the live release of " + Short(d.Live) + ":"
}

// Remedy says how what is missing is allowed; empty: nothing is.
func (d PermissionDiff) Remedy() string {
	switch {
	case d.Allow == "":
		return ""
	case strings.Contains(d.Allow, "${"):
		return "To allow it, with the values filled in: " + d.Allow
	}
	return "To allow it: " + d.Allow
}

// changes are those of Lines that are not as they were.
func (d PermissionDiff) changes() []string {
	var out []string
	for _, l := range d.Lines() {
		if l.Sign != " " || l.Missing {
			out = append(out, strings.TrimSpace(l.String()))
		}
	}
	return out
}

// String is the diff as it ends a failure's reason and stands in a log.
func (d PermissionDiff) String() string {
	text := d.Heading()
	for _, l := range d.Lines() {
		text += "\n" + l.String()
	}
	if d.Allow != "" {
		text += "\n" + d.Remedy()
	}
	return text
}

// permissionDiff compares what the files ask for with what the live release has.
// Where they could not be read to their end, refused has what is known of them.
func (x *run) permissionDiff(asked stack.Stack, refused error) PermissionDiff {
	d := PermissionDiff{Live: x.live.Commit}
	if x.live.ID != "" {
		d.Had = x.words(x.liveRel.Stack.Permissions())
	}
	asks := x.words(asked.Permissions())
	refusal, whole := (*stack.Refusal)(nil), true
	if errors.As(refused, &refusal) {
		d.Missing, whole = x.words(refusal.Missing()), refusal.OnlyMissing()
		asks = sorted(slices.Concat(asks, d.Missing))
	}
	d.New = without(asks, d.Had)
	if whole {
		d.Gone = without(d.Had, asks)
	}
	if len(d.Missing) > 0 {
		d.Allow = x.masked(stack.Allow(x.app.Name, refusal.Missing()))
	}
	return d
}

// words are permissions for people: without the values of variables.
func (x *run) words(permissions []stack.Permission) []string {
	out := make([]string, 0, len(permissions))
	for _, p := range permissions {
		out = append(out, x.masked(stack.Veiled(string(p), x.env)))
	}
	return sorted(out)
}

func sorted(words []string) []string {
	slices.Sort(words)
	return slices.Compact(words)
}

func without(words, others []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(w string) bool { return slices.Contains(others, w) })
}

// withDiff adds to a refusal what the live release has of what is missing, and
// the one command that allows it all.
func (x *run) withDiff(asked stack.Stack, refused error) error {
	if refusal := (*stack.Refusal)(nil); !errors.As(refused, &refusal) || len(refusal.Missing()) == 0 {
		return refused
	}
	return fmt.Errorf("%w\n\n%s", refused, x.permissionDiff(asked, refused))
}
