package web

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// beatEvery is the pause between signs of life in a stream.
const beatEvery = 15 * time.Second

// Stream is GET /deployments/{id}/stream: pieces of the deployment's page as
// server-sent events. "part" replaces the element of the same id, "section" is
// put at the end of the log, "lines" at the end of its last section, "end" says
// that nothing will follow.
func (s *Web) Stream(w http.ResponseWriter, r *http.Request) {
	d, err := s.o.Store.Deployment(r.Context(), r.PathValue("id"))
	if err != nil {
		status, heading := statusOf(err)
		http.Error(w, heading, status)
		return
	}
	size, err := s.logSize(d.ID)
	if err != nil {
		s.o.Logger.ErrorContext(r.Context(), "stream", "deployment", d.ID, "error", err)
		http.Error(w, "The log cannot be read.", http.StatusInternalServerError)
		return
	}
	at := placeOf(r)
	if at.Offset > size { // a crash of the machine can take back the end of a log
		at = place{Offset: size, Line: at.Line}
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx in between would hold events back
	w.WriteHeader(http.StatusOK)
	f := &feed{
		web: s, w: w, out: http.NewResponseController(w), frame: s.frame(r, "apps", ""), id: d.ID,
		view: logView{At: at, Open: true}, at: at, section: sectionOfPlace(d, at), sent: map[string]string{},
	}
	if f.out.Flush() != nil || f.parts(r.Context(), d) != nil {
		return // the browser is gone
	}
	f.run(r.Context())
}

// placeOf is where the browser wants to go on: after the last event it had, or
// where the page ended.
func placeOf(r *http.Request) place {
	offset, line := r.URL.Query().Get("offset"), r.URL.Query().Get("line")
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		offset, line, _ = strings.Cut(last, "-")
	}
	var p place
	p.Offset, _ = strconv.ParseInt(offset, 10, 64) // the beginning where it cannot be read
	p.Line, _ = strconv.ParseInt(line, 10, 64)
	return place{Offset: max(p.Offset, 0), Line: max(p.Line, 1)}
}

// sectionOfPlace is the section that the page ended with; none at its beginning.
func sectionOfPlace(d pipeline.Deployment, at place) int {
	if at.Offset == 0 {
		return -1
	}
	return markAt(marksOf(d), at.Offset-1)
}

// feed is one browser's stream.
type feed struct {
	web     *Web
	w       http.ResponseWriter
	out     *http.ResponseController
	frame   frame
	id      string
	view    logView           // what was read and not sent yet
	at      place             // after what was sent: where a browser that comes back goes on
	held    []byte            // beginning of a line whose rest is not there yet
	section int               // the last one the browser has
	sent    map[string]string // parts as the browser has them
}

// piece is what following a log yields.
type piece struct {
	chunk Chunk
	err   error
}

// run sends what comes until the log is closed for good, or someone leaves.
func (f *feed) run(ctx context.Context) {
	pieces, stop := f.pump(ctx)
	defer stop()
	look, beat := time.NewTicker(f.web.o.Every), time.NewTicker(beatEvery)
	defer look.Stop()
	defer beat.Stop()
	for {
		var over bool
		var err error
		select {
		case p, open := <-pieces:
			switch {
			case ctx.Err() != nil, p.err != nil:
				return // without an end: the browser comes back
			case !open:
				over = true
			}
			err = f.news(ctx, p.chunk.Data, over)
		case <-look.C:
			over, err = f.look(ctx)
		case <-beat.C:
			err = f.write(":\n\n")
		case <-ctx.Done():
			return
		}
		if over && err == nil {
			err = f.end()
		}
		if over || err != nil {
			return
		}
	}
}

// end says that nothing will follow, also to whoever reads the page.
func (f *feed) end() error {
	whole := logView{Lines: f.view.At.Line - 1}
	if err := f.part("log-state", "log-state", whole); err != nil {
		return err
	}
	if whole.Lines == 0 {
		if err := f.part("no-lines", "no-lines", whole); err != nil {
			return err
		}
	}
	return f.send("end", []byte("end"))
}

