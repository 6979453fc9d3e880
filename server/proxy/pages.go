package proxy

import (
	"fmt"
	"html"
	"net/http"
	"strings"
)

// page is what visitors see where no app answers.
type page struct {
	status int
	title  string
	text   string
	retry  bool // it may be better in a moment
}

func notFound(host string, known bool) page {
	if known {
		return page{http.StatusNotFound, "Nothing here",
			fmt.Sprintf("No app answers this path of %s.", host), false}
	}
	return page{http.StatusNotFound, "No such site",
		fmt.Sprintf("This server has no site for %s. If you run it: add a route for this host to an app.", host), false}
}

func noTarget(host string) page {
	return page{http.StatusServiceUnavailable, "Not running",
		fmt.Sprintf("The app behind %s is not running right now. Try again in a moment.", host), true}
}

func noAnswer(host string, status int) page {
	return page{status, "No answer", fmt.Sprintf("The app behind %s does not answer. Try again in a moment.", host), true}
}

// refuse sends the page, as plain text to who does not ask for HTML.
func refuse(w http.ResponseWriter, r *http.Request, p page) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.retry {
		h.Set("Retry-After", "5")
	}
	body := p.text + "\n"
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		h.Set("Content-Type", "text/html; charset=utf-8")
		body = fmt.Sprintf(pageHTML, html.EscapeString(p.title), p.status, html.EscapeString(p.title), html.EscapeString(p.text))
	} else {
		h.Set("Content-Type", "text/plain; charset=utf-8")
	}
	w.WriteHeader(p.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(body)) // a visitor who left
	}
}

const pageHTML = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>%s</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:20vh auto;padding:0 1rem;color-scheme:light dark}</style>
<h1><small>%d</small> %s</h1>
<p>%s</p>
</html>
`
