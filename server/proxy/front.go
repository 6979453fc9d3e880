package proxy

import (
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

const (
	requestIDHeader = "X-Request-Id"
	requestIDLimit  = 64 // bytes of an id that a visitor brings

	hstsHeader  = "Strict-Transport-Security"
	hstsDefault = 365 * 24 * time.Hour
)

// greet begins a visit, after what visitors may not say was taken off the
// request: it gets an id, which app, answer and access log share.
func (p *Proxy) greet(w http.ResponseWriter, r *http.Request, v *visit) {
	// Only a trusted proxy's word is still there.
	v.secure = r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
	// A visitor's own id is good for following a request through several
	// systems, and of a form that can do no harm in any log.
	if given := r.Header[requestIDHeader]; len(given) == 1 && saneID(given[0]) {
		v.id = given[0]
	} else {
		v.id = rand.Text()
		r.Header[requestIDHeader] = []string{v.id}
	}
	header := w.Header()
	header[requestIDHeader] = []string{v.id}
	delete(header, "Server") // Caddy names itself in it
}

func saneID(id string) bool {
	return id != "" && len(id) <= requestIDLimit && !strings.ContainsFunc(id, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-'
	})
}

// dress adds to an answer of the app, or of ours in its place, what the proxy
// has to say.
func (v *visit) dress(header http.Header) {
	header[requestIDHeader] = []string{v.id} // one, also if the app has named it again
	if v.last {
		header["Connection"] = []string{"close"} // again: an early hint (RFC 8297) takes all with it
	}
	if hsts := v.route.entry.hsts; v.secure && hsts != "" && len(header[hstsHeader]) == 0 {
		header[hstsHeader] = []string{hsts}
	}
}

// hsts is the Strict-Transport-Security (RFC 6797) of an app's answers over
// TLS, empty for none. With certificates of our own authority there is one only
// where the app asks for it: who does not trust that authority any more could
// not pass the browser's warning for a year. Subdomains are not included, they
// may be anybody's.
func (o Options) hsts(f stack.Front) string {
	age := f.HSTS
	if age == 0 && !o.Internal {
		age = hstsDefault
	}
	if f.NoHSTS || age <= 0 {
		return ""
	}
	return "max-age=" + strconv.FormatInt(int64(age/time.Second), 10)
}