// pump makes a channel of what follows, which a select needs. stop ends it and
// waits for it.
func (f *feed) pump(ctx context.Context) (_ <-chan piece, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	pieces, done, begin := make(chan piece), make(chan struct{}), f.at.Offset
	go func() {
		defer close(done)
		defer close(pieces)
		for c, err := range f.web.o.Follow(ctx, f.id, begin) {
			select {
			case pieces <- piece{c, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return pieces, func() { cancel(); <-done }
}

// look sends what changed about the deployment. It is over without a log where
// the deployment ended without ever having run.
func (f *feed) look(ctx context.Context) (over bool, err error) {
	d, err := f.web.o.Store.Deployment(ctx, f.id)
	if err != nil {
		return false, fmt.Errorf("look at deployment: %w", err)
	}
	return d.State.Ended() && d.StartedAt.IsZero(), f.parts(ctx, d)
}

// news sends new lines, each under the step that it belongs to.
func (f *feed) news(ctx context.Context, data []byte, over bool) error {
	if len(f.held) > maxLine && !over && !bytes.ContainsRune(data, '\n') {
		f.view.elided += int64(len(data)) // no page shows so much of a line
		return nil
	}
	d, err := f.web.o.Store.Deployment(ctx, f.id)
	if err != nil {
		return fmt.Errorf("look at deployment: %w", err)
	}
	f.view.Open = !over
	f.held = bytes.Clone(f.view.add(d, append(f.held, data...), f.web.o.Now()))
	defer func() { f.view.Sections = nil }()
	for _, section := range f.view.Sections {
		if err := f.lines(section); err != nil {
			return err
		}
	}
	if over {
		return f.parts(ctx, d)
	}
	return nil
}

func (f *feed) lines(section *logSection) error {
	event := "lines"
	if section.N != f.section {
		event, f.section = "section", section.N
	}
	html, err := f.web.fragment("deployment", event, section)
	if err != nil {
		return err
	}
	f.at = section.End
	return f.send(event, html)
}

// parts sends those pieces of the page that are not as the browser has them.
func (f *feed) parts(ctx context.Context, d pipeline.Deployment) error {
	page, err := f.web.deploymentPage(ctx, f.frame, d)
	if err != nil {
		return err
	}
	for _, name := range []string{"head", "actions", "why", "steps", "cutover", "release"} {
		if err := f.part(name, name, page); err != nil {
			return err
		}
	}
	for n, m := range marksOf(d) {
		if n > f.section {
			break
		}
		section := sectionOf(n, m, d, f.web.o.Now())
		if err := f.part(fmt.Sprint("standing-", n), "standing", section); err != nil {
			return err
		}
	}
	return nil
}

// part sends a piece of the page unless the browser has it as it is.
func (f *feed) part(key, name string, data any) error {
	html, err := f.web.fragment("deployment", name, data)
	if err != nil || f.sent[key] == string(html) {
		return err
	}
	f.sent[key] = string(html)
	return f.send("part", html)
}

// send writes one event: a data field for each line, carriage returns taken for
// line feeds as browsers do, so that no text of others can begin a field.
func (f *feed) send(event string, html []byte) error {
	var buf bytes.Buffer
	fmt.Fprintf(&buf, "event: %s\nid: %d-%d\n", event, f.at.Offset, f.at.Line)
	html = bytes.ReplaceAll(bytes.ReplaceAll(html, []byte("\r\n"), []byte("\n")), []byte("\r"), []byte("\n"))
	for line := range bytes.SplitSeq(html, []byte("\n")) {
		buf.WriteString("data: ")
		buf.Write(line)
		buf.WriteByte('\n')
	}
	buf.WriteByte('\n')
	return f.write(buf.String())
}

func (f *feed) write(text string) error {
	if _, err := f.w.Write([]byte(text)); err != nil {
		return err
	}
	return f.out.Flush()
}
