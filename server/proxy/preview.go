package proxy

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"

	"github.com/swingbridge/swingbridge/pipeline"
)

// previewHeader is a request's wish to be answered by the color that visitors
// are not on. Its value is the preview's token.
const previewHeader = "Swingbridge-Preview"

// preview is the color that an entry lets be seen.
type preview struct {
	host   string // of its own, or empty
	token  [sha256.Size]byte
	byName bool     // there is a token
	routes []*route // on the app's hosts, longest prefix first
	hosted []*route // the same on the preview's own host
}

// preview makes the table's form of the entry's preview. The caller holds
// p.changes.
func (p *Proxy) preview(e *entry) *preview {
	from := e.Preview
	if from == nil {
		return nil
	}
	tr := p.trafficOf(pipeline.Entry{
		AppID: e.AppID, App: e.App, Deployment: from.Deployment, Commit: from.Commit, Color: from.Color,
	})
	out := &preview{host: from.Host}
	out.byName = from.Token != ""
	_, _ = hex.Decode(out.token[:], []byte(from.Token)) // validPreview has looked at it
	for _, path := range from.Paths {
		r := &route{host: path.Host, prefix: path.Prefix, entry: e, traffic: tr, preview: true}
		r.targets = tr.targetsAt(path.Targets)
		out.routes = append(out.routes, r)
		if from.Host != "" {
			// An app refuses a host it was not told of, as Django does beyond
			// ALLOWED_HOSTS, so it is told its own. X-Forwarded-Host has the
			// preview's.
			out.hosted = append(out.hosted, &route{
				host: from.Host, prefix: path.Prefix, own: path.Host, entry: e, traffic: tr, preview: true, targets: r.targets,
			})
		}
	}
	sorted(out.routes)
	sorted(out.hosted)
	return out
}

// previewed returns the preview's route for a request with the right token.
func (e *entry) previewed(a ask) *route {
	if e.preview == nil || !e.preview.byName || subtle.ConstantTimeCompare(e.preview.token[:], a.token[:]) == 0 {
		return nil
	}
	for _, r := range e.preview.routes {
		if r.host == a.host && covers(r.prefix, a.path) {
			return r
		}
	}
	return nil
}

// validPreview checks a preview and brings it to the form that the table has.
func (p *Proxy) validPreview(e *pipeline.Entry) error {
	if e.Preview == nil {
		return nil
	}
	shown := *e.Preview
	shown.Host = canonicalHost(shown.Host)
	raw, err := hex.DecodeString(shown.Token)
	switch {
	case shown.Deployment == "":
		return fmt.Errorf("%w preview: it needs a deployment", pipeline.ErrInvalid)
	case err != nil || len(raw) != 0 && len(raw) != sha256.Size:
		return fmt.Errorf("%w preview: the token is to be given as its SHA-256 in hexadecimal", pipeline.ErrInvalid)
	case shown.Host != "" && shown.Host == p.o.ControlPlane.Host:
		return fmt.Errorf("%w preview host %s: this host is Swingbridge's own", pipeline.ErrInvalid, shown.Host)
	}
	shown.Paths = slices.Clone(shown.Paths)
	e.Preview = &shown
	return p.validPaths(shown.Paths)
}

// seePreview reads the request's wish for a preview, before clean takes the
// header away.
func (a *ask) seePreview(r *http.Request) {
	if token := r.Header.Get(previewHeader); token != "" {
		a.token, a.preview = sha256.Sum256([]byte(token)), true
	}
}

// mark tells those in between that what is answered is not the site: search
// engines are not to list it, caches not to give it to visitors.
func (r *route) mark(h http.Header) {
	if !r.preview {
		return
	}
	h.Set("X-Robots-Tag", "noindex")
	if r.own == "" { // on the app's own host
		h.Set("Cache-Control", "private, no-store")
	}
}
