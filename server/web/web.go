package web

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

//go:embed templates/*.html
var templateFiles embed.FS

// Options is what the pages need.
type Options struct {
	Store      Store
	Commands   Commands
	Logs       LogFiles
	Auth       Auth
	AuthErrors AuthErrors                                       // as Auth returns them
	Actor      func(ctx context.Context) (pipeline.Actor, bool) // who is signed in
	Stats      func(ctx context.Context) (Stats, error)         // nil: no numbers
	Doctor     func(ctx context.Context) []Check                // nil: no checks
	Drift      func(appID string) []pipeline.Drift              // what was changed by hand; nil: nobody looks
	Follow     FollowLog                                        // see FollowLogOf
	Plain      bool                                             // visitors come over http, not https
	Settings   []Setting                                        // shown as they are: without secrets
	Now        func() time.Time                                 // nil: time.Now
	Logger     *slog.Logger                                     // nil: discards
	Every      time.Duration                                    // how often a stream looks at its deployment; 0: 500 ms
}

// Web has a method for each page.
type Web struct {
	o      Options
	pages  map[string]*template.Template
	assets assets
}

// New parses the templates. The error is about options or templates.
func New(o Options) (*Web, error) {
	if o.Store == nil || o.Commands == nil || o.Logs == nil || o.Auth == nil || o.Follow == nil || o.Actor == nil {
		return nil, errors.New("web: store, commands, logs, auth, follow and actor are all needed")
	}
	if o.Drift == nil {
		o.Drift = func(string) []pipeline.Drift { return nil }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Every <= 0 {
		o.Every = 500 * time.Millisecond
	}
	a, err := loadAssets()
	if err != nil {
		return nil, err
	}
	s := &Web{o: o, assets: a}
	if s.pages, err = s.parse(); err != nil {
		return nil, fmt.Errorf("parse templates: %w", err)
	}
	return s, nil
}

// parse makes one set of templates for each page, out of the page's own file
// and those that all share.
func (s *Web) parse() (map[string]*template.Template, error) {
	base, err := template.New("").Funcs(s.functions()).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	out := map[string]*template.Template{}
	for _, file := range files {
		page, err := base.Clone()
		if err != nil {
			return nil, err
		}
		name := path.Base(file)
		if name == "layout.html" || name == "parts.html" {
			continue
		}
		if out[name[:len(name)-len(".html")]], err = page.ParseFS(templateFiles, file); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Web) functions() template.FuncMap {
	return template.FuncMap{
		"when": func(t time.Time) moment { return momentOf(t, s.o.Now()) },
		"word": word, "short": pipeline.Short, "asset": s.assets.path, "number": thousands, "bytes": bytesOf, "remedy": remedyOf, "brief": brief, "sentence": sentence,
		"visit":  s.visit,
		"lines":  func(n int64) string { return plural(int(n), "line") },
		"branch": func(ref string) string { return strings.TrimPrefix(ref, "refs/heads/") },
		"more":   func(n int) string { return plural(n-1, "other") },
	}
}

// visit is where visitors come in.
func (s *Web) visit(r pipeline.Route) string {
	if s.o.Plain {
		return "http://" + r.Host + r.Prefix()
	}
	return "https://" + r.Host + r.Prefix()
}

// render sends a page, whole or not at all.
func (s *Web) render(w http.ResponseWriter, r *http.Request, status int, name string, page any) {
	text, err := s.fragment(name, "layout", page)
	if err != nil {
		s.o.Logger.ErrorContext(r.Context(), "render page", "page", name, "error", err)
		http.Error(w, "This page cannot be shown; the server's log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text) // a browser that is gone is not told
}

// fragment renders one template of a page's set.
func (s *Web) fragment(page, name string, data any) ([]byte, error) {
	set, ok := s.pages[page]
	if !ok {
		return nil, fmt.Errorf("no template %q", page)
	}
	var buf bytes.Buffer
	if err := set.ExecuteTemplate(&buf, name, data); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// frame is what is around every page.
type frame struct {
	Title     string
	Section   string // which entry of the navigation is this one's
	Who       string // empty: nobody is signed in
	Role      pipeline.Role
	CanDeploy bool
	CanAdmin  bool
	Done      string // what a button just did
	Live      int    // seconds between looks for news; 0: the page does not change by itself
}

func (s *Web) frame(r *http.Request, section, title string) frame {
	f := frame{Title: title, Section: section, Done: done(r.URL.Query().Get("done"))}
	if by, ok := s.o.Actor(r.Context()); ok && by.Role != "" {
		f.Who, f.Role = by.Name, by.Role
		f.CanDeploy, f.CanAdmin = by.Role.Includes(pipeline.Deployer), by.Role.Includes(pipeline.Admin)
	}
	return f
}

// done is the sentence about what a button did. The address only names it: a
// link cannot put words into a page.
func done(code string) string {
	return map[string]string{
		"added":     "The app was added. Its first deployment begins with its branch, or with Redeploy.",
		"redeploy":  "A deployment was queued.",
		"rollback":  "Going back to the earlier release.",
		"cancel":    "The deployment is being canceled; what it did is taken back.",
		"resolve":   "Your decision was written down.",
		"changed":   "The settings were stored. Routes, redirects and files take effect with the next deployment.",
		"env":       "The variable was set. The next deployment has it.",
		"file":      "The file was set. The next deployment has it.",
		"fileunset": "The file is gone. The next deployment is without it.",
		"unset":     "The variable is gone. The next deployment is without it.",
		"mode":      "Done: visitors are met as you said.",
		"modelater": "It was stored, and comes into force right after the first deployment, or as soon as the proxy answers.",
		"revoked":   "The token was revoked.",
		"replay":    "The delivery was decided about once more; the newest line says what came of it.",
	}[code]
}

// stats are the proxy's numbers, or none: no page waits long for them.
func (s *Web) stats(ctx context.Context) Stats {
	if s.o.Stats == nil {
		return Stats{}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	st, err := s.o.Stats(ctx)
	if err != nil {
		s.o.Logger.WarnContext(ctx, "no numbers from the proxy", "error", err)
		return Stats{}
	}
	return st
}
