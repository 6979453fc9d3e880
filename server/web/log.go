package web

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

const (
	logPiece  = 256 << 10 // how much of a log is read at a time, in bytes
	logShown  = 1 << 20   // how much of a log's end a page shows, in bytes
	shortPart = 40        // sections of so few lines are open
)

// logView is a log folded by step.
type logView struct {
	Sections []*logSection
	Lines    int64 // of the whole log
	Left     int64 // lines before the first one shown
	At       place // where the stream goes on
	Open     bool  // more will come
	elided   int64 // bytes of the next line that were not kept, for it is too long
}

// place is a position in a log: right before the line with the number.
type place struct {
	Offset int64
	Line   int64
}

// logSection are the lines of one step.
type logSection struct {
	N     int // counted from 0, the lines before the first step included
	Name  string
	State string
	Took  string
	Lines []logLine
	Fold  bool  // closed until someone opens it
	End   place // right after its last line
}

type logLine struct {
	N    int64
	HTML template.HTML
}

// Count says how many lines there are.
func (s *logSection) Count() string { return plural(len(s.Lines), "line") }

// mark is where the lines of a step begin.
type mark struct {
	offset int64
	step   pipeline.StepRecord
}

// marksOf are all steps of all attempts as the log has them. What was written
// before the first one belongs to the mark at the beginning.
func marksOf(d pipeline.Deployment) []mark {
	out := []mark{{step: pipeline.StepRecord{Name: "before the first step"}}}
	for _, s := range d.Steps {
		if s.LogOffset >= 0 {
			out = append(out, mark{s.LogOffset, s})
		}
	}
	slices.SortStableFunc(out[1:], func(a, b mark) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), a.step.StartedAt.Compare(b.step.StartedAt))
	})
	return out
}

// markAt is the index of the mark that the line at offset belongs to.
func markAt(marks []mark, offset int64) int {
	i := len(marks) - 1
	for i > 0 && marks[i].offset > offset {
		i--
	}
	return i
}

func sectionOf(n int, m mark, d pipeline.Deployment, now time.Time) *logSection {
	s := &logSection{N: n, Name: m.step.Name, State: string(m.step.State)}
	if m.step.Attempt > 0 && d.Attempt > 1 {
		s.Name = fmt.Sprintf("%s (attempt %d)", s.Name, m.step.Attempt)
	}
	if !m.step.StartedAt.IsZero() {
		s.Took = span(m.step.StartedAt, endOf(m.step, now))
	}
	return s
}

func (s *Web) logSize(deployment string) (int64, error) {
	size, err := s.o.Logs.Size(deployment)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, pipeline.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("size of log: %w", err)
	}
	return size, nil
}

// readLog reads the end of a deployment's log and counts what is before it.
func (s *Web) readLog(ctx context.Context, d pipeline.Deployment) (*logView, error) {
	size, err := s.logSize(d.ID)
	if err != nil {
		return nil, err
	}
	at := place{Line: 1}
	if size > logShown {
		if at, err = s.skip(ctx, d.ID, size-logShown); err != nil {
			return nil, err
		}
	}
	view := &logView{Left: at.Line - 1, Lines: at.Line - 1, At: at, Open: busy(d)}
	text := make([]byte, 0, size-at.Offset)
	if err := s.eachPiece(ctx, d.ID, at.Offset, size, func(data []byte) { text = append(text, data...) }); err != nil {
		return nil, err
	}
	view.add(d, text, s.o.Now()) // what is left of it is the stream's
	for i, section := range view.Sections {
		last := i == len(view.Sections)-1
		section.Fold = len(section.Lines) > shortPart && section.State != string(pipeline.StepFailed) && (!last || !view.Open)
	}
	return view, nil
}

// add sorts the lines of text, which begins at v.At, into sections. A line that
// is not complete is returned, unless nothing more will come.
func (v *logView) add(d pipeline.Deployment, text []byte, now time.Time) (rest []byte) {
	marks := marksOf(d)
	for line := range bytes.Lines(text) {
		if v.Open && !bytes.HasSuffix(line, []byte("\n")) {
			return line
		}
		n := markAt(marks, v.At.Offset)
		if len(v.Sections) == 0 || v.Sections[len(v.Sections)-1].N != n {
			v.Sections = append(v.Sections, sectionOf(n, marks[n], d, now))
		}
		section := v.Sections[len(v.Sections)-1]
		section.Lines = append(section.Lines, logLine{v.At.Line, lineHTML(trimEnd(line))})
		v.At.Offset, v.elided = v.At.Offset+int64(len(line))+v.elided, 0
		v.At.Line++
		v.Lines, section.End = v.At.Line-1, v.At
	}
	return nil
}

// skip finds the first line that begins at or after the offset.
func (s *Web) skip(ctx context.Context, id string, offset int64) (place, error) {
	lines := int64(0)
	if err := s.eachPiece(ctx, id, 0, offset, func(data []byte) { lines += int64(bytes.Count(data, []byte("\n"))) }); err != nil {
		return place{}, err
	}
	rest, err := s.o.Logs.ReadAt(id, offset, logPiece)
	if err != nil && !errors.Is(err, io.EOF) {
		return place{}, fmt.Errorf("read log: %w", err)
	}
	if end := bytes.IndexByte(rest, '\n'); end >= 0 {
		return place{Offset: offset + int64(end) + 1, Line: lines + 2}, nil
	}
	return place{Offset: offset, Line: lines + 1}, nil
}

// eachPiece reads a log from one offset to another.
func (s *Web) eachPiece(ctx context.Context, id string, from, to int64, with func([]byte)) error {
	for from < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, err := s.o.Logs.ReadAt(id, from, int(min(logPiece, to-from)))
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read log: %w", err)
		}
		if len(data) == 0 {
			return nil
		}
		with(data)
		from += int64(len(data))
	}
	return nil
}
