package proxy

import (
	"encoding/json"
	"fmt"
	"html"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// page is what visitors see where no app answers.
type page struct {
	status int
	title  string
	text   string
	retry  bool // it may be better in a moment

	after time.Duration // or then; 0: in a moment
	html  string        // an operator's own, instead of ours
	meant bool          // an operator wants it so: nothing to hold against the deployment
}

// held is for requests that waited in vain for a mode to end, or found no room.
func held(host string) *page {
	return &page{status: http.StatusServiceUnavailable, title: "One moment",
		text: fmt.Sprintf("%s is busy for a moment. Try again shortly.", host), retry: true, meant: true}
}

// maintenance is the page of the mode of that name.
func maintenance(host string, m pipeline.Mode, now time.Time) *page {
	p := &page{status: http.StatusServiceUnavailable, title: "Down for maintenance",
		text: fmt.Sprintf("%s is down for maintenance. Try again later.", host), retry: true, after: time.Minute, meant: true, html: m.Page}
	if !m.Until.IsZero() {
		p.after = m.Until.Sub(now)
	}
	return p
}

// left is for a visitor who does not wait for the answer any more.
func left() *page {
	return &page{status: visitorLeft, title: "Left", text: "The visitor left."}
}

func badRequest() *page {
	return &page{status: http.StatusBadRequest, title: "Bad request", text: "The request is malformed.", meant: true}
}

func notFound(host string, known bool) *page {
	if known {
		return &page{status: http.StatusNotFound, title: "Nothing here",
			text: fmt.Sprintf("No app answers this path of %s.", host)}
	}
	return &page{status: http.StatusNotFound, title: "No such site",
		text: fmt.Sprintf("This server has no site for %s. If you run it: add a route for this host to an app.", host)}
}

func noTarget(host string) *page {
	return &page{status: http.StatusServiceUnavailable, title: "Not running",
		text: fmt.Sprintf("The app behind %s is not running right now. Try again in a moment.", host), retry: true}
}

func noAnswer(host string, status int) *page {
	return &page{status: status, title: "No answer",
		text: fmt.Sprintf("The app behind %s does not answer. Try again in a moment.", host), retry: true}
}

// refuse sends the page: as HTML, JSON (RFC 9457) or plain text, whichever is
// asked for.
func refuse(w http.ResponseWriter, r *http.Request, p *page) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.retry {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter()))
	}
	kind, body := p.render(r.Header.Get("Accept"))
	h.Set("Content-Type", kind)
	w.WriteHeader(p.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(body)) // a visitor who left
	}
}

// retryAfter is in whole seconds.
func (p *page) retryAfter() int {
	if p.after <= 0 {
		return 5
	}
	return int(math.Ceil(p.after.Seconds()))
}

func (p *page) render(accept string) (kind, body string) {
	switch {
	case strings.Contains(accept, "text/html") && p.html != "":
		return "text/html; charset=utf-8", p.html
	case strings.Contains(accept, "text/html"):
		return "text/html; charset=utf-8", fmt.Sprintf(pageHTML,
			html.EscapeString(p.title), p.status, html.EscapeString(p.title), html.EscapeString(p.text))
	case strings.Contains(accept, "json"):
		raw, _ := json.Marshal(map[string]any{"status": p.status, "title": p.title, "detail": p.text}) // strings and a number
		return "application/problem+json", string(raw) + "\n"
	}
	return "text/plain; charset=utf-8", p.text + "\n"
}

const pageHTML = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>%s</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:20vh auto;padding:0 1rem;color-scheme:light dark}</style>
<h1><small>%d</small> %s</h1>
<p>%s</p>
</html>
`
