package stack

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Problem is one thing in an app's files that cannot be honored.
type Problem struct {
	File    string // path in the repository or "overlay"; empty: it is about the app's settings
	Line    int    // 0: the file as a whole
	Service string // empty: it is about no single service
	Key     string // dotted below the service or the top level
	Message string // what is wrong and what to do about it
	// Permission is what the files ask for and the app is not allowed, values of
	// its variables masked; empty: something else is wrong.
	Permission Permission
}

func (p Problem) String() string { return p.text([]string{p.Service}) }

func (p Problem) text(services []string) string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString(": ")
	}
	switch {
	case len(services) > 1:
		fmt.Fprintf(&b, "services %s: ", strings.Join(services, ", "))
	case services[0] != "":
		fmt.Fprintf(&b, "service %s: ", services[0])
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	return b.String() + p.Message
}

// Refusal says why an app's files cannot be deployed: everything at once, in
// the order of the files.
type Refusal struct {
	Problems []Problem
}

// Missing are the permissions that the files ask for and the app does not
// have, sorted and each once.
func (r *Refusal) Missing() []Permission {
	var out []Permission
	for _, p := range r.Problems {
		if p.Permission != "" {
			out = append(out, p.Permission)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// OnlyMissing reports whether nothing but permissions is in the way. Load
// returns the whole stack then.
func (r *Refusal) OnlyMissing() bool {
	return !slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Permission == "" })
}

// Error lists the problems, one per line; a line that several services share
// through an anchor is said once.
func (r *Refusal) Error() string {
	lines := r.lines()
	if len(lines) == 1 {
		return lines[0]
	}
	return fmt.Sprintf("%d problems in the app's files:\n- %s", len(lines), strings.Join(lines, "\n- "))
}

func (r *Refusal) lines() []string {
	var order []Problem
	services := map[Problem][]string{}
	for _, p := range r.Problems {
		key := p
		key.Service = ""
		if p.Service == "" || services[key] == nil {
			order = append(order, key)
		}
		if !slices.Contains(services[key], p.Service) {
			services[key] = append(services[key], p.Service)
		}
	}
	lines := make([]string, len(order))
	for i, p := range order {
		lines[i] = p.text(services[p])
	}
	return lines
}

// place is where something stands.
type place struct {
	file string
	line int
}

func (p place) String() string { return fmt.Sprintf("%s:%d", p.file, p.line) }

// findings collects what is wrong with the files, each thing once.
type findings struct {
	problems []Problem
	notes    []Problem
	files    []string            // in the order in which problems are listed
	garbled  map[place]bool      // lines whose value is unknown: nothing further is said about them
	refused  map[*yaml.Node]bool // keys that were refused
	blocking bool                // compose-go's own complaint would only repeat what was found
}

func newFindings() *findings {
	return &findings{garbled: map[place]bool{}, refused: map[*yaml.Node]bool{}}
}

func (f *findings) add(at place, service, key, format string, args ...any) {
	if f.garbled[at] && at.line > 0 {
		return
	}
	p := Problem{File: at.file, Line: at.line, Service: service, Key: key, Message: fmt.Sprintf(format, args...)}
	if !slices.Contains(f.problems, p) {
		f.problems = append(f.problems, p)
	}
}

// block adds a problem with which compose-go cannot load the files either.
func (f *findings) block(at place, key, format string, args ...any) {
	f.add(at, "", key, format, args...)
	f.blocking = true
}

// forget takes out what was said about a service, and answers its problems.
func (f *findings) forget(service string) []Problem {
	var out []Problem
	f.sort(f.problems)
	f.problems = slices.DeleteFunc(f.problems, func(p Problem) bool {
		if p.Service == service {
			out = append(out, p)
		}
		return p.Service == service
	})
	f.notes = slices.DeleteFunc(f.notes, func(p Problem) bool { return p.Service == service })
	return out
}

func (f *findings) note(at place, service, key, message string) {
	p := Problem{File: at.file, Line: at.line, Service: service, Key: key, Message: message}
	if !slices.Contains(f.notes, p) {
		f.notes = append(f.notes, p)
	}
}

// sentences are the notes in order, nil for none.
func (f *findings) sentences() []string {
	f.sort(f.notes)
	var out []string
	for _, p := range f.notes {
		out = append(out, p.String())
	}
	return out
}

// refusal lists the problems in order.
func (f *findings) refusal() *Refusal {
	f.sort(f.problems)
	return &Refusal{Problems: f.problems}
}

func (f *findings) sort(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(slices.Index(f.files, a.File), slices.Index(f.files, b.File)),
			strings.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			strings.Compare(a.Service, b.Service),
			strings.Compare(a.Key, b.Key),
			strings.Compare(a.Message, b.Message),
		)
	})
}
