package proxy

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// table is the whole of what visitors can reach. It is never changed: with and
// without return another one, which shares what stayed the same.
type table struct {
	seq      uint64              // of the last change; an entry's version is the seq it came with
	apps     map[string]*entry   // by app id
	hosts    map[string][]*route // longest prefix first
	replaced chan struct{}       // closed when another table has taken its place

	redirects map[string]redirection // by host; such a host has no routes
}

func newTable(seq uint64) *table {
	return &table{seq: seq, apps: map[string]*entry{}, hosts: map[string][]*route{}, replaced: make(chan struct{})}
}

// entry is one app in the table.
//
// What is to come goes here as further fields, each read in enter or serve and
// kept in the table file. A gradual swing has its place in route.leastBusy: a
// second entry with a share of the visitors (weights), chosen there before the
// targets are, by a cookie so that a visitor stays where he began.
type entry struct {
	pipeline.Entry
	mode     pipeline.Mode // stays when the Entry is swung
	room     *room         // where the app's requests wait, shared with the entries before
	since    time.Time     // when it came to hold in memory
	traffic  *traffic
	routes   []*route
	preview  *preview // nil: there is none
	encoded  []byte   // Entry as it is in the table file
	hsts     string   // header for answers over TLS, empty for none
	counters *appCounters
}

// route is one host and path prefix of an app.
type route struct {
	host    string
	prefix  string
	own     string // what a target is told as the host; empty: what the visitor asked for
	entry   *entry
	traffic *traffic // of the deployment that answers
	preview bool     // it leads to the color that visitors are not on
	targets []*target
	turn    atomic.Uint32 // where the search for the least busy target begins
}

// ask is what a request is routed by.
type ask struct {
	host, path string
	token      [sha256.Size]byte // of the header that asks for a preview
	preview    bool              // there is a token
}

// find returns the route for a request, and whether anybody has the host.
func (t *table) find(a ask) (r *route, known bool) {
	routes := t.hosts[a.host]
	if a.preview {
		for _, r := range routes {
			if shown := r.entry.previewed(a); shown != nil {
				return shown, true
			}
		}
	}
	return longest(routes, a.path), len(routes) > 0
}

// longest returns the first of the routes that covers the path.
func longest(routes []*route, path string) *route {
	for _, r := range routes {
		if covers(r.prefix, path) {
			return r
		}
	}
	return nil
}

// covers reports whether the prefix is of whole path segments: /api covers
// /api and /api/users but not /apiary.
func covers(prefix, path string) bool {
	if prefix == "/" {
		return true
	}
	if !strings.HasPrefix(path, prefix) {
		return false
	}
	return len(path) == len(prefix) || prefix[len(prefix)-1] == '/' || path[len(prefix)] == '/'
}

// with returns the table with the app's entry replaced. It fails if another
// app has one of the routes, or anybody the preview's host.
func (t *table) with(e *entry) (*table, error) {
	next := t.without(e.AppID)
	for _, r := range e.routes {
		there := next.hosts[r.host]
		for _, other := range there {
			if other.prefix == r.prefix || other.preview {
				return nil, taken(r, other)
			}
		}
		next.hosts[r.host] = sorted(append(slices.Clone(there), r))
	}
	if shown := e.preview; shown != nil && shown.host != "" {
		if there := next.hosts[shown.host]; len(there) > 0 {
			return nil, taken(&route{host: shown.host, prefix: "/"}, there[0])
		}
		if other, redirected := next.redirects[shown.host]; redirected {
			return nil, fmt.Errorf("%w preview: app %s redirects host %s", pipeline.ErrInvalid, other.entry.App, shown.host)
		}
		next.hosts[shown.host] = shown.hosted
	}
	if err := next.place(e); err != nil {
		return nil, err
	}
	next.apps[e.AppID] = e
	next.seq = max(next.seq, e.Version)
	return next, nil
}

func taken(r, by *route) error {
	return fmt.Errorf("%w: route %s%s belongs to app %s", pipeline.ErrInvalid, r.host, r.prefix, by.entry.App)
}

// sorted puts the longest prefix first.
func sorted(routes []*route) []*route {
	slices.SortStableFunc(routes, func(a, b *route) int { return cmp.Compare(len(b.prefix), len(a.prefix)) })
	return routes
}

// without returns a table that has no routes of the app.
func (t *table) without(appID string) *table {
	next := newTable(t.seq)
	next.apps, next.hosts, next.redirects = maps.Clone(t.apps), maps.Clone(t.hosts), maps.Clone(t.redirects)
	old := next.apps[appID]
	if old == nil {
		return next
	}
	delete(next.apps, appID)
	next.displace(old)
	for _, host := range old.hosts() {
		rest := slices.DeleteFunc(slices.Clone(next.hosts[host]), func(o *route) bool { return o.entry.AppID == appID })
		if len(rest) == 0 {
			delete(next.hosts, host)
		} else {
			next.hosts[host] = rest
		}
	}
	return next
}

// hosts are those under which the table has the entry, some more than once.
func (e *entry) hosts() []string {
	var out []string
	for _, r := range e.routes {
		out = append(out, r.host)
	}
	if e.preview != nil && e.preview.host != "" {
		out = append(out, e.preview.host)
	}
	return out
}

// canonicalHost is the host as the table has it: lower case, without port,
// brackets and final dot.
func canonicalHost(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		if strings.HasPrefix(host, "[") {
			if end := strings.IndexByte(host, ']'); end > 0 {
				host = host[1:end]
			}
		} else if strings.IndexByte(host, ':') == i {
			host = host[:i]
		}
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
