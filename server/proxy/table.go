package proxy

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/swingbridge/swingbridge/pipeline"
)

// table is the whole of what visitors can reach. It is never changed: with and
// without return another one, which shares what stayed the same.
type table struct {
	seq   uint64              // of the last change; an entry's version is the seq it came with
	apps  map[string]*entry   // by app id
	hosts map[string][]*route // longest prefix first

	redirects map[string]redirection // by host; such a host has no routes
}

// entry is one app in the table.
//
// What is to come goes here as further fields, each read in admit or serve and
// kept in the table file: hold (wait for a target up to a limit instead of
// 503), maintenance (a page instead of the app), preview (a second deployment
// behind a header or cookie) and weights (shares of a path's targets).
type entry struct {
	pipeline.Entry
	traffic *traffic
	routes  []*route
	encoded []byte // Entry as it is in the table file
	hsts    string // header for answers over TLS, empty for none
}

// route is one host and path prefix of an app.
type route struct {
	host    string
	prefix  string
	entry   *entry
	targets []*target
	turn    atomic.Uint32 // where the search for the least busy target begins
}

// target is one address that answers a route.
type target struct {
	addr     netip.AddrPort
	dial     string
	inflight atomic.Int64
}

// find returns the route for a request, and whether anybody has the host.
func (t *table) find(host, path string) (r *route, known bool) {
	routes := t.hosts[host]
	for _, r := range routes {
		if covers(r.prefix, path) {
			return r, true
		}
	}
	return nil, len(routes) > 0
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
// app has one of the routes.
func (t *table) with(e *entry) (*table, error) {
	next := t.without(e.AppID)
	for _, r := range e.routes {
		there := next.hosts[r.host]
		for _, other := range there {
			if other.prefix == r.prefix {
				return nil, fmt.Errorf("%w: route %s%s belongs to app %s", pipeline.ErrInvalid, r.host, r.prefix, other.entry.App)
			}
		}
		routes := append(slices.Clone(there), r)
		slices.SortStableFunc(routes, func(a, b *route) int { return cmp.Compare(len(b.prefix), len(a.prefix)) })
		next.hosts[r.host] = routes
	}
	if err := next.place(e); err != nil {
		return nil, err
	}
	next.apps[e.AppID] = e
	next.seq = max(next.seq, e.Version)
	return next, nil
}

// without returns a table that has no routes of the app.
func (t *table) without(appID string) *table {
	next := &table{seq: t.seq, apps: maps.Clone(t.apps), hosts: maps.Clone(t.hosts), redirects: maps.Clone(t.redirects)}
	old := next.apps[appID]
	if old == nil {
		return next
	}
	delete(next.apps, appID)
	next.displace(old)
	for _, r := range old.routes {
		rest := slices.DeleteFunc(slices.Clone(next.hosts[r.host]), func(o *route) bool { return o.entry.AppID == appID })
		if len(rest) == 0 {
			delete(next.hosts, r.host)
		} else {
			next.hosts[r.host] = rest
		}
	}
	return next
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
