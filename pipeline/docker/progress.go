package docker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	controlapi "github.com/moby/buildkit/api/services/control"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Limits on what is kept and written of a build's output.
const (
	longLine = 16 << 10 // bytes after which a line is cut in two
	tail     = 20       // lines kept of each step, for the error
)

// progress writes a build's events as lines a person can read: each step gets a
// number, with which every line of it begins.
type progress struct {
	out   io.Writer
	steps map[string]*step
	order []*step // as they began
}

// step is one vertex of the build's graph.
type step struct {
	number  int
	name    string
	started time.Time
	ended   bool
	err     string
	partial []byte   // a line whose end did not come yet
	last    []string // its last lines
}

func newProgress(out io.Writer) *progress {
	return &progress{out: out, steps: map[string]*step{}}
}

// trace takes the aux of one moby.buildkit.trace message.
func (p *progress) trace(aux json.RawMessage) error {
	var raw []byte
	if err := json.Unmarshal(aux, &raw); err != nil {
		return fmt.Errorf("decode the build's progress: %w", err)
	}
	var response controlapi.StatusResponse
	if err := response.UnmarshalVT(raw); err != nil {
		return fmt.Errorf("decode the build's progress: %w", err)
	}
	return p.status(newsOf(&response))
}

// news is what one message of the builder tells. The fields are those of
// BuildKit's control API; its own client, which has them too, would make the
// program a few megabytes larger.
type news struct {
	Vertexes []*vertex
	Logs     []*output
}

// vertex is a step of the build as the builder sees it.
type vertex struct {
	Digest, Name       string
	Started, Completed *time.Time // nil: not yet
	Error              string
	Cached             bool
}

// output is a piece of what a step wrote.
type output struct {
	Vertex    string // its digest
	Data      []byte
	Timestamp time.Time
}

func newsOf(r *controlapi.StatusResponse) *news {
	out := &news{}
	for _, v := range r.Vertexes {
		out.Vertexes = append(out.Vertexes, &vertex{
			Digest: v.Digest, Name: v.Name, Started: timeOf(v.Started), Completed: timeOf(v.Completed), Error: v.Error, Cached: v.Cached,
		})
	}
	for _, l := range r.Logs {
		out.Logs = append(out.Logs, &output{Vertex: l.Vertex, Data: l.Msg, Timestamp: l.Timestamp.AsTime()})
	}
	return out
}

func timeOf(t *timestamppb.Timestamp) *time.Time {
	if t == nil {
		return nil
	}
	at := t.AsTime()
	return &at
}

// status writes what is new. Logs come before the ends of steps, for a message
// may hold both.
func (p *progress) status(s *news) error {
	for _, v := range s.Vertexes {
		if err := p.begin(v); err != nil {
			return err
		}
	}
	for _, l := range s.Logs {
		if err := p.log(l); err != nil {
			return err
		}
	}
	for _, v := range s.Vertexes {
		if err := p.end(v); err != nil {
			return err
		}
	}
	return nil
}

func (p *progress) begin(v *vertex) error {
	if v.Started == nil || p.steps[v.Digest] != nil {
		return nil
	}
	s := &step{number: len(p.order) + 1, name: shorten(oneLine(v.Name), 300), started: *v.Started}
	p.steps[v.Digest] = s
	p.order = append(p.order, s)
	if v.Cached {
		return nil // its end says all
	}
	_, err := fmt.Fprintf(p.out, "#%d %s\n", s.number, s.name)
	return err
}

func (p *progress) log(l *output) error {
	s := p.steps[l.Vertex]
	if s == nil {
		return nil
	}
	s.partial = append(s.partial, l.Data...)
	for {
		end := bytes.IndexByte(s.partial, '\n')
		if end < 0 && len(s.partial) < longLine {
			return nil
		}
		if end < 0 || end > longLine {
			end = longLine
		}
		line := string(s.partial[:end])
		s.partial = bytes.TrimPrefix(s.partial[end:], []byte("\n"))
		if err := p.line(s, l.Timestamp, line); err != nil {
			return err
		}
	}
}

func (p *progress) line(s *step, at time.Time, text string) error {
	text = strings.TrimRight(text, "\r")
	s.last = append(s.last, text)
	if len(s.last) > tail {
		s.last = s.last[1:]
	}
	_, err := fmt.Fprintf(p.out, "#%d %.1f %s\n", s.number, max(0, at.Sub(s.started).Seconds()), text)
	return err
}

func (p *progress) end(v *vertex) error {
	s := p.steps[v.Digest]
	if s == nil || s.ended || v.Completed == nil {
		return nil
	}
	s.ended = true
	if len(s.partial) > 0 {
		text := string(s.partial)
		s.partial = nil
		if err := p.line(s, *v.Completed, text); err != nil {
			return err
		}
	}
	var err error
	switch {
	case v.Error != "":
		s.err = v.Error
		_, err = fmt.Fprintf(p.out, "#%d ERROR %s\n", s.number, oneLine(v.Error))
	case v.Cached:
		_, err = fmt.Fprintf(p.out, "#%d %s CACHED\n", s.number, s.name)
	default:
		_, err = fmt.Fprintf(p.out, "#%d DONE %.1fs\n", s.number, v.Completed.Sub(s.started).Seconds())
	}
	return err
}

// failed is the step that the build failed at, nil if it failed otherwise. Steps
// that only were stopped because another one failed are not meant.
func (p *progress) failed() *step {
	for _, s := range p.order {
		if s.err != "" && !strings.Contains(s.err, "context canceled") {
			return s
		}
	}
	return nil
}

// oneLine makes text of unknown origin fit for a line of its own.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
}

// shorten cuts a text to at most n bytes, at the end of a character.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
